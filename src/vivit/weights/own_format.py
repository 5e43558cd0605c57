"""Networks of this repository as a source: the names, and what a checkpoint tells of itself."""

from collections.abc import Mapping
from typing import Any

from vivit.models.embedding import uniform_frames
from vivit.weights.backbone import Format

_END = "(weight|bias)"

OWN = Format(
    name="a network of this repository",
    sign=r"(?:network\.)?tokeniser\.projection\.weight",
    names={
        rf"(?:network\.)?tokeniser\.projection\.{_END}": r"patches.\1",
        r"(?:network\.)?(?:encoder|spatial)\.(.*)": r"encoder.\1",
        r"(?:network\.)?temporal\.(.*)": r"temporal.\1",
        r"(?:network\.)?head\.(.*)": r"head.\1",
    },
    gelu="tanh",
)


def grid(model: Mapping[str, Any]) -> tuple[int, int, int]:
    """Tokens over time, rows and columns of the network that a record describes."""
    tokeniser, frames = model["tokeniser"], model["frames"]
    t, h, w = tokeniser.get("tubelet") or (1, *tokeniser["patch"])
    times = frames // t if "tubelet" in tokeniser else len(uniform_frames(frames, tokeniser["frames"]))
    return times, model["height"] // h, model["width"] // w
