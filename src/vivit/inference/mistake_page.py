"""``mistakes.png`` and ``mistakes.html``: the most confident mistakes of a test, with frames, and films to play."""

import base64
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vivit.clip_sheets import FRAME_WIDTH, SheetRow, draw_clips
from vivit.data.readers.open_video import is_frame_folder, open_video
from vivit.data.readers.video_error import VideoError
from vivit.data.views import CropBox
from vivit.errors import DataError
from vivit.evaluation.mistakes import Mistake, Mistakes
from vivit.inference.preview import is_playable, write_preview
from vivit.structures import Video
from vivit.text import beside_numbers, one_line
from vivit.web_pages import page_environment

log = logging.getLogger(__name__)

ON_SHEET, FRAMES = 8, 3
"""Mistakes on the picture; all are on the page. Frames of each."""
TRUE_COLOR, PREDICTED_COLOR, SOFT_COLOR = "#1b6e3c", "#b3261e", "#555555"
PREVIEWS = "mistakes"
"""Folder of films that browsers play, of those videos that they do not."""
QUALITY = 82
MIX_UPS, GUESS = 4, 0.2
"""Pairs of classes that the page names; by how much less probable the true class is where an answer is a guess."""
NO_VIDEOS = "scores alone have no frames: data=... data.root=... names the videos"


@dataclass(frozen=True, slots=True)
class MistakeCard:
    """A mistake with what can be seen of it."""

    mistake: Mistake
    file: str
    """The video's path."""
    frames: UInt8[np.ndarray, "f h w 3"] | None
    """None where it cannot be read."""
    problem: str | None
    links: Sequence[str]
    """Addresses of the film, relative to the page and absolute; the first one that plays is played."""

    @property
    def picture(self) -> str | None:
        """The frames side by side, as a data URI."""
        if self.frames is None:
            return None
        file = BytesIO()
        Image.fromarray(np.concatenate(list(self.frames), 1)).save(file, "JPEG", quality=QUALITY)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def write_mistakes(folder: Path, mistakes: Mistakes, videos: Sequence[Video] | None, split: str) -> None:
    """Write ``mistakes.png``, ``mistakes.html`` and, for videos that no browser plays, films into ``mistakes/``.

    ``videos`` are those of the split; None where only their scores are there, which leaves the page without frames.
    """
    cards = [_show(folder, number, mistake, videos) for number, mistake in enumerate(mistakes.first)]
    title = f"{mistakes.wrong:,} of {mistakes.answers:,} {split} answers are wrong"
    template = page_environment("vivit.inference", one_line=one_line, percent=percent).get_template("mistakes.html.j2")
    several = len({m.head for m in mistakes.first}) > 1
    lead = [*_mixed_up(mistakes, several), *_describe_selection(mistakes)]
    page = template.render(title=title, lead=lead, cards=cards, several=several)
    (folder / "mistakes.html").write_text(page, encoding="utf-8", errors="backslashreplace")
    on_sheet = [each for each in cards if each.frames is not None][:ON_SHEET]
    draw_clips(f"{title}; the most confident", [_row(each) for each in on_sheet]).savefig(folder / "mistakes.png")


def _mixed_up(mistakes: Mistakes, several: bool) -> Iterator[str]:
    """Yield which classes were mixed up most, of ``several`` heads with theirs; nothing where each pair was once."""
    named = []
    for head, true, predicted, number in mistakes.mix_ups[:MIX_UPS]:
        times = "once" if number == 1 else f"{number:,} times"
        named.append(f"{times} {one_line(true)} was called {one_line(predicted)}" + (f" ({head})" if several else ""))
    if named and any(number > 1 for *_, number in mistakes.mix_ups):
        yield f"Most often: {'; '.join(named)}."


def _describe_selection(mistakes: Mistakes) -> Iterator[str]:
    """Yield how many of all mistakes are shown, in which order, and whether they are hardly more than guesses."""
    first = mistakes.first
    if not first:
        return
    which = f"The {len(first)} most confident ones are shown" if len(first) < mistakes.wrong else "All are shown"
    yield f"{which}, the most confident first. A click on the frames plays the video."
    if all(m.true_probability is not None and m.probability - m.true_probability < GUESS for m in first):
        most = percent(first[0].probability)
        yield f"They are hardly more than guesses: the most confident one has {most}, the true class nearly as much."


def _row(card: MistakeCard) -> SheetRow:
    assert card.frames is not None
    mistake = card.mistake
    lines = [
        (f"predicted: {beside_numbers(mistake.predicted)}, {percent(mistake.probability)}", PREDICTED_COLOR),
        (f"true: {beside_numbers(mistake.true)}" + _of_true(mistake), TRUE_COLOR),
        (os.path.join(*Path(card.file).parts[-2:]), SOFT_COLOR),  # noqa: PTH118  # a name may end in a slash
    ]
    return SheetRow(card.frames, lines)


def _of_true(mistake: Mistake) -> str:
    return "" if mistake.true_probability is None else f", {percent(mistake.true_probability)}"


def percent(share: float) -> str:
    """Return a probability as text: never 100 % where it is not 1."""
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def _show(folder: Path, number: int, mistake: Mistake, videos: Sequence[Video] | None) -> MistakeCard:
    """Return a mistake with frames and links, and the reason where the video cannot be read."""
    if videos is None:
        return MistakeCard(mistake, mistake.path, None, NO_VIDEOS, ())
    video = videos[mistake.video]
    try:
        frames = read_frames(video)
    except (VideoError, DataError, OSError) as error:
        log.warning("no frames of a mistake: %s", error)
        return MistakeCard(mistake, video.path, None, str(error), _links(folder, video))
    return MistakeCard(mistake, video.path, frames, None, [*_preview(folder, number, video), *_links(folder, video)])


def read_frames(video: Video) -> UInt8[np.ndarray, "f h w 3"]:
    """Return a few frames of a video, spread over it, at most ``FRAME_WIDTH`` wide. Raises ``VideoError``."""
    with open_video(video, square_pixels=True) as opened:
        frames, height, width = opened.shape
        wide = min(width, FRAME_WIDTH)
        numbers = [round(frames * (2 * part + 1) / (2 * FRAMES)) for part in range(FRAMES)]
        size = max(1, round(height * wide / width)), wide
        (pictures,) = opened.read([min(at, frames - 1) for at in numbers], [CropBox(0, 0, height, width)], size)
    return np.asarray(pictures)


def _preview(folder: Path, number: int, video: Video) -> list[str]:
    """Write a film of a video that no browser plays; return its address, none where the video plays as it is."""
    if is_playable(video):
        return []
    file = folder / PREVIEWS / f"{number:02d}.mp4"
    file.parent.mkdir(exist_ok=True)
    try:
        write_preview(video, file)
    except (VideoError, DataError, OSError) as error:
        log.warning("no film of a mistake: %s", error)
        file.unlink(missing_ok=True)
        return []
    return [f"{PREVIEWS}/{file.name}"]


def _links(folder: Path, video: Video) -> list[str]:
    """Return the addresses of a video file, relative to the page and absolute, with the seconds of its segment."""
    if is_frame_folder(video):
        return []
    path = Path(video.path).absolute()
    part = "" if video.start is None else f"#t={video.start:g}" + ("" if video.end is None else f",{video.end:g}")
    relative = quote(os.fsencode(os.path.relpath(path, folder.absolute())))
    return [f"{relative}{part}", f"{path.as_uri()}{part}"]
