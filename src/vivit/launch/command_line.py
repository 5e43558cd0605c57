"""What every command does before Hydra reads its configuration."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import hydra
from omegaconf import DictConfig

from vivit.config_folder import CONFIGS
from vivit.errors import ABSENT, ConfigError
from vivit.launch.composition_errors import (
    explain_composition_errors,
    explain_option_of_shell,
    explain_word,
)
from vivit.launch.config_keys import group_options, root_keys
from vivit.launch.help_text import asks_for_help, print_help
from vivit.launch.lazy_help import allow_lazy_help
from vivit.launch.multirun_end import summary_at_end
from vivit.launch.path_keys import quote_paths
from vivit.launch.renamed_keys import REMOVED_KEYS, RENAMED_KEYS
from vivit.launch.resolvers import register_resolvers
from vivit.launch.steady_output import steady_output
from vivit.overrides import split_override
from vivit.plugins import config_folders

NO_OPTION = re.compile(r"([\w/]+)=(null)?", re.IGNORECASE)
"""A group set to null or to nothing, neither of which Hydra accepts."""
OPTIONS = (
    *("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m"),
    *("--shell-completion", "-sc"),
)
"""Options of Hydra's that stand alone."""
INFO = ("--info", "-i")
"""Options of Hydra's that may have a value behind them."""
VALUE_OPTIONS = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", *INFO),
)
"""Options of Hydra's with a value behind them."""
SEARCH_PATH = "hydra.searchpath"
"""Hydra's key of further folders of configurations."""


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Return a decorator that makes a function of a configuration a command, which reads ``sys.argv``.

    Its name in folders is that of its module: ``train`` of ``vivit.commands.train``.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        main = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(function)

        @wraps(function)
        def start() -> None:
            begin(config_name)
            if asks_for_help(sys.argv):
                print_help(config_name, sys.argv[1:])
                return
            with summary_at_end():
                main()

        return start

    return decorate


def begin(command: str) -> None:
    """Prepare this process for a command: printing that cannot fail, resolvers, and its arguments as Hydra takes them.

    Paths are quoted, ``group=null`` is ``none`` where a group has that, and what cannot be is one sentence. Python's
    reader of arguments is made to take Hydra's. Empty variables of Weights & Biases, as compose files set them, are
    unset here: it would take them for values.
    """
    steady_output()
    allow_lazy_help()
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value.strip()]:
        del os.environ[name]
    register_resolvers()
    explain_composition_errors(command)
    refuse_unknown_options(sys.argv[1:], command)
    refuse_renamed_keys(sys.argv[1:], command)
    arguments = [replace_null_option(argument) for argument in sys.argv[1:]]
    known = {*root_keys(command), "hydra"}
    try:
        arguments = quote_paths(arguments, multirun=is_multirun(arguments), is_key=known.__contains__)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from None
    sys.argv[1:] = options_first(add_plugin_configs([square_crop(argument) for argument in arguments]))


def options_first(arguments: Sequence[str]) -> list[str]:
    """Return arguments with Hydra's options before all others: it takes none between them."""
    options: list[str] = []
    others: list[str] = []
    for argument in arguments:
        behind_option = options and options[-1] in VALUE_OPTIONS and (options[-1] not in INFO or "=" not in argument)
        (options if argument.startswith("-") or behind_option else others).append(argument)
    return [*options, *others]


def is_multirun(arguments: Sequence[str]) -> bool:
    """Return whether arguments start several jobs, so that commas separate their values."""
    modes = [value for key, value in map(split_override, arguments) if key == "hydra.mode"]
    if modes:
        return modes[-1] == "MULTIRUN"
    sweeps = [value for key, value in map(split_override, arguments) if key == "sweep"]
    return bool({"-m", "--multirun"} & {*arguments}) or any(value not in (None, "", "null") for value in sweeps)


def square_crop(argument: str) -> str:
    """Return ``data.crop=[224,224]`` for ``data.crop=224``, each of several with -m; others as they are."""
    match = re.fullmatch(r"(\+{0,2}data\.crop=)(\d+(?:,\d+)*)", argument)
    return argument if match is None else match[1] + ",".join(f"[{side},{side}]" for side in match[2].split(","))


def refuse_unknown_options(arguments: Sequence[str], command: str) -> None:
    """Raise SystemExit, with what is meant, for an option that Hydra does not have, and for a word without a value."""
    after_option = False
    for number, argument in enumerate(arguments):
        takes_value, after_option = after_option, False
        if takes_value and (arguments[number - 1] not in INFO or "=" not in argument):
            continue
        if argument.startswith("-") and argument != "-":
            name, equals, _ = argument.partition("=")
            after_option = not equals and name in VALUE_OPTIONS
            if name not in (*VALUE_OPTIONS, *OPTIONS):
                following = arguments[number + 1] if number + 1 < len(arguments) else None
                raise SystemExit(f"error: {explain_option_of_shell(argument, command, following)}")
        elif "=" not in argument and not argument.startswith("~") and not asks_for_help(arguments):
            raise SystemExit(f"error: {explain_word(arguments, number, command)}")


def refuse_renamed_keys(arguments: Sequence[str], command: str) -> None:
    """Raise SystemExit, with the new name or what to set, where an argument sets a key that there no longer is.

    A key at the root is one only where the command has the new one.
    """
    roots = root_keys(command)
    for argument in arguments:
        key, value = split_override(argument)
        if value is None and not argument.startswith("~"):
            continue
        name = key.partition("@")[0]
        if name in REMOVED_KEYS:
            raise SystemExit(f"error: {ConfigError(name, ABSENT if value is None else value, *REMOVED_KEYS[name])}")
        options = [f"{name}={option.strip()}" for option in (value or "").strip("[]").split(",")]
        for old, new in RENAMED_KEYS.items():
            if new.partition(".")[0].partition("=")[0] not in roots:
                continue
            if name.startswith(f"{old}."):
                raise SystemExit(f"error: {argument}: {old} is called {new} now; set {new}{name[len(old) :]}")
            if name == old or old in options:
                raise SystemExit(f"error: {argument}: {old} is called {new} now; set that")


def replace_null_option(argument: str) -> str:
    """Return ``group=none`` for ``group=null``, and others as they are. Raises SystemExit where a group has no none."""
    match = NO_OPTION.fullmatch(argument)
    if match is None or not (CONFIGS / match[1]).is_dir():
        return argument
    group = match[1]
    if (CONFIGS / group / "none.yaml").is_file():
        return f"{group}=none"
    raise SystemExit(
        f"error: {argument}: a group of configurations cannot be {match[2] or 'empty'}; leave it out, or set one of "
        f"{', '.join(group_options(group))}"
    )


def add_plugin_configs(arguments: list[str]) -> list[str]:
    """Return the arguments with the folders of the plugins' configurations, where Hydra has to find them.

    Raises SystemExit for a plugin that does not exist.
    """
    values = [value for key, value in map(split_override, arguments) if key == "plugins" and value]
    names = [name.strip(" '\"") for value in values for name in value.strip("[]").split(",")]
    try:
        folders = [f"'file://{folder}'" for folder in config_folders([name for name in names if name])]
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from None
    typed = [argument for argument in arguments if split_override(argument)[0] == SEARCH_PATH]
    stored = [path for argument in typed for path in (split_override(argument)[1] or "").strip("[]").split(",")]
    if not (missing := [folder for folder in folders if folder not in stored]):
        return arguments
    others = [argument for argument in arguments if argument not in typed]
    return [*others, f"{SEARCH_PATH}=[{','.join([*stored, *missing])}]"]
