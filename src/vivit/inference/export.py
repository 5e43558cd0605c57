"""A network as a file that runs without this repository: ONNX, or a program of torch.export.

The graph takes the bytes of RGB frames and normalises them itself, so that their range cannot be wrong. It returns
logits, one output a head; average them over the views of a video, then take the softmax. Any number of clips may be a
batch. Class names and preprocessing are in the file.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vivit.errors import UserError
from vivit.structures import normalize_frames

INPUT, BATCH = "frames", "batch"
COLOURS = {
    "order": "RGB",
    "range": [0, 255],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "normalised": "inside the graph: x * 2 / 255 - 1",
}
"""Range of the input's colours and their normalisation in the graph; mean and deviation are of colours in [0, 1]."""
USAGE = (
    "Input frames: uint8 [batch, frames, height, width, 3], RGB, 0 to 255; normalised inside. Outputs: logits, one "
    "array a head, classes in the order of heads. Of a video of n frames, room = max(0, n - frames * stride); the view "
    "of each place [part, whole] takes the frames (int(part * (room / whole)) + stride * i) % n: a short video starts "
    "again. Where clip has fps in place of stride, n is the seconds from the first timestamp to the last, and as long "
    "again as the last but one; room = max(0, n - frames / fps), and the view takes the frames at the moments "
    "(part * (room / whole) + i / fps) % n: those nearest by their timestamps, the earlier of two, but none before its "
    "timestamp by more than half the median distance of timestamps. "
    "The short side is scaled to resize, the other rounded down; the crop's corner is ceil(share * what is left "
    "over), the share being one of crops along the longer side and 0.5 along the other. Resampling fused: the crop's "
    "edges, rounded to whole pixels of the source, half to even, are cut first, and scaled once, bilinearly, by "
    "libswscale; reference: the whole picture is scaled first, bilinearly with half-pixel centres and without "
    "antialiasing, cut to whole levels. Where square_pixels is true, the width is that which a player shows. "
    "Average logits over the views of a video before the softmax (average: logits), "
    "or each head's softmax over them (probabilities)."
)
MULTI_LABEL_USAGE = (
    " Heads in multi_label: take the sigmoid in place of the softmax (probabilities: average the views' sigmoids); a "
    "class is there whose probability reaches its number in multi_label."
)
"""What is added to ``USAGE`` where a video may have several classes of a head."""
MAX_ONNX_BYTES = 2**31 - 2**24
"""Bytes of weights that fit into one file of ONNX, which ends at 2 GiB; more are stored beside it in <name>.data."""
METADATA_FILE = "vivit.json"
"""Name of the metadata in a file of torch.export."""
TOLERANCE = 1e-4
"""Largest difference of logits that counts as rounding, relative to the largest logit."""

Logits = dict[str, Float[np.ndarray, "b _k"]]


class Uint8Wrapper(nn.Module):
    """A network that takes the bytes of frames and returns one tensor of logits a head."""

    def __init__(self, network: nn.Module, sizes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.sizes = list(sizes)

    def forward(self, frames: UInt8[Tensor, "b f h w 3"]) -> tuple[Tensor, ...]:
        """Return the logits of clips."""
        return self.network(normalize_frames(frames, torch.float32)).split(self.sizes, dim=1)


def save_onnx(
    network: nn.Module,
    heads: Mapping[str, Sequence[str]],
    clip: tuple[int, int, int],
    metadata: Mapping[str, Any],
    file: Path,
) -> None:
    """Write ONNX; ``clip`` is frames, height and width. ``metadata`` is stored in metadata_props as JSON."""
    program = torch.onnx.export(
        _program(network, heads, clip), dynamo=True, input_names=[INPUT], output_names=list(heads), verbose=False
    )
    assert program is not None
    _name_batch(program.model.graph)
    texts = {key: json.dumps(value, allow_nan=False) for key, value in {**metadata, "colours": COLOURS}.items()}
    program.model.metadata_props.update(texts | {"usage": _usage(metadata)})
    size = sum(weight.numel() * weight.element_size() for weight in network.state_dict().values())
    program.save(file, external_data=size > MAX_ONNX_BYTES)


def run_onnx(file: Path, frames: UInt8[np.ndarray, "b f h w 3"]) -> Logits:
    """Return the logits of clips by onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT: frames}), strict=True))


def save_program(
    network: nn.Module,
    heads: Mapping[str, Sequence[str]],
    clip: tuple[int, int, int],
    metadata: Mapping[str, Any],
    file: Path,
) -> None:
    """Write a program of torch.export, with ``metadata`` in its extra file ``vivit.json``."""
    extra = {METADATA_FILE: json.dumps({**metadata, "colours": COLOURS, "usage": _usage(metadata)}, allow_nan=False)}
    torch.export.save(_program(network, heads, clip), file, extra_files=extra)


def run_program(file: Path, frames: UInt8[np.ndarray, "b f h w 3"]) -> Logits:
    """Return the logits of clips by torch alone."""
    extra = {METADATA_FILE: ""}
    program = torch.export.load(file, extra_files=extra)
    with torch.inference_mode():
        outputs = program.module()(torch.from_numpy(frames))
    return {
        head: logits.numpy() for head, logits in zip(json.loads(extra[METADATA_FILE])["heads"], outputs, strict=True)
    }


EXPORT_FORMATS: dict[str, tuple[Callable[..., None], Callable[[Path, UInt8[np.ndarray, "b f h w 3"]], Logits]]] = {
    ".onnx": (save_onnx, run_onnx),
    ".pt2": (save_program, run_program),
}
"""How a file of each suffix is written and run."""


def compare_logits(
    network: nn.Module,
    heads: Mapping[str, Sequence[str]],
    clip: tuple[int, int, int],
    run: Callable[[UInt8[np.ndarray, "b f h w 3"]], Logits],
) -> dict[str, float]:
    """Return the largest logit and the largest difference of a file from its network, on batches of 1 and 3 clips.

    Raises UserError where they differ by more than rounding, or are not finite.
    """
    largest = difference = 0.0
    for clips in (1, 3):
        frames = np.random.default_rng(clips).integers(0, 256, (clips, *clip, 3), np.uint8)
        with torch.inference_mode():
            expected = network(normalize_frames(torch.from_numpy(frames), torch.float32)).numpy()
        outputs = run(frames)
        sizes = {head: part.shape[1] for head, part in outputs.items()}
        if list(sizes.items()) != [(head, len(names)) for head, names in heads.items()]:
            raise UserError(
                f"the file has the outputs {sizes}, the network the heads {list(heads)}; nothing was written"
            )
        actual = np.concatenate([*outputs.values()], 1)
        for source, logits in (("network", expected), ("file", actual)):
            if not np.isfinite(logits).all():
                raise UserError(
                    f"the {source}'s logits of a random clip are not all finite numbers; nothing was written"
                )
        largest = max(largest, float(np.abs(expected).max()))
        difference = max(difference, float(np.abs(actual - expected).max()))
    if not difference <= TOLERANCE * largest:
        raise UserError(f"the file's logits differ from the network's by {difference:.3g}; nothing was written")
    return {"largest_logit": largest, "difference": difference}


def _usage(metadata: Mapping[str, Any]) -> str:
    return USAGE + (MULTI_LABEL_USAGE if metadata.get("multi_label") else "")


def _program(network: nn.Module, heads: Mapping[str, Sequence[str]], clip: tuple[int, int, int]) -> Any:
    example = torch.zeros(2, *clip, 3, dtype=torch.uint8)
    wrapped = Uint8Wrapper(network, [len(names) for names in heads.values()]).eval()
    return torch.export.export(wrapped, (example,), dynamic_shapes=({0: torch.export.Dim(BATCH)},))


def _name_batch(graph: Any) -> None:
    """Rename the axis of clips to ``batch``, wherever a shape has it; the exporter makes up a name such as s41."""
    made_up = graph.inputs[0].shape[0].value
    values = [*graph.inputs, *graph.outputs, *(value for node in graph.all_nodes() for value in node.outputs)]
    for value in values:
        for axis, length in enumerate(value.shape or ()):
            symbol = getattr(length, "value", None)
            if isinstance(symbol, str):
                value.shape[axis] = re.sub(rf"\b{re.escape(made_up)}\b", BATCH, symbol)
