"""The logits of windows of a video that comes as it is made, in memory that does not grow."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vivit.data.readers.live_video import LiveVideo
from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError
from vivit.inference.preprocessing import Preprocessing
from vivit.inference.streaming import Streaming, StreamingClassifier, streaming_problem
from vivit.models import ViViT
from vivit.structures import normalize_frames


class LiveWindow(NamedTuple):
    """The logits of a window, one vector a crop, and its first and last moment in seconds from the first frame."""

    start: float
    end: float
    logits: Float[Tensor, "crops k"]


class SampledFrame(NamedTuple):
    """A frame that clips have, as their crops show it, and its moment in seconds."""

    seconds: float
    crops: UInt8[np.ndarray, "crops h w 3"]


def sample_frames(video: LiveVideo, preprocessing: Preprocessing) -> Iterator[SampledFrame]:
    """Yield the frames that clips consist of: one in ``stride``, or with ``fps`` that of each moment.

    A moment's frame is the one on screen then, from half a frame before it begins, as ``FrameTimes`` has it for files.
    """
    views, moments = preprocessing.views, 0
    latest: tuple[float, UInt8[np.ndarray, "crops h w 3"]] | None = None
    steps: deque[float] = deque(maxlen=100)
    for number, seconds in enumerate(video.seconds()):
        if views.fps is None:
            if number % int(views.step) == 0:
                yield SampledFrame(seconds, read_crops(video, preprocessing))
            continue
        if latest is not None:
            steps.append(seconds - latest[0])
            until = seconds - min(steps[-1], float(np.median(steps))) / 2
            while moments * views.step <= until + 1e-6:
                yield SampledFrame(moments * views.step, latest[1])
                moments += 1
        latest = seconds, read_crops(video, preprocessing)
    if latest is not None and not steps:
        yield SampledFrame(*latest)
    if latest is not None and steps:
        while moments * views.step < latest[0] + float(np.median(steps)) - 1e-6:
            yield SampledFrame(moments * views.step, latest[1])
            moments += 1


def read_crops(video: LiveVideo, preprocessing: Preprocessing) -> UInt8[np.ndarray, "crops h w 3"]:
    """Return the crops of the present frame."""
    views = preprocessing.views
    single = MultiViewSampler(frames=1, stride=1, resize=views.resize, crop=views.crop, spatial=views.spatial)
    return preprocessing.resampling(video, single(video.shape), views.crop)[:, 0]


class LiveClassifier:
    """Classifies windows of frames as they come, of which it keeps as many as a window has.

    Windows are ``step`` sampled frames apart. What the spatial encoder made of a temporal index serves all windows that
    contain it; with ``streaming`` "auto" only where the network does not read all of a clip together. Raises
    ConfigError where it does, and ``streaming`` is True.
    """

    def __init__(self, network: ViViT, step: int, device: torch.device, streaming: Streaming = "auto") -> None:
        self.network, self.step, self.device, self.length = network, step, device, network.clip_size[0]
        shared = streaming is True or (streaming == "auto" and streaming_problem(network) is None)
        self.parts = network.tokeniser.frames_per_token(self.length)
        self._memory = StreamingClassifier(network, len(self.parts)) if shared else None
        self._numbers: dict[tuple[int, ...], int] = {}
        """Of temporal indices in memory, by the frames that each is made of."""
        self._frames: deque[SampledFrame] = deque(maxlen=self.length)
        self.count = 0
        """Number of frames so far."""

    def push(self, frame: SampledFrame) -> Float[Tensor, "crops k"] | None:
        """Take the next frame; return the logits of the window that ends with it, if one does."""
        self._frames.append(frame)
        self.count += 1
        first = self.count - self.length
        if first < 0 or first % self.step:
            return None
        return self._classify(range(first, self.count), first + self.step)

    def flush(self) -> Float[Tensor, "crops k"] | None:
        """Return the logits of a video shorter than a window, whose frames are repeated; None where there were some."""
        if not 0 < self.count < self.length:
            return None
        return self._classify([number % self.count for number in range(self.length)], self.count)

    @property
    def start(self) -> float:
        """When the present window begins, in seconds."""
        return self._frames[0].seconds

    @torch.inference_mode()
    def _classify(self, numbers: Sequence[int], next_first: int) -> Float[Tensor, "crops k"]:
        if self._memory is None:
            return self.network(normalize_frames(self._crops(numbers), torch.float32)).float().cpu()
        window = [tuple(numbers[at] for at in part) for part in self.parts]
        missing = [index for index in dict.fromkeys(window) if index not in self._numbers]
        self._numbers |= {index: self._memory.count + at for at, index in enumerate(missing)}
        if missing:
            self._memory.encode(torch.stack([self._crops(index) for index in missing]))
        logits = self._memory.classify([[self._numbers[index] for index in window]])[0]
        self._numbers = {index: row for index, row in self._numbers.items() if index[0] >= next_first}
        self._memory.forget(min(self._numbers.values(), default=self._memory.count))
        return logits.cpu()

    def _crops(self, numbers: Sequence[int]) -> UInt8[Tensor, "crops f h w 3"]:
        """Return frames, by their numbers from the beginning of the video."""
        oldest = self.count - len(self._frames)
        return torch.from_numpy(np.stack([self._frames[number - oldest].crops for number in numbers], 1)).to(
            self.device
        )


def window_step(network: ViViT, every: float | None, period: float | None) -> int:
    """Return how many sampled frames, each of ``period`` seconds, windows are apart that are ``every`` seconds apart.

    Without ``every`` it is a temporal index. Raises ConfigError where the period is not known.
    """
    if every is None:
        first, *others = network.tokeniser.frames_per_token(network.clip_size[0])
        return others[0][0] - first[0] if others else len(first)
    if period is None:
        raise ConfigError("every", every, "and the header of this video has no rate", "leave every out")
    return max(1, round(every / period))


def live_windows(video: LiveVideo, preprocessing: Preprocessing, classifier: LiveClassifier) -> Iterator[LiveWindow]:
    """Yield the windows of a live video as they end; of a video shorter than one, the one in which it is repeated."""
    length, seconds = 0.0, 0.0
    for frame in sample_frames(video, preprocessing):
        length, seconds = frame.seconds - seconds, frame.seconds
        if (logits := classifier.push(frame)) is not None:
            yield LiveWindow(classifier.start, seconds + length, logits)
    if (logits := classifier.flush()) is not None:
        yield LiveWindow(classifier.start, seconds + length, logits)
