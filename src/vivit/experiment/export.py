"""The task of `export.py`."""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from vivit.experiment.build import check_keys
from vivit.experiment.checkpoint import read_network
from vivit.experiment.clips import Cutting
from vivit.experiment.portable import PORTABLE, Logits
from vivit.jobs import Job
from vivit.runfolder import provenance, write_json
from vivit.shapes import colours

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
    views = Cutting.of_record(record).views
    heads = record["heads"]
    told = {"heads": heads, "clip": {key: getattr(views, key) for key in ("frames", "stride", "resize", "crop")}}
    save, run = PORTABLE[target.suffix]
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        written = Path(folder) / target.name
        save(network.eval(), heads, (views.frames, *views.crop), told, written)
        checked = compared(network, heads, (views.frames, *views.crop), lambda frames: run(written, frames))
        for file in sorted(Path(folder).iterdir(), reverse=True):  # what lies beside it first
            file.replace(target.parent / file.name)
    print(f"{cfg.ckpt_path} -> {target}, {target.stat().st_size / 1e6:,.1f} MB")
    print(f"On random clips: largest logit {checked['largest_logit']:.3g}, difference {checked['difference']:.3g}")
    write_json(job.folder / "results.json", {"target": str(target), "check": checked} | provenance())
    return {}


def compared(network: Any, heads: Mapping[str, list[str]], clip: tuple[int, int, int], run: Any) -> dict[str, float]:
    """Compare what a file says with what the network says, one clip at a time and three. Raises ``ValueError``."""
    largest = difference = 0.0
    for clips in (1, 3):
        frames = np.random.default_rng(clips).integers(0, 256, (clips, *clip, 3), np.uint8)
        with torch.inference_mode():
            ours = network(colours(torch.from_numpy(frames), torch.float32)).numpy()
        theirs: Logits = run(frames)
        if list(theirs) != list(heads) or [part.shape[1] for part in theirs.values()] != [*map(len, heads.values())]:
            raise ValueError(f"the file gives {list(theirs)} instead of the heads {list(heads)}; nothing was written")
        largest = max(largest, float(np.abs(ours).max()))
        difference = max(difference, float(np.abs(np.concatenate([*theirs.values()], 1) - ours).max()))
    if not difference <= SAME * largest:
        raise ValueError(f"the file's logits differ from the network's by {difference:.3g}; nothing was written")
    return {"largest_logit": largest, "difference": difference}
