"""Draw the moving picture of the documents: clips, where the network looks, and what it answers.

From the run folder of a prediction with ``explain=true``::

    python src/train.py model=factorised_encoder hydra.run.dir=logs/train/runs/film
    V=data/motion/test; FILMS="[$V/00000.mp4,$V/00026.mp4,$V/00004.mp4,$V/00043.mp4]"
    python src/predict.py ckpt_path=logs/train/runs/film video=$FILMS explain=true hydra.run.dir=logs/predict/film
    python docs/pictures/draw_film.py logs/predict/film
"""

import json
import sys
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from vivit import VideoReader

TARGET = Path(__file__).with_name("film.webp")
SIDE, GAP, LINE = 184, 8, 24
"""Pixels of a panel, between two, and of a line of text."""
STRIDE = 2
"""Frames of the file from one of the clip to the next, as the embedded data set has it."""
PAUSE = 900
"""Milliseconds for which the last picture stays."""
INK = (36, 41, 46)
QUALITY = 70
"""Of the compression, up to 100."""


def film(folder: Path) -> tuple[list[Image.Image], float]:
    """Return the pictures, a column a video, and the milliseconds of each."""
    answers = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))["predictions"]
    columns = [column(folder / f"{place}_{Path(answer['name']).stem}", answer) for place, answer in enumerate(answers)]
    with VideoReader(answers[0]["video"]) as reader:
        milliseconds = 1000 * STRIDE / float(reader.fps)
    return [beside(list(pictures)) for pictures in zip(*columns, strict=True)], milliseconds


def column(folder: Path, answer: dict) -> list[Image.Image]:
    """Return the pictures of a video: the clip above, attention on it below, under the answer."""
    (classes,) = answer["classes"].values()
    text = f"{classes[0]['class']}  {classes[0]['probability']:.0%}"
    with VideoReader(folder / "attention.mp4") as reader:
        overlays = reader[:]
    with VideoReader(answer["video"]) as reader:
        first = round(answer["attention"]["moments"][0]["second"] * float(reader.fps))
        frames = reader[[(first + STRIDE * number) % len(reader) for number in range(len(overlays))]]
    return [panel(frame, overlay[: overlay.shape[1]], text) for frame, overlay in zip(frames, overlays, strict=True)]


def panel(frame: object, overlay: object, text: str) -> Image.Image:
    """Return a frame of the clip, the same with attention, and a line of text."""
    picture = Image.new("RGB", (SIDE, 2 * SIDE + GAP + LINE), "white")
    size = (SIDE, SIDE)
    picture.paste(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC), (0, 0))
    picture.paste(Image.fromarray(overlay).resize(size, Image.Resampling.BICUBIC), (0, SIDE + GAP))
    font = ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 15)
    ImageDraw.Draw(picture).text((SIDE / 2, 2 * SIDE + GAP + LINE / 2 + 2), text, INK, font, anchor="mm")
    return picture


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures in a row."""
    row = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, pictures[0].height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (SIDE + GAP), 0))
    return row


if __name__ == "__main__":
    pictures, milliseconds = film(Path(sys.argv[1]))
    durations = [round(milliseconds)] * (len(pictures) - 1) + [PAUSE]
    pictures[0].save(TARGET, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=QUALITY)
