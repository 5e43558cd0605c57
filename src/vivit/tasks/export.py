"""The task of `export.py`."""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from vivit.io import atomic_output, write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.structures import normalize_frames
from vivit.tasks.build import check_keys
from vivit.tasks.checkpoint import check_weights, read_network
from vivit.tasks.clips import Cutting
from vivit.tasks.portable import PORTABLE, Logits

EXPORT_KEYS = ("ckpt_path", "target", "paths")
SAME = 1e-4
"""Largest difference of logits that counts as the same, relative to the largest logit."""


def export(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Write a checkpoint's network as a file for others, after that file has said the same of random clips."""
    check_keys(cfg, EXPORT_KEYS)
    target = Path(cfg.target)
    if target.exists():
        raise FileExistsError(f"target={target} is there already, and is not written over")
    if target.suffix not in PORTABLE:
        raise ValueError(f"target={target} names no format: .onnx is ONNX, .pt2 a program of torch.export")
    if target.suffix == ".onnx" and (beside := Path(f"{target}.data")).exists():
        raise FileExistsError(f"{beside} is there already, where a large network's weights go; it is not written over")
    if target.suffix == ".onnx" and not (find_spec("onnxruntime") and find_spec("onnxscript")):
        raise ValueError("ONNX needs onnx, onnxscript and onnxruntime, which `make install` installs")
    for library in ("onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(library).setLevel(logging.WARNING)  # they tell of every constant that they merge
    network, record = read_network(Path(cfg.ckpt_path))
    check_weights(network, Path(cfg.ckpt_path))
    cutting = Cutting.of_record(record)
    heads, clip = record["heads"], (cutting.views.frames, *cutting.views.crop)
    save, run = PORTABLE[target.suffix]
    with atomic_output(target) as written:
        save(network.eval(), heads, clip, {"heads": heads} | cutting.told(), written)
        checked = compared(network, heads, clip, lambda frames: run(written, frames))
    write_json(job.folder / "results.json", {"target": str(target), "check": checked} | provenance())
    print(f"{cfg.ckpt_path} -> {target}, {target.stat().st_size / 1e6:,.1f} MB")
    print(f"On random clips: largest logit {checked['largest_logit']:.3g}, difference {checked['difference']:.3g}")
    return {}


def compared(network: Any, heads: Mapping[str, list[str]], clip: tuple[int, int, int], run: Any) -> dict[str, float]:
    """Compare what a file says with what the network says, one clip at a time and three. Raises ``ValueError``."""
    largest = difference = 0.0
    for clips in (1, 3):
        frames = np.random.default_rng(clips).integers(0, 256, (clips, *clip, 3), np.uint8)
        with torch.inference_mode():
            ours = network(normalize_frames(torch.from_numpy(frames), torch.float32)).numpy()
        theirs: Logits = run(frames)
        if list(theirs) != list(heads) or [part.shape[1] for part in theirs.values()] != [*map(len, heads.values())]:
            raise ValueError(f"the file gives {list(theirs)} instead of the heads {list(heads)}; nothing was written")
        found = np.concatenate([*theirs.values()], 1)
        for whose, logits in (("network", ours), ("file", found)):
            if not np.isfinite(logits).all():
                raise ValueError(
                    f"the {whose}'s logits of a random clip are not all finite numbers; nothing was written"
                )
        largest = max(largest, float(np.abs(ours).max()))
        difference = max(difference, float(np.abs(found - ours).max()))
    if not difference <= SAME * largest:
        raise ValueError(f"the file's logits differ from the network's by {difference:.3g}; nothing was written")
    return {"largest_logit": largest, "difference": difference}
