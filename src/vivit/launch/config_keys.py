"""The keys and groups that a command has, read from the files of its configuration."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from vivit.config_folder import CONFIGS


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
