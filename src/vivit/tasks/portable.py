"""A network as a file that runs without this repository: ONNX, or a program of torch.export.

The graph takes the bytes of RGB frames and normalises them itself, so that nobody can get their range wrong. It gives
logits, one output a head; average them over the views of a video, then take the softmax. Any number of clips may be
given at once. Class names, and how clips are cut, are in the file.
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

from vivit.structures import normalize_frames

INPUT, BATCH = "frames", "batch"
COLOURS = {
    "order": "RGB",
    "range": [0, 255],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "normalised": "inside the graph: x * 2 / 255 - 1",
}
"""How colours go in, and what the graph does with them; mean and deviation are of colours in [0, 1]."""
USAGE = (
    "Input frames: uint8 [batch, frames, height, width, 3], RGB, 0 to 255; normalised inside. Outputs: logits, one "
    "array a head, classes in the order of heads. Of a video of n frames, room = max(0, n - frames * stride); the view "
    "of each place [part, whole] takes the frames (int(part * (room / whole)) + stride * i) % n: a short video starts "
    "again. The short side is scaled to resize, the other rounded down; the crop's corner is ceil(share * what is left "
    "over), the share being one of crops along the longer side and 0.5 along the other. Resampling fused: the crop's "
    "edges, rounded to whole pixels of the source, half to even, are cut first, and scaled once, bilinearly, by "
    "libswscale; reference: the whole picture is scaled first, bilinearly with half-pixel centres and without "
    "antialiasing, cut to whole levels. Where square_pixels is true, the width is that which a player shows. "
    "Average logits over the views of a video before the softmax (average: logits), "
    "or each head's softmax over them (probabilities)."
)
ONE_FILE = 2**31 - 2**24
"""Bytes of weights that fit into one file of ONNX, which ends at 2 GiB; more lie beside it in <name>.data."""
TOLD = "vivit.json"
"""Name of what a torch.export file tells beside its program."""

Logits = dict[str, Float[np.ndarray, "b _k"]]


class FromBytes(nn.Module):
    """A network between the bytes of frames and one array of logits a head."""

    def __init__(self, network: nn.Module, sizes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.sizes = list(sizes)

    def forward(self, frames: UInt8[Tensor, "b f h w 3"]) -> tuple[Tensor, ...]:
        """Score clips."""
        return self.network(normalize_frames(frames, torch.float32)).split(self.sizes, dim=1)


def _program(network: nn.Module, heads: Mapping[str, Sequence[str]], clip: tuple[int, int, int]) -> Any:
    example = torch.zeros(2, *clip, 3, dtype=torch.uint8)
    whole = FromBytes(network, [len(names) for names in heads.values()]).eval()
    return torch.export.export(whole, (example,), dynamic_shapes=({0: torch.export.Dim(BATCH)},))


def save_onnx(
    network: nn.Module,
    heads: Mapping[str, Sequence[str]],
    clip: tuple[int, int, int],
    told: Mapping[str, Any],
    file: Path,
) -> None:
    """Write ONNX; ``clip`` is frames, height and width, ``told`` goes into the file's metadata_props as JSON."""
    program = torch.onnx.export(
        _program(network, heads, clip), dynamo=True, input_names=[INPUT], output_names=list(heads), verbose=False
    )
    assert program is not None
    _name_batch(program.model.graph)
    words = {key: json.dumps(value, allow_nan=False) for key, value in _all(told).items()}
    program.model.metadata_props.update(words | {"usage": USAGE})
    size = sum(weight.numel() * weight.element_size() for weight in network.state_dict().values())
    program.save(file, external_data=size > ONE_FILE)


def _all(told: Mapping[str, Any]) -> dict[str, Any]:
    return {**told, "colours": COLOURS}


def _name_batch(graph: Any) -> None:
    """Call the axis of clips ``batch``, wherever a shape has it; the exporter makes up a name such as s41."""
    made_up = graph.inputs[0].shape[0].value
    values = [*graph.inputs, *graph.outputs, *(value for node in graph.all_nodes() for value in node.outputs)]
    for value in values:
        for axis, length in enumerate(value.shape or ()):
            said = getattr(length, "value", None)
            if isinstance(said, str):
                value.shape[axis] = re.sub(rf"\b{re.escape(made_up)}\b", BATCH, said)


def run_onnx(file: Path, frames: UInt8[np.ndarray, "b f h w 3"]) -> Logits:
    """Run a file in onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT: frames}), strict=True))


def save_program(
    network: nn.Module,
    heads: Mapping[str, Sequence[str]],
    clip: tuple[int, int, int],
    told: Mapping[str, Any],
    file: Path,
) -> None:
    """Write a program of torch.export, with what is ``told`` in its extra file ``vivit.json``."""
    extra = {TOLD: json.dumps({**_all(told), "usage": USAGE}, allow_nan=False)}
    torch.export.save(_program(network, heads, clip), file, extra_files=extra)


def run_program(file: Path, frames: UInt8[np.ndarray, "b f h w 3"]) -> Logits:
    """Run a file with torch alone."""
    extra = {TOLD: ""}
    program = torch.export.load(file, extra_files=extra)
    with torch.inference_mode():
        found = program.module()(torch.from_numpy(frames))
    return {head: logits.numpy() for head, logits in zip(json.loads(extra[TOLD])["heads"], found, strict=True)}


PORTABLE: dict[str, tuple[Callable[..., None], Callable[[Path, UInt8[np.ndarray, "b f h w 3"]], Logits]]] = {
    ".onnx": (save_onnx, run_onnx),
    ".pt2": (save_program, run_program),
}
"""How each kind of file, told by its suffix, is written and run."""
