"""Where public weight files are to be had. Nothing here downloads."""

import os
from pathlib import Path

_VITS = "https://storage.googleapis.com/vit_models/imagenet21k"
_VIVITS = "https://storage.googleapis.com/scenic-bucket/vivit"
PUBLISHED = {f"ViT-{name}.npz": f"{_VITS}/ViT-{name}.npz" for name in ("B_16", "L_16", "H_14")} | {
    f"{name}/checkpoint": f"{_VIVITS}/{name}/checkpoint"
    for name in (
        "kinetics_400/vivit_base_16x2_unfactorized",
        "kinetics_400/vivit_base_16x2_fe",
        "kinetics_400/vivit_large_16x2_fe",
        "kinetics_600/vivit_large_16x2_fe",
        "epic_kitchens/vivit_large_16x2_fe",
    )
}
"""Addresses by the end of a path: the paper's image ViTs and its authors' ViViTs, all under Apache-2.0."""


def check_weight_file(path: str | os.PathLike[str]) -> Path:
    """Give the path of a weight file. Raises FileNotFoundError, which says where to get one of that name."""
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file} is a folder; say which file in it holds the weights")
    if not file.is_file():
        address = next((address for end, address in PUBLISHED.items() if file.match(end)), None)
        where = f"get it from {address}" if address else "README.md says where public ones are to be had"
        raise FileNotFoundError(f"there is no weight file {file}: {where}; weights.source names another")
    return file
