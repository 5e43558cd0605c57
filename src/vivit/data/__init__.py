"""From video files to batches of clips."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivit.data.datamodule import VideoDataModule

__all__ = ["VideoDataModule"]


def __getattr__(name: str) -> Any:
    """Return the data module when it is first asked for: it imports Lightning, which inference does without."""
    if name != "VideoDataModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vivit.data.datamodule import VideoDataModule

    return VideoDataModule
