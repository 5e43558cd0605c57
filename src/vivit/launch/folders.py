"""Run folders: new ones that no other run shares, and those that a job names and goes on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vivit.launch.folder_lock import FolderInUseError, lock_folder
from vivit.launch.resume import CHANGEABLE, HYDRA_FOLDER
from vivit.overrides import NEUTRAL_KEYS, matches_key


def create_new(folder: Path) -> Path:
    """Make a folder that did not exist, and return it: with a suffix where that name is taken already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        new = numbered(folder, number)
        try:
            new.mkdir()
        except FileExistsError:
            number += 1
        else:
            return new


def lock_named(folder: Path, overrides: Sequence[str]) -> Path:
    """Return the folder of a run that is named by its job, locked: the one that this command made before, or a new one.

    ``overrides`` identify the command: another of the same job has a folder of its own, with a suffix. Raises
    ``FolderInUseError`` where the same command is at work there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        number += 1
        candidate = numbered(folder, number)
        candidate.mkdir(exist_ok=True)
        before = stored_overrides(candidate)
        if before is not None and before != decisive(overrides):
            continue
        try:
            lock_folder(candidate)
        except FolderInUseError:
            if before is not None:
                raise
        else:
            return candidate


def numbered(folder: Path, number: int) -> Path:
    """Return the folder of a name that is taken ``number`` - 1 times."""
    return folder if number == 1 else folder.with_name(f"{folder.name}_{number}")


def stored_overrides(folder: Path) -> list[str] | None:
    """Return the overrides by which a run folder's command is identified; None where it has none of any yet."""
    file = folder / HYDRA_FOLDER / "overrides.yaml"
    if not file.is_file():
        return None
    stored: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    return decisive(stored)


def decisive(overrides: Sequence[str]) -> list[str]:
    """Return, sorted, the overrides that a run which goes on cannot change."""
    return sorted(text for text in overrides if not matches_key(text, (*NEUTRAL_KEYS, *CHANGEABLE)))
