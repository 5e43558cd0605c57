"""Sample sheets: for every class a strip of pictures of some of its videos."""

import base64
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vivit.data.overview.videos import SEGMENT, VideoFacts
from vivit.data.readers.open_video import open_video
from vivit.data.readers.video_error import VideoError
from vivit.data.storage.remote_path import Folder
from vivit.data.storage.stored_file import StoredFile
from vivit.data.views import CropBox
from vivit.data.worker_processes import worker_pool
from vivit.structures import Video, label_columns, single_label_heads

HEIGHT, WIDEST = 96, 171
"""Pixels of a picture."""
MOST_PICTURES, MOST_OF_CLASS, LEAST_OF_CLASS = 600, 8, 2
QUALITY = 80
LATEST = 12
"""Number of the frame that is shown, where a video is that long: a later one takes longer to decode."""


def class_sheets(
    facts: VideoFacts, root: Folder, workers: int, stored: Callable[[str], StoredFile | None] = lambda _: None
) -> dict[str, dict[str, str]]:
    """Return a strip of pictures of each class, by head and class, as data URIs of JPEG.

    The videos are spread evenly over those of the class. Classes without a picture are left out. ``stored`` returns
    where a file lies that is none of a local disk.
    """
    tasks = [(head, name, videos) for head in facts.heads for name, videos in _samples(facts, head, root, stored)]
    sheets: dict[str, dict[str, str]] = {head: {} for head in facts.heads}
    with worker_pool(workers) as pool:
        for (head, name, _), sheet in zip(tasks, pool.map(_strip, [videos for *_, videos in tasks]), strict=True):
            if sheet is not None:
                sheets[head][name] = sheet
    return sheets


def _samples(
    facts: VideoFacts, head: str, root: Folder, stored: Callable[[str], StoredFile | None]
) -> Iterator[tuple[str, list[Video]]]:
    """Yield some usable videos of each class of a head."""
    usable = facts.videos["problem"].isna().to_numpy()
    names, columns = list(facts.heads[head]), label_columns(facts.heads)[head]
    per_class = max(LEAST_OF_CLASS, min(MOST_OF_CLASS, MOST_PICTURES // len(names)))
    single = head in single_label_heads(facts.heads)
    for number, name in enumerate(names):
        labels = facts.labels[:, columns]
        has = (labels[:, 0] == number if single else labels[:, number] == 1) & usable
        of_class = facts.videos.loc[has, ["path", *SEGMENT]].drop_duplicates("path")
        rows = np.unique(np.linspace(0, max(0, len(of_class) - 1), min(per_class, len(of_class))).round().astype(int))
        yield name, [_video(root, stored(row[0]), *row) for row in of_class.iloc[rows].itertuples(index=False)]


def _video(root: Folder, stored: StoredFile | None, path: str, *segment: float) -> Video:
    """Return a video by its row."""
    start, end, first, last = (None if np.isnan(number) else number for number in segment)
    frames = None if first is None or last is None else (int(first), int(last))
    return Video(str(stored or root / path), (), start, end, frames, stored=stored)


def _strip(videos: Sequence[Video]) -> str | None:
    """Return the pictures of some videos side by side; None where none can be read."""
    pictures = [picture for video in videos if (picture := _picture(video)) is not None]
    if not pictures:
        return None
    gap = np.full((HEIGHT, 4, 3), 128, np.uint8)
    strip = np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], 1)
    file = BytesIO()
    Image.fromarray(strip).save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture(video: Video) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return one frame of a video, of ``HEIGHT`` pixels; None where it cannot be read."""
    try:
        with open_video(video) as opened:
            frames, height, width = opened.shape
            size = HEIGHT, max(16, min(WIDEST, round(HEIGHT * width / height)))
            ((picture,),) = opened.read([min(LATEST, frames // 2)], [CropBox(0, 0, height, width)], size)
    except (VideoError, OSError):
        return None
    return np.asarray(picture)
