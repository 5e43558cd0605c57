"""Checks of tensors that come from files: dtype, finite numbers, names and shapes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vivit.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
"""Dtypes that float32 holds without loss."""
LISTED = 5
"""Keys of a kind that a message lists at most."""


def check_parameter(file: object, name: str, tensor: Tensor) -> None:
    """Raise CheckpointError unless a tensor can be a parameter: not empty, of finite numbers that float32 holds."""
    if tensor.dtype not in FLOATS or not tensor.numel():
        raise CheckpointError(
            file,
            f"is {tensor.dtype} of the shape {tuple(tensor.shape)}; parameters are float32, float16 or bfloat16, and "
            "not empty",
            key=name,
        )
    check_finite(file, name, tensor)


def check_finite(file: object, name: str, tensor: Tensor, remedy: str = "") -> None:
    """Raise CheckpointError, ending in ``remedy``, for a tensor with values that are NaN or infinite."""
    if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
        return
    bad = int((~tensor.isfinite()).sum())
    raise CheckpointError(file, f"{bad:,} of {tensor.numel():,} values are NaN or infinite", remedy, key=name)


def check_names(file: object, actual: Shapes, expected: Shapes) -> None:
    """Raise CheckpointError, listing everything that is wrong, unless both have the same names and shapes."""
    wrong = [
        (name, f"has the shape {actual[name]}, but this model with clips of this size needs {shape}")
        for name, shape in expected.items()
        if name in actual and actual[name] != shape
    ]
    missing = [(name, "is missing") for name in expected if name not in actual]
    unexpected = [(name, "is unexpected: this model has no such parameter") for name in actual if name not in expected]
    raise_problems(file, wrong, missing, unexpected)


def raise_problems(file: object, *kinds: Sequence[tuple[str, str]]) -> None:
    """Raise CheckpointError with the first few problems, as pairs of key and text, of each kind, if there are any."""
    problems = [problem for kind in kinds for problem in kind[:LISTED]]
    if not problems:
        return
    (key, first), *rest = problems
    more = sum(map(len, kinds)) - len(problems)
    texts = [first, *(f"{name!r} {text}" for name, text in rest)] + ([f"and {more} more"] if more else [])
    raise CheckpointError(file, "; ".join(texts), key=key)
