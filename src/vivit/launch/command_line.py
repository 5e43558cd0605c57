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
from vivit.launch.lazy_help import allow_lazy_help
from vivit.launch.multirun_end import summary_at_end
from vivit.launch.renamed_keys import REMOVED_KEYS, RENAMED_KEYS
from vivit.launch.resolvers import register_resolvers
from vivit.launch.steady_output import steady_output
from vivit.overrides import split_override
from vivit.plugins import config_folders

NO_OPTION = re.compile(r"([\w/]+)=(null)?", re.IGNORECASE)
"""A group set to null or to nothing, neither of which Hydra accepts."""
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
            begin()
            with summary_at_end():
                main()

        return start

    return decorate


def begin() -> None:
    """Prepare this process: printing that cannot fail, resolvers, and ``group=null`` where a group has a ``none``.

    Python's reader of arguments is made to take Hydra's. Empty variables of Weights & Biases, as compose files set
    them, are unset here: it would take them for values.
    """
    steady_output()
    allow_lazy_help()
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value.strip()]:
        del os.environ[name]
    register_resolvers()
    refuse_renamed_keys(sys.argv[1:])
    sys.argv[1:] = add_plugin_configs([replace_null_option(argument) for argument in sys.argv[1:]])


def refuse_renamed_keys(arguments: Sequence[str]) -> None:
    """Raise SystemExit, with the new name or what to set, where an argument sets a key that there no longer is."""
    for argument in arguments:
        key, value = split_override(argument)
        if value is None and not argument.startswith("~"):
            continue
        name = key.partition("@")[0]
        if name in REMOVED_KEYS:
            raise SystemExit(f"error: {ConfigError(name, ABSENT if value is None else value, *REMOVED_KEYS[name])}")
        options = [f"{name}={option.strip()}" for option in (value or "").strip("[]").split(",")]
        for old, new in RENAMED_KEYS.items():
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


def group_options(group: str) -> list[str]:
    """Return the options of a group of configurations."""
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))
