"""Exported model files have the logits of their checkpoint, in other runtimes too."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from films import film
from networks import make_network
from torch import nn

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.errors import CheckpointError, UserError
from vivit.inference.export import EXPORT_FORMATS
from vivit.inference.load import LoadedModel
from vivit.launch import Job
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tubelets,
    UniformFrames,
)
from vivit.structures import MultiLabel, Video
from vivit.tasks.clip_settings import data_record
from vivit.tasks.export import export
from vivit.tasks.predictor import build_predictor
from vivit.tasks.weight_formats import write_vivit

REPOSITORY = Path(__file__).parents[1]
CLIP = {"frames": 6, "height": 20, "width": 21}
WIDTHS = {"depth": 2, "num_heads": 2, "mlp_dim": 10}
TEMPORAL = {"temporal_depth": 1, "temporal_num_heads": 4, "temporal_mlp_dim": 14}
HEADS = {"noun": ["a", "b", "ü"], "verb": ["x", "y"]}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "spatiotemporal": (SpatioTemporal, {}),
    "factorised_encoder": (FactorisedEncoder, TEMPORAL),
    "average_pool": (FactorisedEncoder, TEMPORAL | {"temporal_depth": 0, "pool": "mean"}),
    "attentive_pool": (FactorisedEncoder, TEMPORAL | {"temporal_depth": 0, "frame_pool": "query"}),
    "factorised_self_attention": (FactorisedSelfAttention, {"gelu": "erf"}),
    "factorised_dot_product": (FactorisedDotProduct, {"representation_size": 9}),
}
pytestmark = pytest.mark.usefixtures("untyped")  # shapes with a symbol for the batch are no numbers to compare


def network(model: str, sampled: bool = False) -> nn.Module:
    torch.manual_seed(0)
    cls, more = NETWORKS[model]
    cut = UniformFrames(dim=8, num_frames=3, patch=(5, 3)) if sampled else Tubelets(dim=8, tubelet=(2, 5, 3))
    net = make_network(cls, cut, num_classes=5, **CLIP, **WIDTHS, **more)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net.eval()


@pytest.fixture
def exported(composed, tmp_path: Path) -> Callable[..., Path]:
    def exported(net: nn.Module, target: str, *words: str) -> Path:
        data = {"frames": 6, "stride": 4, "resize": 24, "crop": [20, 21]}
        write_vivit(LoadedModel(net, "", HEADS, **data_record(data)), tmp_path / "net.ckpt")
        cfg = composed(f"ckpt_path={tmp_path / 'net.ckpt'}", f"target={tmp_path / target}", *words, name="export")
        cfg.paths.run = str(tmp_path)
        export(cfg, Job(folder=tmp_path, choices={}, overrides=[], sweep=None))
        return tmp_path / target

    return exported


def clips(number: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (number, *CLIP.values(), 3), np.uint8)


def expected(net: nn.Module, frames: np.ndarray) -> np.ndarray:
    """By the documented formula: x * 2 / 255 - 1, colours before frames."""
    with torch.inference_mode():
        return net(torch.from_numpy(frames).permute(0, 4, 1, 2, 3) * (2 / 255) - 1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "sampled"), [*((model, False) for model in NETWORKS), ("factorised_encoder", True)])
def test_onnx_logits_equal_the_network_s(model: str, sampled: bool, exported, tmp_path: Path, capsys) -> None:
    net = network(model, sampled)
    file = exported(net, "deep/clip.onnx")
    assert "its logits differ by" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (frames,) = session.get_inputs()
    assert (frames.name, frames.type, frames.shape[1:]) == ("frames", "tensor(uint8)", [6, 20, 21, 3])
    assert [output.name for output in session.get_outputs()] == ["noun", "verb"]
    for number in (1, 2, 5):
        found = np.concatenate(session.run(None, {"frames": clips(number)}), 1)
        logits = expected(net, clips(number))
        assert np.abs(logits).max() > 0.1
        np.testing.assert_allclose(found, logits, atol=1e-4 * max(1, np.abs(logits).max()))
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["heads"]) == HEADS
    assert json.loads(told["clip"]) == {"frames": 6, "stride": 4, "resize": 24, "crop": [20, 21]}
    assert json.loads(told["resampling"]) == "fused"
    assert "uint8" in told["usage"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["clip.onnx"]
    onnx.checker.check_model(file)
    named_axes(onnx.load(file).graph)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["spatiotemporal", "factorised_dot_product"])
def test_torch_export_logits_equal_the_network_s(model: str, exported) -> None:
    net = network(model)
    extra = {"vivit.json": ""}
    program = torch.export.load(exported(net, "clip.pt2"), extra_files=extra).module()
    assert json.loads(extra["vivit.json"])["heads"] == HEADS
    for number in (1, 4):
        found = torch.cat(program(torch.from_numpy(clips(number))), 1).detach().numpy()
        logits = expected(net, clips(number))
        np.testing.assert_allclose(found, logits, atol=1e-4 * max(1, np.abs(logits).max()))


@pytest.mark.parametrize(
    ("words", "key", "message"),
    [
        (["target=taken.onnx"], "target", "taken.onnx: exists"),
        (["target=large.onnx"], "target", "large.onnx.data, which exists"),
        (["target=clip.h5"], "target", r"clip.h5: .* \*.onnx for ONNX, or \*.pt2"),
        (["ckpt_path=taken.onnx"], None, "taken.onnx: is not a checkpoint of this repository"),
        (["+opset=9"], "opset", "unknown key"),
    ],
)
def test_wrong_targets_and_checkpoints_are_typed_errors(
    words, key, message, exported, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("taken.onnx", "large.onnx.data"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=message) as error:
        exported(network("spatiotemporal"), "clip.onnx", *words)
    assert error.value.key == key
    assert (tmp_path / "taken.onnx").read_bytes() == (tmp_path / "large.onnx.data").read_bytes() == b"mine"
    assert not (tmp_path / "clip.onnx").exists()


@pytest.mark.slow
def test_file_with_other_logits_is_not_written(exported, tmp_path: Path, monkeypatch) -> None:
    """The weights change between export and check, as a wrong export would have them."""
    save, run = EXPORT_FORMATS[".pt2"]

    def wrong(net: nn.Module, *rest: Any) -> None:
        save(net, *rest)
        with torch.no_grad():
            net.head.projection.bias += 0.01 * (1 + net.head.projection.bias.abs().max() * 100)

    monkeypatch.setitem(EXPORT_FORMATS, ".pt2", (wrong, run))
    with pytest.raises(UserError, match="differ from the network's by"):
        exported(network("factorised_encoder"), "clip.pt2")
    assert not list(tmp_path.glob("*.pt2")) and not list(tmp_path.glob(".*"))


FAULTS = ["head.projection.weight", "spatial.positions", "spatial.blocks.0.norm_mlp.bias", "tokeniser.projection.bias"]


@pytest.mark.parametrize(("name", "value"), [*zip(FAULTS, (float("nan"), float("inf")) * 2, strict=True)])
def test_network_with_non_finite_weights_is_refused(name, value, exported, tmp_path: Path) -> None:
    net = network("factorised_encoder")
    with torch.no_grad():
        net.get_parameter(name).view(-1)[0] = value
    with pytest.raises(CheckpointError, match="NaN or infinite; nothing was written") as error:
        exported(net, "deep/clip.pt2")
    assert (error.value.file, error.value.key) == (str(tmp_path / "net.ckpt"), name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.ckpt"]


@pytest.mark.slow
def test_network_with_non_finite_logits_is_refused(exported, tmp_path: Path) -> None:
    net = network("factorised_encoder")
    with torch.no_grad():
        net.head.projection.weight.fill_(3e38)
    with pytest.raises(UserError, match="the network's logits of a random clip are not all finite"):
        exported(net, "deep/clip.pt2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.ckpt"]


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_runtime_with_non_finite_logits_is_refused(value, exported, tmp_path: Path, monkeypatch) -> None:
    save, run = EXPORT_FORMATS[".pt2"]

    def wrong(file: Path, frames: np.ndarray) -> dict[str, np.ndarray]:
        found = run(file, frames)
        found["verb"] = found["verb"].copy()
        found["verb"][-1, 1] = value
        return found

    monkeypatch.setitem(EXPORT_FORMATS, ".pt2", (save, wrong))
    with pytest.raises(UserError, match="the file's logits of a random clip are not all finite"):
        exported(network("factorised_encoder"), "deep/clip.pt2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.ckpt"]


def named_axes(graph: onnx.GraphProto) -> None:
    """The axis of clips is called so at both ends, and no axis between has a name that the exporter made up."""
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.input, *graph.output)}
    assert {name: [axis.dim_param or axis.dim_value for axis in shape] for name, shape in shapes.items()} == {
        "frames": ["batch", 6, 20, 21, 3],
        "noun": ["batch", 3],
        "verb": ["batch", 2],
    }
    inner = {axis.dim_param for value in graph.value_info for axis in value.type.tensor_type.shape.dim}
    assert not [name for name in inner if name.startswith("s") and name[1:].isdigit()]


PROGRAM = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "exported.md").read_text(encoding="utf-8"), re.DOTALL
)
FILMS = {"wide": (40, 40, 30), "high": (50, 34, 30), "short": (34, 48, 5), "upscale_frames": (18, 30, 22)}
"""Height, width and number of frames."""
STRIDE, FPS = {"stride": 2}, {"fps": 9}
REFERENCE = {"resampling": {"_target_": "vivit.data.transforms.ReferenceResize"}}
MULTI_LABEL = {"noun": HEADS["noun"], "verb": MultiLabel(HEADS["verb"], (0.3, 0.6))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("views", "changes", "heads"),
    [
        ({}, STRIDE, MULTI_LABEL),
        ({"temporal": 4, "spatial": 3}, STRIDE, HEADS),
        ({"temporal": 4}, FPS, HEADS),
        ({"temporal": 2, "average": "probabilities"}, FPS | REFERENCE, MULTI_LABEL),
    ],
    ids=["middle", "4x3", "by time", "reference"],
)
def test_the_program_in_the_documents_gives_the_probabilities_of_predict(
    views, changes, heads, composed, tmp_path, monkeypatch, capsys
) -> None:
    """From a file: which frames, which part of the picture, scaled how, repeated where the video is short."""
    grid = {"_target_": "vivit.data.view_samplers.MultiViewSampler", "_partial_": True} | views
    data = {"frames": 6, **changes, "resize": 29, "crop": [20, 21], "views": grid}
    net = network("spatiotemporal")
    write_vivit(LoadedModel(net, "", heads, **data_record(data)), tmp_path / "net.ckpt")
    words = [f"ckpt_path={tmp_path / 'net.ckpt'}", f"target={tmp_path / 'clip.onnx'}"]
    cfg = composed(*words, name="export")
    cfg.paths.run = str(tmp_path)
    export(cfg, Job(folder=tmp_path, choices={}, overrides=[], sweep=None))
    cfg = composed(words[0], "video=x", "num_workers=0", "device=cpu", name="predict")
    cfg.paths.run = str(tmp_path)
    predictor = build_predictor(cfg, Job(tmp_path, {}, [], None))
    (program,) = PROGRAM
    for name, (height, width, length) in FILMS.items():
        pixels = np.random.default_rng(0).integers(0, 256, (length, height, width, 3), np.uint8)
        file = film(tmp_path / f"{name}.mp4", pixels)
        expected = predictor(file, top_k=None)
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["run_onnx.py", str(tmp_path / "clip.onnx"), file])
        exec(compile(program, "docs/exported.md", "exec"), there := {})
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        classes = [(head, row["class"]) for head in heads for row in expected[head]]
        assert [tuple(row[:2]) for row in rows] == classes
        probabilities = [row["probability"] for head in heads for row in expected[head]]
        np.testing.assert_allclose([float(row[2]) for row in rows], probabilities, atol=1e-4)
        if "resampling" not in changes:
            reading = predictor.preprocessing
            clips = ClipDataset(
                [Video(file, ())], reading.views, FlipLabelMap(allowed=False), 0, resampling=reading.resampling
            )
            np.testing.assert_array_equal(there["clips"], clips[0].frames, "to the same bytes")
