"""What is wrong with the arguments of a command, in one sentence: Hydra's errors with the nearest names beside them."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import takewhile
from typing import Any

from hydra._internal import utils
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from vivit.launch.config_keys import group_options, groups_of, known_keys, root_keys
from vivit.launch.foreign_keys import HINTS, NO_KEYS, TRAINER_ARGUMENTS, foreign_key
from vivit.launch.option_errors import explain_no_option, explain_option, explain_path
from vivit.launch.path_keys import is_path_key
from vivit.overrides import CUT_KEYS, DATA_KEYS, quote_value, split_override

COULD_NOT = re.compile(
    r"Could not (?:override|append to config\. An item is already at|delete from config\.) '([^']+)'"
)
NETWORK_GROUPS = ("model", "size", "tokeniser")
"""Groups that describe a network."""
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "cuda:0": "gpu", "gpu": "gpu"}
"""What people call devices, and the option of ``trainer=`` that it is."""
MOST_NAMED = 3
"""Nearest keys that a sentence names at most."""
Composition = ConfigCompositionException | OverrideParseException | OmegaConfBaseException


def explain_composition_errors(command: str) -> None:
    """Have Hydra end this process with one sentence where it cannot read the arguments; other errors are its own.

    With ``HYDRA_FULL_ERROR=1`` they stay as they are. ``command`` is the name of the configuration.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        return
    report: Any = getattr(utils.run_and_report, "of_hydra", utils.run_and_report)

    def explain_and_report(function: Callable[[], Any]) -> Any:
        def explained() -> Any:
            try:
                return function()
            except (ConfigCompositionException, OverrideParseException) as error:
                raise SystemExit(f"error: {explain(error, command, sys.argv[1:])}") from None
            except ValueError as error:
                if sentence := explain_no_option(str(error), sys.argv[1:]):
                    raise SystemExit(f"error: {sentence}") from None
                raise

        return report(explained)

    explain_and_report.of_hydra = report  # type: ignore[attr-defined]
    utils.run_and_report = explain_and_report  # type: ignore[assignment]


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """Return what is wrong with the arguments of a command that Hydra cannot compose, in one sentence."""
    if isinstance(error, OverrideParseException):
        return _explain_unreadable(error.override)
    message = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        for key, value in map(split_override, arguments):
            if value and "/" in value and error.missing_cfg_file == f"{key}/{value}":
                return explain_path(key, value)
        if group:
            return explain_option(group, option, error.options or ())
    if "Ambiguous value" in message or "requires --multirun" in message or "Sweep" in message:
        return _explain_sweep(next((a for a in arguments if f"'{a}'" in message), message))
    if match := COULD_NOT.search(message):
        argument = next((a for a in arguments if split_override(a)[0].partition("@")[0] == match[1]), match[1])
        if "already at" in message:
            return f"{argument}: is a key already; leave the + out"
        return explain_key(argument, command, arguments)
    if match := re.search(r"You must specify '([^']+)'", message):
        return f"{match[1]}: is not set; set {match[1]}= to one of {', '.join(group_options(match[1]))}"
    return " ".join(f"{message} {error.__cause__ or ''}".split())


def explain_key(argument: str, command: str, arguments: Sequence[str]) -> str:
    """Return what is wrong with an argument that sets a key which a command does not have, and which were meant."""
    key, value = split_override(argument)
    key = key.partition("@")[0]
    given_value = "" if value is None else f"={value}"
    wrong = f"{argument}: there is no key {key}"
    if reason := NO_KEYS.get(key.lower().rpartition(".")[2]):
        return f"{wrong}; {reason}"
    known = known_keys(command, arguments)
    first, _, rest = key.partition(".")
    if first == "cluster" and "cluster" not in _groups(command):
        return f"{argument}: cluster= starts the ranks of train.py, and {command}.py is one process; leave it out"
    if first == "data" and "data" in root_keys(command) and not any(other.startswith("data.") for other in known):
        below = rest.partition(".")[0]
        if below in DATA_KEYS or (command == "prepare" and below not in known):
            return f"{argument}: no data set is named; set one beside it, as data=folder {argument}"
    if "ckpt_path" in known and "seed" not in known and (part := _of_checkpoint(key)) is not None:
        return f"{wrong}: {part} comes with the checkpoint; leave it out"
    if first == "trainer" and rest in TRAINER_ARGUMENTS and "trainer.max_epochs" in known:
        return f"{wrong} in a configuration, but Lightning's Trainer has it: type +{key}{given_value or '=VALUE'}"
    near = nearest_keys(key, known, command)
    if "trainer.devices" in near and value in ACCELERATORS:
        return f"{wrong}; did you mean trainer={ACCELERATORS[value]}?"
    if key in near:
        return f"{wrong} with these options{_hint(near)}"
    if near:
        return f"{wrong}; did you mean {_or([f'{_typed(meant)}{given_value}' for meant in near])}?{_hint(near)}"
    siblings = sorted({other[len(first) + 1 :].partition(".")[0] for other in known if other.startswith(f"{first}.")})
    if "." in key and siblings:
        return f"{wrong}; below {first} there are {', '.join(siblings)}"
    names = sorted({other.partition(".")[0] for other in known} | root_keys(command))
    return f"{wrong} in {command}.py; its keys are {', '.join(names)} (--help says what they are)"


def _typed(key: str) -> str:
    """Return a key as it is typed: behind a plus sign where Lightning's Trainer has it and no configuration sets it."""
    section, _, name = key.partition(".")
    return f"+{key}" if section == "trainer" and name in TRAINER_ARGUMENTS else key


def _of_checkpoint(key: str) -> str | None:
    """Return what a key, or a name of another project, sets that a checkpoint brings along; None where it does not."""
    meant = next(iter(foreign_key(key, None)), key)
    first, _, rest = meant.partition(".")
    if first in NETWORK_GROUPS:
        return "the network"
    return f"data.{rest}" if first == "data" and rest in CUT_KEYS else None


def nearest_keys(key: str, known: Sequence[str], command: str | None = None) -> list[str]:
    """Return the known keys that one which is unknown most likely means: names of other projects, then the nearest.

    Keys of the same last name come first, then those that are spelt nearly so.
    """
    sections = {*_groups(command), *({"hydra"} if command else ())}
    foreign = [name for name in foreign_key(key, command) if name in known or name.partition(".")[0] in sections]
    parent, _, name = key.rpartition(".")
    same_name = any(other.rpartition(".")[2] == name for other in known)
    if foreign and (foreign[0] in known or not same_name):
        return foreign[:1]
    lists = (
        [other for other in known if other.rpartition(".")[2] == name],
        [
            other
            for other in known
            if other.rpartition(".")[0] == parent and _alike(name, other.rpartition(".")[2], 0.6)
        ],
        [*get_close_matches(key, known, MOST_NAMED, 0.8)],
        [other for other in [*known, *_groups(command)] if _alike(name, other.rpartition(".")[2], 0.75)],
    )
    for names in lists:
        if names:
            return sorted(names, key=lambda other: (-_likeness(key, other), other.count("."), other))[:MOST_NAMED]
    return []


def explain_option_of_shell(argument: str, command: str, following: str | None) -> str:
    """Return what is wrong with an argument such as ``--epochs``: keys are typed without dashes."""
    name, equals, value = argument.lstrip("-").partition("=")
    name = name.replace("-", "_")
    value = value if equals else following if following and "=" not in following and following[0] != "-" else "VALUE"
    known = known_keys(command)
    meant = [name] if name in known or name in _groups(command) else nearest_keys(name, known, command)
    if reason := NO_KEYS.get(name.lower()):
        return f"{argument}: is no option; {reason}"
    if meant:
        return f"{argument}: keys are typed without dashes; did you mean {_typed(meant[0])}={value}?{_hint(meant)}"
    return f"{argument}: is no option; keys are typed without dashes, as key=value, and --help lists them"


def explain_word(arguments: Sequence[str], number: int, command: str) -> str:
    """Return what is wrong with an argument that is neither an option nor ``key=value``, by its number."""
    argument, path_before = arguments[number], _path_with_blanks(arguments, number)
    if path_before and (os.path.exists(path_before.partition("=")[2]) or not os.path.exists(argument)):  # noqa: PTH110
        return f"{argument}: stands alone; a path with blanks is put in quotes: {shlex.quote(path_before)}"
    path = {"predict": "video", "convert": "source", "prepare": "data.root", "train": "data.root"}.get(
        command, "ckpt_path"
    )
    if argument.endswith((".ckpt", ".pt", ".pth")) and "ckpt_path" in root_keys(command):
        path = "ckpt_path"
    if os.path.exists(argument):  # noqa: PTH110
        beside = "data=folder " if path == "data.root" else ""
        return f"{argument}: a file is typed behind its key: {beside}{shlex.quote(f'{path}={argument}')}"
    known = known_keys(command)
    name = argument.rstrip(":").replace("-", "_")
    meant = [name] if name in known or name in _groups(command) else nearest_keys(name, known, command)
    if meant:
        return f"{argument}: has no value; set {meant[0]}=VALUE, without blanks around the =.{_hint(meant)}"
    return f"{argument}: is no key=value; --help lists the keys"


def _path_with_blanks(arguments: Sequence[str], number: int) -> str | None:
    """Return the argument that a shell has cut at its blanks, the first word behind a path; None where it is none."""
    key, value = split_override(arguments[number - 1]) if number else ("", None)
    if not value or not is_path_key(key.lstrip("+")):
        return None
    rest = takewhile(lambda argument: "=" not in argument and not argument.startswith("--"), arguments[number:])
    return " ".join([arguments[number - 1], *rest])


def _explain_unreadable(override: str) -> str:
    key, value = split_override(override)
    if value is None:
        return f"{override}: is no key=value; --help lists the keys"
    quoted = f'"{value}"' if '"' not in value and "\\" not in value else quote_value(value)
    return (
        f"{override}: Hydra cannot read this value, in which quotes, brackets, blanks and commas have a meaning; "
        f"quoted twice it is a text: {shlex.quote(f'{key}={quoted}')}"
    )


def _explain_sweep(argument: str) -> str:
    key, value = split_override(argument)
    one, several = shlex.quote(f"{key}={quote_value(value or '')}"), shlex.quote(f"{key}=[{value}]")
    return f"{argument}: several values; set a list {several}, a text with commas {one}, or add -m for a run with each"


def _groups(command: str | None) -> set[str]:
    return set() if command is None else groups_of(command)


def _hint(keys: Sequence[str]) -> str:
    hint = HINTS.get(keys[0])
    return f" ({hint})" if hint else ""


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _alike(name: str, other: str, cutoff: float) -> bool:
    return bool(get_close_matches(name, [other], 1, cutoff))


def _likeness(key: str, other: str) -> float:
    return SequenceMatcher(None, key, other).ratio()
