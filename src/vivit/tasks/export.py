"""The task of `export.py`."""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import check_weights, load_network, resolve_checkpoint_file
from vivit.errors import ConfigError
from vivit.inference import Preprocessing
from vivit.inference.export import EXPORT_FORMATS, compare_logits
from vivit.io import atomic_output, write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.config_checks import check_keys

ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def export(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Write a checkpoint's network as a model file, after that file has returned the same logits for random clips."""
    check_keys(cfg, "export")
    source, target = resolve_checkpoint_file(cfg.ckpt_path), Path(cfg.target)
    check_target(target)
    for library in ("onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(library).setLevel(logging.WARNING)  # they log every constant that they merge
    network, record = load_network(source)
    check_weights(network, source, "nothing was written")
    preprocessing = Preprocessing.from_plain(record["preprocessing"], source)
    heads, clip = record["classes"], (preprocessing.views.frames, *preprocessing.views.crop)
    save, run = EXPORT_FORMATS[target.suffix]
    with atomic_output(target) as output:
        thresholds = {"multi_label": record["multi_label"]} if "multi_label" in record else {}
        save(network.eval(), heads, clip, {"heads": heads} | thresholds | preprocessing.to_dict(), output)
        check = compare_logits(network, heads, clip, lambda frames: run(output, frames))
    write_json(job.folder / "results.json", {"target": str(target), "check": check} | provenance())
    print(f"{source} -> {target}, {target.stat().st_size / 1e6:,.1f} MB")
    print(
        f"The file was run on random clips: its logits differ by {check['difference']:.1g} at most from the "
        f"checkpoint's, the largest of which is {check['largest_logit']:.3g}"
    )
    return {}


def check_target(target: Path) -> None:
    """Raise ConfigError for a model file that cannot be written, or not without overwriting another."""
    if target.exists():
        raise ConfigError("target", target, "exists and is not overwritten", "set another file")
    if target.suffix not in EXPORT_FORMATS:
        raise ConfigError(
            "target", target, "has no known suffix", "set *.onnx for ONNX, or *.pt2 for a program of torch.export"
        )
    if target.suffix != ".onnx":
        if "\\" in target.name:
            raise ConfigError("target", target, "has a backslash, with which torch names no file", "set another name")
        return
    if (weights := Path(f"{target}.data")).exists():
        raise ConfigError(
            "target", target, f"a large network's weights go to {weights}, which exists", "set another file"
        )
    if missing := [package for package in ONNX_PACKAGES if not find_spec(package)]:
        raise ConfigError(
            "target",
            target,
            f"ONNX needs {', '.join(missing)}, which are not installed",
            "`make install`, or pip install them",
        )
