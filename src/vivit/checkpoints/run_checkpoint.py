"""The checkpoint of a run, where a path is its folder."""

import logging
from pathlib import Path

from vivit.errors import ConfigError

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
"""Folder of a run folder in which its checkpoints lie."""
MOST_NAMED = 5
"""Files or folders that an error names at most."""


def checkpoint_of_run(folder: Path, key: str, first: str = "best") -> Path | None:
    """Return the checkpoint in a run folder, or in its ``checkpoints``: the best, or that called ``first``.

    The log has which it is. None for a folder without checkpoints. Raises ConfigError about ``key`` where several
    could be meant: other files, or the folders of a sweep's runs.
    """
    names = dict.fromkeys((f"{first}.ckpt", "best.ckpt", "last.ckpt"))
    for place in (folder / FOLDER, folder):
        for name in names:
            if (file := place / name).is_file():
                log.info("%s=%s: %s is taken", key, folder, file)
                return file
        if files := sorted(place.glob("*.ckpt")):
            if len(files) > 1:
                raise ConfigError(key, folder, f"has {len(files)} checkpoints", f"set one of {_names(files)}")
            log.info("%s=%s: %s is taken", key, folder, files[0])
            return files[0]
    if runs := sorted(run for run in folder.iterdir() if (run / FOLDER).is_dir()):
        raise ConfigError(key, folder, f"is the folder of {len(runs)} runs", f"set one of {_names(runs)}")
    return None


def _names(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:MOST_NAMED])) + (", ..." if len(paths) > MOST_NAMED else "")
