"""The classes of a video that comes as it is made: a line that moves, and a file of all windows."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vivit.data.readers.live_video import LiveVideo
from vivit.errors import ConfigError
from vivit.evaluation import top_k
from vivit.inference import Predictor
from vivit.inference.live import LiveClassifier, LiveWindow, live_windows, window_step
from vivit.inference.predictor import check_finite_logits
from vivit.io import write_json
from vivit.run_folder import provenance
from vivit.text import one_line

TIMELINE = "timeline.jsonl"
"""The file of all windows, a line each."""
CLASSES, NAME_LENGTH = 3, 24
"""Of the line on the terminal: classes, and letters of a name, at most."""


def predict_live(cfg: DictConfig, predictor: Predictor, source: str, folder: Path) -> None:
    """Write ``timeline.jsonl`` with the classes and logits of every window as it ends, and print the latest ones.

    On a terminal that is one line that changes, elsewhere a line a second of the video. Ctrl-C ends it as the end of
    the video does.
    """
    if cfg.explain:
        raise ConfigError("explain", True, f"needs a video that can be read again, and {source} cannot", "leave it out")
    predictor.preprocessing = predictor.preprocessing.sliding(typed=bool(cfg.get("views")))
    views = predictor.preprocessing.views
    count, end, started, interrupted = 0, 0.0, time.monotonic(), False
    with (
        LiveVideo(source, square_pixels=predictor.preprocessing.resampling.square_pixels) as video,
        (folder / TIMELINE).open("w", encoding="utf-8") as timeline,
    ):
        period = 1 / views.fps if views.fps else video.rate and views.step / video.rate
        step = window_step(predictor.network, cfg.every, period)
        classifier = LiveClassifier(predictor.network, step, predictor.device, cfg.streaming)
        line = LiveLine()
        try:
            for window in live_windows(video, predictor.preprocessing, classifier):
                row = window_row(window, predictor, cfg.top_k)
                print(json.dumps(row, ensure_ascii=False), file=timeline, flush=True)
                count, end = count + 1, window.end
                line.show(row, predictor.classes, time.monotonic() - started)
        except KeyboardInterrupt:
            interrupted = True
        line.end()
    results = {"ckpt_path": str(cfg.ckpt_path), "video": source, "every": cfg.every, "windows": count, "seconds": end}
    write_json(folder / "predictions.json", results | {"interrupted": interrupted, "timeline": TIMELINE} | provenance())
    print(f"{count} windows of {end:.1f} s, in {folder / TIMELINE}")


def window_row(window: LiveWindow, predictor: Predictor, k: int | None) -> dict[str, Any]:
    """Return span, classes and logits of a window, averaged over its crops, in plain values."""
    logits = check_finite_logits(predictor.aggregator(window.logits[None])[0], "the live video")
    span = {"start": round(window.start, 3), "end": round(window.end, 3)}
    return span | top_k(logits, predictor.classes, k) | {"logits": [round(value, 5) for value in logits.tolist()]}


class LiveLine:
    """The latest classes on a terminal, in one line that changes; elsewhere in a line a second of the video."""

    def __init__(self) -> None:
        self._moves, self._second = sys.stdout.isatty(), -1

    def show(self, row: Mapping[str, Any], classes: Mapping[str, Any], elapsed: float) -> None:
        """Print the classes of a window; ``elapsed`` are the seconds since the video began."""
        if not self._moves and int(row["end"]) == self._second:
            return
        self._second = int(row["end"])
        parts = [
            "  ".join(
                f"{one_line(each['class'])[:NAME_LENGTH]} {100 * each['probability']:.0f} %"
                for each in row[head][:CLASSES]
            )
            or "none"
            for head in classes
        ]
        text = f"{row['end']:8.1f} s  {'  |  '.join(parts)}  ({row['end'] / max(elapsed, 1e-3):.1f}x real time)"
        print(f"\r\033[K{text}" if self._moves else text, end="" if self._moves else "\n", flush=True)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._moves and self._second >= 0:
            print()
