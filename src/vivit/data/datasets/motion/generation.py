"""Generation of the embedded data set on this machine: every scene drawn, encoded as a video, listed in CSV files."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.datasets.motion.drawing import render
from vivit.data.datasets.motion.scenes import DIFFICULTIES, FORMAT, SPLITS, Split, scene
from vivit.data.worker_processes import worker_pool
from vivit.errors import ConfigError
from vivit.io import wait_for_lock
from vivit.progress_bars import ProgressBar

COLUMNS = ("path", "verb", "noun", "background", "texture", "frames", *DIFFICULTIES)
"""Columns of the CSV file of a split."""


def encode(frames: UInt8[np.ndarray, "f h w 3"], path: Path) -> None:
    """Write frames as H.264 in MP4, 25 a second, with B-frames.

    The quality is higher than x264's default. At the default the key frame's noise stays frozen before an object and
    is coded anew behind it, which reveals the direction in a single frame.
    """
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "12", "preset": "veryfast", "bf": "2", "x264-params": "mbtree=0"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p", threads=1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def generate_if_missing(root: Path) -> None:
    """Generate the data set at ``root`` unless it exists. ``root`` is complete or absent, whatever interrupts this.

    Raises ``ConfigError`` where ``root`` holds something else, or videos of another format.
    """
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with wait_for_lock(root.parent / f".{root.name}.lock"):
            if not root.exists():
                partial = root.parent / f".{root.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                generate(partial)
                partial.rename(root)
    _check_format(root)


def generate(folder: Path, splits: Sequence[Split] = SPLITS, seed: int = 0) -> None:
    """Draw and encode every split into ``folder``, on all cores, and write a CSV file for each."""
    tasks = [(folder, split, index, seed) for split in splits for index in range(split.videos)]
    for split in splits:
        (folder / split.name).mkdir(parents=True)
    with worker_pool() as pool:
        results = pool.map(_generate_video, tasks, chunksize=16)
        rows = list(ProgressBar(results, "drawing motion", len(tasks), unit=" videos"))
    for split in splits:
        with (folder / f"{split.name}.csv").open("w", newline="", encoding="utf-8") as file:
            split_rows = [row for (_, task_split, _, _), row in zip(tasks, rows, strict=True) if task_split is split]
            csv.writer(file).writerows([COLUMNS, *split_rows])
    (folder / "format.txt").write_text(f"{FORMAT}\n")


def _generate_video(task: tuple[Path, Split, int, int]) -> tuple[str | int | float, ...]:
    """Draw and encode one video, and return its row of the CSV file."""
    folder, split, index, seed = task
    drawn = scene(split, index, seed)
    path = f"{split.name}/{index:05d}.mp4"
    encode(render(drawn), folder / path)
    difficulties = (round(value, 4) for value in astuple(drawn.difficulty))
    return path, drawn.verb, drawn.noun, drawn.background, drawn.texture, drawn.frames, *difficulties


def _check_format(root: Path) -> None:
    """Raise ``ConfigError`` unless the files at ``root`` were generated here, in the present format."""
    file = root / "format.txt"
    version = file.read_text().strip() if file.is_file() else None
    if version != str(FORMAT):
        content = "no data set that was generated here" if version is None else f"motion of format {version}"
        raise ConfigError(
            "data.root", root, f"holds {content}, not motion of format {FORMAT}", "move it away, or set another folder"
        )
