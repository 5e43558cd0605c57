"""The keys and groups that a command has, read from the files of its configuration."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vivit.config_folder import CONFIGS
from vivit.overrides import split_override


def root_keys(command: str) -> set[str]:
    """Return the keys of the primary configuration: those of its file, and the groups in its defaults list."""
    folders = [CONFIGS]
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        command = hydra.job.config_name or command
        sources = [source for source in hydra.runtime.config_sources if source.schema == "file"]
        folders = [Path(source.path) for source in sources] or folders
    return set(_keys_of_file(folders, command.removesuffix(".yaml")))


def groups_of(command: str) -> set[str]:
    """Return the groups of configurations that a command has: keys of its file that have a folder of options."""
    return {key for key in root_keys(command) if (CONFIGS / key).is_dir()}


def group_options(group: str) -> list[str]:
    """Return the options of a group of configurations, without those that others build on."""
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))


def _keys_of_file(folders: Sequence[Path], name: str) -> Iterator[str]:
    file = next((file for folder in folders if (file := folder / f"{name}.yaml").is_file()), None)
    content: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml" if file is None else file))
    for key in content:
        if key != "defaults":
            yield key
    for entry in content.get("defaults", []):
        if isinstance(entry, str):
            if entry != "_self_":  # another primary configuration, which this one extends
                yield from _keys_of_file(folders, entry.removeprefix("/"))
            continue
        ((group, _),) = entry.items()
        if not group.startswith("override "):
            yield group.rpartition(" ")[2].removeprefix("/").partition("/")[0]


def known_keys(command: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the dotted keys of a command's configuration, with the options of groups among its arguments."""
    groups = [
        a for a in arguments if re.fullmatch(r"[\w/]+=[\w\[\],]+", a) and (CONFIGS / split_override(a)[0]).is_dir()
    ]
    for overrides in (groups, []):
        try:
            return sorted(_flatten(compose_anywhere(command, overrides)))
        except (HydraException, OmegaConfBaseException, ValueError):
            continue
    return sorted(root_keys(command))


def compose_anywhere(command: str, overrides: Sequence[str]) -> DictConfig:
    """Return a composed configuration, within a run of Hydra's or outside of one."""
    if GlobalHydra.instance().is_initialized():
        return compose(command, list(overrides))
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(command, list(overrides))


def _flatten(node: DictConfig, prefix: str = "") -> list[str]:
    """Return the keys of a configuration without resolving anything, ``_target_`` and alike left out."""
    names: list[str] = []
    for name in map(str, node):
        below: Any = node._get_node(name)
        names.append(f"{prefix}{name}")
        if isinstance(below, DictConfig) and not (below._is_none() or below._is_missing() or below._is_interpolation()):
            names += _flatten(below, f"{prefix}{name}.")
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]
