"""Checks of what ``prepare.py`` is called with, before anything is read."""

from pathlib import Path
from tempfile import TemporaryFile

from vivit.data.storage.remote_path import Folder
from vivit.errors import ConfigError

LEAST_SIDE = 16
"""Pixels that a copy's short side must have at least: the patch of the smallest network."""


def check_writable(folder: Folder) -> Path:
    """Return the folder of the index. Raises ``ConfigError`` where it cannot be made or written to."""
    if not isinstance(folder, Path):
        remedy = "set a folder of a local disk, then copy it there, or train with the same key"
        raise ConfigError("data.dataset.index_dir", str(folder), "the index cannot be written there", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror})"
        raise ConfigError("data.dataset.index_dir", problem=problem, remedy="set a folder that can") from None
    return folder


def check(
    *,
    num_workers: int | None,
    copies: int | None,
    gop: int,
    crf: int,
    tar_size: int | None,
    shard_index: int,
    num_shards: int,
) -> None:
    """Raise ``ConfigError`` for impossible values, before anything is read."""
    required = {"gop": gop, "shard_index": shard_index, "num_shards": num_shards}
    optional = {"num_workers": num_workers, "copies": copies, "tar_size": tar_size}
    for key, value in {**required, **{key: value or 1 for key, value in optional.items()}}.items():
        if type(value) is not int:
            remedy = "set one" if key in required else "set one, or null"
            raise ConfigError(key, value, "is no whole number", remedy)
    if num_shards < 1:
        raise ConfigError("num_shards", num_shards, "must be positive", "set 1 or more")
    if not 0 <= shard_index < num_shards:
        raise ConfigError(
            "shard_index", shard_index, f"there are num_shards={num_shards}", f"set 0 to {num_shards - 1}"
        )
    if num_workers is not None and num_workers < 1:
        raise ConfigError("num_workers", num_workers, "must be positive", "set 1 or more, or null for one a core")
    if copies is not None and copies < LEAST_SIDE:
        problem = "is too small a short side in pixels"
        raise ConfigError("copies", copies, problem, f"set {LEAST_SIDE} or more, or null for no copies")
    if tar_size is not None and tar_size < 1:
        raise ConfigError("tar_size", tar_size, "must be positive", "set 1000 or alike, or null for no tar files")
    if gop < 1:
        raise ConfigError("gop", gop, "is no distance in frames between key frames", "set 1 or more")
    if type(crf) not in (int, float) or not 0 <= crf <= 51:
        raise ConfigError("crf", crf, "is not a rate factor of x264", "set 0 to 51")
