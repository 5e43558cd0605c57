"""What ``--help`` prints: every group with its options, every key with its comment, from the YAML files themselves."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vivit.config_folder import CONFIGS
from vivit.entry_points import typed
from vivit.errors import format_value
from vivit.launch.composition_errors import explain, nearest_keys
from vivit.launch.config_keys import group_options, groups_of
from vivit.launch.yaml_comments import first_sentence, read_comments

HELP = ("--help", "-h")
LEAST, MOST = 72, 100
"""Columns of the text at least, and at most where the terminal has more."""
SECTIONS = (
    "data",
    "trainer",
    "optim",
    "loss",
    "weights",
    "model",
    "size",
    "tokeniser",
    "positions",
    "augment",
    "views",
)
"""Sections of keys that come first, in this order."""
NO_OPTION = "none"
"""The option of a group that chooses nothing, where there is one; null is typed for it, too."""
INDENT = 30
"""Columns before a comment."""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether ``--help`` is among the arguments of a command."""
    return any(option in arguments for option in HELP)


def print_help(command: str, arguments: Sequence[str]) -> None:
    """Print the help of a command with the options that its arguments choose; of groups or keys that they name alone.

    Raises SystemExit, with one sentence, where the arguments cannot be composed.
    """
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    topics = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    try:
        keys, sections, choices = documented_keys(command, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise SystemExit(f"error: {explain(error, command, overrides)}") from None
    width = max(LEAST, min(MOST, shutil.get_terminal_size((96, 24)).columns))
    if not topics:
        lines = [*_introduction(command, width), *_groups(command, choices, width), "", "Keys (key=value)", ""]
        lines += _key_lines(keys, sections, width)
    else:
        lines = [line for topic in topics for line in _topic(topic, command, keys, sections, choices, width)]
    sys.stdout.write("\n".join(lines) + "\n")


def documented_keys(
    command: str, overrides: Sequence[str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str], dict[str, str]]:
    """Return value and comment of every key of a command, the comments of its sections, and the options of its groups.

    A comment is the last one among the files that set a key, in the order in which they are merged.
    """
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(command, list(overrides), return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        merged = loader.compute_defaults_list(command, list(overrides), RunMode.RUN).defaults
    folders = [Path(source.path) for source in config.hydra.runtime.config_sources if source.schema == "file"]
    comments: dict[str, str] = {}
    for default in merged:
        if default.config_path is None:
            continue
        file = next((file for folder in folders if (file := folder / f"{default.config_path}.yaml").is_file()), None)
        if file is not None:
            package = f"{default.package}." if default.package else ""
            comments |= {f"{package}{key}": comment for key, comment in read_comments(file).items() if key}
    values = dict(_leaves(config, ""))
    for kind in ("run", "sweep"):
        if f"hydra.{kind}.dir" in comments:  # of others the default is Hydra's
            values[f"hydra.{kind}.dir"] = _raw(config.hydra[kind], "dir")
    choices = {str(group): str(option) for group, option in config.hydra.runtime.choices.items() if option is not None}
    choices |= _lists([default.config_path or "" for default in merged], choices)
    for group, option in choices.items():
        if (file := CONFIGS / group / f"{option}.yaml").is_file():
            comments[group] = read_comments(file)[""]
    keys = {name: (value, comments.get(name) or _reference(value)) for name, value in values.items()}
    return keys, comments, choices


def _lists(files: Sequence[str], choices: Mapping[str, str]) -> dict[str, str]:
    """Return the options of groups of which several may be chosen, as ``[default,ema]``; ``files`` are those merged."""
    several: dict[str, list[str]] = {}
    for group, _, option in (file.rpartition("/") for file in files):
        if group and group not in choices and not option.startswith("_"):
            several.setdefault(group, []).append(option)
    return {group: f"[{','.join(options)}]" for group, options in several.items()}


def _option_now(group: str, choices: Mapping[str, str]) -> str:
    """Return the option of a group as it is typed; nothing where none is set and none can be typed."""
    return choices.get(group) or (NO_OPTION if NO_OPTION in group_options(group) else "")


def _reference(value: str) -> str:
    """Return what a value says that is another key's and has no comment of its own; nothing for others."""
    match = re.fullmatch(r"\$\{([\w.]+)\}", value)
    return f"follows {match[1]}" if match else ""


def _introduction(command: str, width: int) -> list[str]:
    """Return how a command is typed, and what its file says of it."""
    head = read_comments(CONFIGS / f"{command}.yaml")[""]
    start = typed(command)
    lines = [f"{start} key=value key=value ...", "", *textwrap.wrap(head, width), ""]
    options = {
        "--help GROUP": "what the options of a group are, as --help data; also of keys: --help lr",
        "--help GROUP=OPTION": "the keys with that option, as --help data=folder",
        "-m": "several runs: key=1,2,3 is one with each value",
        "--cfg job": "the configuration as it would be used, as YAML",
    }
    lines += [line for name, comment in options.items() for line in _entry(f"  {name}", comment, width)]
    return [
        *lines,
        "",
        "A path is typed as it is, in quotes of the shell where it needs them; docs/command_line.md",
        "",
    ]


def _groups(command: str, choices: dict[str, str], width: int) -> Iterator[str]:
    yield "Groups (group=option, as chosen now; of those without = nothing is chosen)"
    yield ""
    for group in sorted(groups_of(command)):
        if group in ("paths", "hydra"):
            continue
        options = ", ".join(group_options(group))
        now = _option_now(group, choices)
        yield from _entry(f"  {group}={now}" if now else f"  {group}", options, width)


def _topic(
    topic: str,
    command: str,
    keys: dict[str, tuple[str, str]],
    sections: dict[str, str],
    choices: dict[str, str],
    width: int,
) -> Iterator[str]:
    """Yield the lines about a group or about keys. Raises SystemExit for a word that is neither."""
    group = topic.rstrip("=")
    if group in groups_of(command):
        now = _option_now(group, choices)
        yield f"{group}=OPTION, now {now}, one of" if now else f"{group}=OPTION, nothing is chosen; one of"
        for option in group_options(group):
            comment = first_sentence(read_comments(CONFIGS / group / f"{option}.yaml")[""])
            same = f" {group}=null is the same." if option == NO_OPTION else ""
            yield from _entry(f"  {option}", comment + same, width)
        yield ""
        named = {key: entry for key, entry in keys.items() if key.startswith(f"{group}.") or key == group}
        yield from _key_lines(named, sections, width)
        return
    named = {key: entry for key, entry in keys.items() if key == topic or key.startswith(f"{topic}.")}
    named = named or {key: keys[key] for key in nearest_keys(topic, list(keys), command) if key in keys}
    if not named:
        raise SystemExit(f"error: --help {topic}: is no group and no key; --help alone lists them")
    yield from _key_lines(named, sections, width)


def _key_lines(keys: dict[str, tuple[str, str]], sections: dict[str, str], width: int) -> Iterator[str]:
    """Yield a line for each key with its value and comment, those of a section together, below what it is."""
    section = ""
    order = {name: place for place, name in enumerate(("", *SECTIONS))}
    first = {key: key.partition(".")[0] if "." in key else "" for key in keys}
    for key in sorted(keys, key=lambda key: order.get(first[key], len(order))):
        value, comment = keys[key]
        if first[key] != section:
            section = first[key]
            head = first_sentence(sections.get(section, ""))
            yield ""
            yield from textwrap.wrap(f"{section}: {head}" if head else section, width)
        yield from _entry(f"  {key}={value}", comment, width)


def _entry(name: str, comment: str, width: int) -> list[str]:
    """Return a name and what it means beside it, or below it where the name is long."""
    blank = " " * INDENT
    text = textwrap.wrap(comment, width - INDENT) or [""]
    if len(name) < INDENT - 1:
        return [f"{name:<{INDENT}}{text[0]}".rstrip(), *(blank + line for line in text[1:])]
    names = textwrap.wrap(name, width, subsequent_indent="      ", break_on_hyphens=False) or [name]
    return [*names, *(blank + line for line in text if line)]


def _leaves(node: DictConfig, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every key that holds a value, as it is typed; classes to build, and how, are left out."""
    for name in map(str, node):
        below: Any = node._get_node(name)
        full = f"{prefix}{name}"
        if str(name).startswith("_") or (not prefix and name == "hydra"):
            continue
        if isinstance(below, DictConfig) and not (below._is_none() or below._is_missing() or below._is_interpolation()):
            inner = list(_leaves(below, f"{full}."))
            yield from inner or [(full, _raw(node, name))]
            continue
        yield full, _raw(node, name)


def _raw(node: DictConfig, name: Any) -> str:
    """Return a value as it is written, references unresolved."""
    below: Any = node._get_node(name)
    if isinstance(below, DictConfig) or OmegaConf.is_list(below):
        plain: Any = below._value() if below._is_interpolation() else OmegaConf.to_container(below, resolve=False)
        return _short(plain)
    return "" if below._value() == "" else format_value(below._value())


def _short(plain: Any) -> str:
    """Return a list or a mapping on one line, of an object to build the name of its class alone."""
    if isinstance(plain, dict):
        if "_target_" in plain:
            return f"<{plain['_target_'].rpartition('.')[2]}>"
        return f"{{{','.join(f'{key}:{_short(value)}' for key, value in plain.items())}}}"
    return f"[{','.join(map(_short, plain))}]" if isinstance(plain, list) else format_value(plain)
