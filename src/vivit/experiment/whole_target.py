"""What a command is asked to write: there as a whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def whole_target(target: Path) -> Iterator[Path]:
    """Yield a place to write ``target`` to, a file or a folder; what is there moves to the target if all goes well.

    Folders above the target are made only then. Raises FileExistsError where something is there by that time.
    """
    there = next(folder for folder in target.absolute().parents if folder.exists())
    with TemporaryDirectory(dir=there, prefix=f".{target.name}.") as folder:
        yield Path(folder) / target.name
        written = sorted(Path(folder).iterdir(), reverse=True)  # what lies beside the target first
        for part in written:
            if (taken := target.parent / part.name).exists():
                raise FileExistsError(f"{taken} is there by now, and is not written over")
        target.parent.mkdir(parents=True, exist_ok=True)
        for part in written:
            part.replace(target.parent / part.name)
