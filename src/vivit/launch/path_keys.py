"""Keys that hold a path; what is typed for one of them is taken as it is, whatever signs of Hydra's it contains."""

import os
import re
import shlex
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from vivit.errors import ConfigError
from vivit.overrides import escape_interpolation, quote_value

LIST_KEYS = ("video", "examples", "bench.checkpoints")
"""Keys that hold a path or a list of them."""
PATH_KEYS = (
    *LIST_KEYS,
    *("ckpt_path", "resume", "records", "scores", "source", "target", "groups", "logs", "cache_dir"),
    *("init_from.image", "init_from.video", "weights.source", "bench.videos", "bench.root", "bench.folder"),
    "bench.target",
    *("bench.picture", "paths.root", "paths.data", "paths.logs", "paths.run", "data.root", "data.cache_dir"),
    *(f"data.dataset.{name}" for name in ("file", "index_dir", "class_file", "nouns", "verbs", "path_template")),
    *(f"data.dataset.{name}.*" for name in ("annotation_files", "folders", "tail_classes", "unseen_participants")),
    *("callbacks.*.dirpath", "callbacks.*.folder", "logger.*.save_dir", "logger.*.folder"),
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"),
)
"""Every key of the configurations that holds a path; ``*`` is one name."""
NO_PATHS = ("", "null", "???")
"""Values of these keys that Hydra reads: nothing, null, a value that is missing."""
READ_TWICE = re.compile(r".*\..*|resume|logs")
"""Keys whose value Hydra reads a second time, where ``${`` begins a reference whatever stands before it."""
REFERENCE = re.compile(r"\$\{([^{}]*)")
OF_HYDRA = ("now", "hydra", "python_version")
"""Resolvers that Hydra registers as it starts, which is after the command line was read."""
FUNCTION = re.compile(r"(choice|glob|interval|range|shuffle|sort|tag)\(.*\)", re.DOTALL)
"""Hydra's functions, each of which is a sweep."""


def is_path_key(key: str) -> bool:
    """Return whether a key holds a path."""
    parts = key.count(".")
    return any(pattern.count(".") == parts and fnmatchcase(key, pattern) for pattern in PATH_KEYS)


def quote_paths(arguments: Sequence[str], *, multirun: bool, is_key: Callable[[str], bool]) -> list[str]:
    """Return the arguments of a command with paths quoted where Hydra would not take them as they are typed.

    ``~`` becomes the home folder. What is bracketed, quoted, null or a sweep of a ``multirun`` has Hydra's meaning,
    unless a file is called so; so does ``${...}`` that refers to what there is, which ``is_key`` answers for a name.
    Raises ConfigError for a list where a key holds one path.
    """
    return [_quote_argument(argument, multirun, is_key) for argument in arguments]


def _quote_argument(argument: str, multirun: bool, is_key: Callable[[str], bool]) -> str:
    typed, equals, value = argument.partition("=")
    key = typed.lstrip("+")
    if not equals or value in NO_PATHS or typed.startswith("-") or not is_path_key(key):
        return argument
    several = multirun and not key.startswith("hydra.")  # of which Hydra takes no several
    return f"{typed}={_quote_typed(key, value, several, is_key)}"


def _quote_typed(key: str, value: str, multirun: bool, is_key: Callable[[str], bool]) -> str:
    """Return the value of a key as Hydra has to get it."""
    path, parsed = expand_home(value), parse_override(f"{key}={value}")
    sweep = parsed is not None and parsed.is_sweep_override()
    if not os.path.lexists(path):
        if multirun and sweep and FUNCTION.fullmatch(value):
            return value
        if multirun and len(parts := split_commas(value)) > 1:
            return ",".join(_quote_typed(key, part, False, is_key) for part in parts if part)
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and not sweep:
            if parsed is not None:
                return value
            if key == "hydra.run.dir":  # Lightning writes quotes around it for each rank, whatever it contains
                return quote_path(value[1:-1])
        if value[0] == "[" and value[-1] == "]":
            return _quote_list(key, value, parsed, is_key)
        if value[0] == "{" and value[-1] == "}" and parsed is not None:
            return value
        if "${" in value and all(_refers(name, is_key) for name in REFERENCE.findall(value)):
            return value if path == value and _reads_as(parsed, value) else quote_value(path)
    if "${" in path and READ_TWICE.fullmatch(key):
        raise ConfigError(key, value, "contains ${, with which Hydra begins a reference", "set a name without it")
    parsed = parsed if path == value else parse_override(f"{key}={path}")
    return path if "${" not in path and _reads_as(parsed, path) else quote_path(path)


def _quote_list(key: str, value: str, parsed: Override | None, is_key: Callable[[str], bool]) -> str:
    """Return a list of paths with those quoted that Hydra cannot read. Raises ConfigError for a key of one path."""
    if key not in LIST_KEYS:
        raise ConfigError(
            key, value, "is a list, and this key holds one path", f"set one; a name in brackets: {paste(key, value)}"
        )
    if parsed is not None:
        return value
    parts = split_commas(value[1:-1])
    return f"[{','.join(_quote_typed(key, part.strip(), False, is_key) for part in parts if part.strip())}]"


def paste(key: str, value: str) -> str:
    """Return an argument, quoted for the shell and for Hydra, that sets a key to a text as it is."""
    quoted = f'"{value}"' if '"' not in value and not value.endswith("\\") else quote_value(value)
    return shlex.quote(f"{key}={escape_interpolation(quoted)}")


def quote_path(path: str) -> str:
    """Return a path quoted so that Hydra takes every sign of it literally."""
    return quote_value(escape_interpolation(path))


def expand_home(path: str) -> str:
    """Return a path with ``~`` and ``~user`` replaced by home folders, where there are such."""
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path.partition("/")[0]) else path  # noqa: PTH111


def split_commas(text: str) -> list[str]:
    """Return the parts of a text between commas, but for those within quotes and brackets that close."""
    parts, start, quote, closing = [], 0, "", []
    pairs = {"[": "]", "{": "}", "(": ")"}
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[place - 1] != "\\" else quote
        elif letter in "\"'" and text.find(letter, place + 1) >= 0 and not text[start:place].strip():
            quote = letter
        elif letter in pairs and pairs[letter] in text[place:]:
            closing.append(pairs[letter])
        elif closing and letter == closing[-1]:
            closing.pop()
        elif letter == "," and not closing:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _refers(name: str, is_key: Callable[[str], bool]) -> bool:
    """Return whether what stands in ``${...}`` is a key or a resolver that there is."""
    resolver, colon, _ = name.partition(":")
    return _has_resolver(resolver) if colon else is_key(re.split(r"[.\[]", name.strip())[0])


def _has_resolver(name: str) -> bool:
    """Return whether there is a resolver, or will be once Hydra's main function has begun."""
    return name in OF_HYDRA or OmegaConf.has_resolver(name)


def _reads_as(parsed: Override | None, text: str) -> bool:
    """Return whether Hydra takes an override for a text as it is typed."""
    return parsed is not None and not parsed.is_sweep_override() and parsed.value() == text


def parse_override(override: str) -> Override | None:
    """Return an override as Hydra parses it; None where it cannot."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None
