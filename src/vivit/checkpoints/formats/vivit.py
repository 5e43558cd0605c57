"""Networks of this repository as a source: the names, and the grid that a checkpoint stores."""

from collections.abc import Mapping
from typing import Any

import torch

from vivit.checkpoints.neutral_state_dict import KeyFormat
from vivit.models import build_tokeniser

_END = "(weight|bias)"

VIVIT = KeyFormat(
    name="a network of this repository",
    signature=r"(?:network\.)?tokeniser\.projection\.weight",
    names={
        rf"(?:network\.)?tokeniser\.projection\.{_END}": r"patches.\1",
        r"(?:network\.)?(?:encoder|spatial)\.(.*)": r"encoder.\1",
        r"(?:network\.)?temporal\.(.*)": r"temporal.\1",
        r"(?:network\.)?head\.(.*)": r"head.\1",
    },
    gelu="tanh",
)


def token_grid(model: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the number of tokens over time, rows and columns of the network with these options."""
    with torch.device("meta"):
        tokeniser = build_tokeniser(**model["tokeniser"])
    return tokeniser.grid(model["frames"], model["height"], model["width"])
