"""Which videos somebody means who names a file, a folder or a pattern."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from vivit.data.catalogue.class_folders import SUFFIXES


def find_videos(named: str | Sequence[str]) -> list[str]:
    """List the videos meant: files as they are, of a folder all below it, of a pattern (``*``, ``**``) what matches.

    A folder of pictures ``frame_0000000001.jpg`` is one video. Each is listed once. Raises where nothing is there.
    """
    names = [named] if isinstance(named, str) else list(named)
    if not names:
        raise ValueError("video names nothing; give a file, a folder, a pattern, or a list of them")
    return list(dict.fromkeys(path for name in names for path in _meant(str(name))))


def _meant(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        if any(path.glob("frame_*.jpg")):
            return [name]
        return _videos(path.rglob("*"), f"video={name} is a folder without a video ({', '.join(SUFFIXES)})")
    if path.exists():
        return [name]
    if glob.has_magic(name):
        found = (Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207  # may begin anywhere
        return _videos(found, f"video={name} matches no video ({', '.join(SUFFIXES)})")
    raise FileNotFoundError(f"video={name} is not there")


def _videos(paths: Iterable[Path], else_say: str) -> list[str]:
    found = sorted(str(path) for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FileNotFoundError(else_say)
    return found
