"""From video files to batches of clips."""

from vivit.data.datamodule import VideoDataModule

__all__ = ["VideoDataModule"]
