"""What an index tells of a file: found out by opening it, and on demand by decoding all of it."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from vivit.data.decode import VideoError, VideoFile
from vivit.data.index import SCHEMA

LOST = 0.1
"""Share of the listed frames that need not come out of the decoder. Files with packed B-frames list a few that nobody
is meant to see; a full decode finds them out, and the index does not name them."""


def probe(root: Path, path: str, *, decode: bool = False) -> dict[str, Any]:
    """Make the row of the index of one file, or of one folder of pictures, below ``root``.

    The first frame is always decoded, all frames only with ``decode``. Whatever is wrong stands in ``problem``.
    """
    file = root / path
    row = dict.fromkeys(SCHEMA.names) | {"path": path, "bytes": os.stat(file).st_size, "decoded": decode}  # noqa: PTH116
    try:
        return row | (_of_pictures(file) if file.is_dir() else _of_video(file, decode))
    except VideoError as error:
        return row | {"problem": error.reason}
    except OSError as error:
        return row | {"problem": f"cannot be read ({error.strerror})"}


def _of_pictures(folder: Path) -> dict[str, Any]:
    count = sum(1 for name in os.listdir(folder) if name.lower().endswith((".jpg", ".jpeg")))  # noqa: PTH208
    return {"codec": "jpeg", "frames": count, "problem": None if count else "holds no JPEG pictures"}


def _of_video(file: Path, decode: bool) -> dict[str, Any]:
    with VideoFile(str(file)) as video:
        stamps, unit, rate = video.stamps, float(video.time_base), float(video.stream.average_rate or 0)
        facts: dict[str, Any] = {
            "codec": video.stream.codec_context.name,
            "width": video.stored[1],
            "height": video.stored[0],
            "rotation": video.orientation.degrees,
        }
        if next(video.frames(video.damage()), None) is None:
            facts["problem"] = "none of its frames can be decoded"
        elif decode:
            damage, listed = video.damage(), len(stamps)
            shown = {video.moment(key): key for key, _ in video.frames(damage)}
            stamps = [stamp for stamp in stamps if stamp in shown]
            damaged = sum(damage.spoils(shown[stamp]) for stamp in stamps)
            if len(stamps) < (1 - LOST) * listed:
                facts["problem"] = f"{listed - len(stamps)} of {listed} frames cannot be decoded"
            elif damaged:
                facts["problem"] = f"{damaged} of {listed} frames are damaged"
    times = timeline(stamps, unit, rate)
    if video.distrusted:  # readers must not look for frames by these
        times |= dict.fromkeys(("stamp", "step", "stamps"))
    return facts | times


def timeline(stamps: Sequence[int], unit: float, rate: float) -> dict[str, Any]:
    """Say when the frames are shown: by first timestamp and step where that is exact, else by all timestamps.

    ``unit`` is the length of a tick in seconds, ``rate`` the frames a second of a file with one frame.
    """
    if not stamps:
        return {"frames": 0}
    steps = {b - a for a, b in pairwise(stamps)}
    step = (steps or {1}).pop() if len(steps) < 2 else None
    if step == 0:
        step = None
    span = (stamps[-1] - stamps[0]) * unit
    fps = (len(stamps) - 1) / span if span > 0 else rate
    return {
        "fps": fps,
        "seconds": span + (1 / fps if fps else 0),
        "frames": len(stamps),
        "stamp": stamps[0],
        "step": step,
        "stamps": None if step else list(stamps),
    }
