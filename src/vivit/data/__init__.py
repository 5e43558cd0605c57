"""From video files to batches of clips."""

from vivit.data.datamodule import VideoData

__all__ = ["VideoData"]
