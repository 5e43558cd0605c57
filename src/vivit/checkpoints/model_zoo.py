"""Addresses of public weight files. Nothing here downloads."""

import os
from pathlib import Path

from vivit.checkpoints.run_checkpoint import checkpoint_of_run
from vivit.errors import ConfigError

_VITS = "https://storage.googleapis.com/vit_models/imagenet21k"
_VIVITS = "https://storage.googleapis.com/scenic-bucket/vivit"
PUBLISHED = {
    **{f"ViT-{name}.npz": f"{_VITS}/ViT-{name}.npz" for name in ("B_16", "L_16", "H_14")},
    **{f"dinov2-{size}": f"https://huggingface.co/facebook/dinov2-{size}" for size in ("small", "base", "large")},
    **{
        f"{name}/checkpoint": f"{_VIVITS}/{name}/checkpoint"
        for name in (
            "kinetics_400/vivit_base_16x2_unfactorized",
            "kinetics_400/vivit_base_16x2_fe",
            "kinetics_400/vivit_large_16x2_fe",
            "kinetics_600/vivit_large_16x2_fe",
            "epic_kitchens/vivit_large_16x2_fe",
        )
    },
}
"""Addresses by the end of a path: the paper's image ViTs, its authors' ViViTs, DINOv2; all under Apache-2.0."""
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""Files with the weights in a folder of Hugging Face's; the first one wins."""


def resolve_weight_file(path: str | os.PathLike[str], key: str = "weights.source") -> Path:
    """Return the path of a weight file that the configuration has under ``key``, itself or its folder.

    That of a run folder is its best checkpoint.

    Raises ConfigError where it is missing; the message contains the address of a published file.
    """
    file = Path(path)
    if file.is_dir():
        held = [file / name for name in FOLDER_FILES if (file / name).is_file()]
        if not held and (checkpoint := checkpoint_of_run(file, key)) is not None:
            return checkpoint
        if not held:
            raise ConfigError(
                key,
                file,
                f"is a folder without {' or '.join(FOLDER_FILES)}",
                "set the file in it that holds the weights",
            )
        return held[0]
    if not file.is_file():
        address = next((address for end, address in PUBLISHED.items() if file.match(end)), None)
        or_none = "; weights=null starts from random weights" if key == "weights.source" else ""
        remedy = f"get it from {address}" if address else "docs/weights.md lists public ones"
        raise ConfigError(key, file, "there is no such file", f"{remedy}, or set another{or_none}")
    return file
