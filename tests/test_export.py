"""A file for others says what the checkpoint says, whoever runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from vivit.experiment import export
from vivit.experiment import export as task
from vivit.experiment.formats import Weights, write_ours
from vivit.jobs import Job
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tubelets,
    UniformFrames,
)

CLIP = {"frames": 6, "height": 20, "width": 21}
WIDTHS = {"depth": 2, "heads": 2, "mlp_dim": 10}
TEMPORAL = {"temporal_depth": 1, "temporal_heads": 4, "temporal_mlp_dim": 14}
HEADS = {"noun": ["a", "b", "ü"], "verb": ["x", "y"]}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "spatiotemporal": (SpatioTemporal, {}),
    "factorised_encoder": (FactorisedEncoder, TEMPORAL),
    "average_pool": (FactorisedEncoder, TEMPORAL | {"temporal_depth": 0, "pool": "mean"}),
    "factorised_self_attention": (FactorisedSelfAttention, {"gelu": "erf"}),
    "factorised_dot_product": (FactorisedDotProduct, {"representation": 9}),
}
pytestmark = pytest.mark.usefixtures("untyped")  # shapes with a symbol for the batch are no numbers to compare


def network(model: str, sampled: bool = False) -> nn.Module:
    torch.manual_seed(0)
    cls, more = NETWORKS[model]
    cut = UniformFrames(dim=8, frames=3, patch=(5, 3)) if sampled else Tubelets(dim=8, tubelet=(2, 5, 3))
    net = cls(cut, classes=5, **CLIP, **WIDTHS, **more)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net.eval()


@pytest.fixture
def exported(composed, tmp_path: Path) -> Callable[..., Path]:
    def exported(net: nn.Module, target: str, *words: str) -> Path:
        data = {"frames": 6, "stride": 4, "resize": 24, "crop": [20, 21]}
        write_ours(Weights(net, "", HEADS, data), tmp_path / "net.ckpt")
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


@pytest.mark.parametrize(("model", "sampled"), [*((model, False) for model in NETWORKS), ("factorised_encoder", True)])
def test_onnx_says_what_the_network_says(model: str, sampled: bool, exported, tmp_path: Path, capsys) -> None:
    net = network(model, sampled)
    file = exported(net, "deep/clip.onnx")
    assert "difference" in capsys.readouterr().out
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
    assert "uint8" in told["usage"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["clip.onnx"]
    onnx.checker.check_model(file)


@pytest.mark.parametrize("model", ["spatiotemporal", "factorised_dot_product"])
def test_a_program_of_torch_says_what_the_network_says(model: str, exported) -> None:
    net = network(model)
    extra = {"vivit.json": ""}
    program = torch.export.load(exported(net, "clip.pt2"), extra_files=extra).module()
    assert json.loads(extra["vivit.json"])["heads"] == HEADS
    for number in (1, 4):
        found = torch.cat(program(torch.from_numpy(clips(number))), 1).detach().numpy()
        logits = expected(net, clips(number))
        np.testing.assert_allclose(found, logits, atol=1e-4 * max(1, np.abs(logits).max()))


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["target=taken.onnx"], FileExistsError, "taken.onnx is there already"),
        (["target=large.onnx"], FileExistsError, "large.onnx.data is there already"),
        (["target=clip.h5"], ValueError, "clip.h5 names no format: .onnx is ONNX, .pt2"),
        (["ckpt_path=taken.onnx"], ValueError, "taken.onnx is not a checkpoint of this repository"),
        (["+opset=9"], ValueError, "unknown key 'opset'"),
    ],
)
def test_what_cannot_be_is_one_clear_error(words, error, message, exported, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("taken.onnx", "large.onnx.data"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(error, match=message):
        exported(network("spatiotemporal"), "clip.onnx", *words)
    assert (tmp_path / "taken.onnx").read_bytes() == (tmp_path / "large.onnx.data").read_bytes() == b"mine"
    assert not (tmp_path / "clip.onnx").exists()


def test_a_file_that_says_something_else_is_not_written(exported, tmp_path: Path, monkeypatch) -> None:
    """The weights change between export and check, as a wrong export would have them."""
    import sys

    module = sys.modules[task.__module__]
    save, run = module.PORTABLE[".pt2"]

    def wrong(net: nn.Module, *rest: Any) -> None:
        save(net, *rest)
        with torch.no_grad():
            net.head.projection.bias += 0.01 * (1 + net.head.projection.bias.abs().max() * 100)

    monkeypatch.setitem(module.PORTABLE, ".pt2", (wrong, run))
    with pytest.raises(ValueError, match="differ from the network's by"):
        exported(network("factorised_encoder"), "clip.pt2")
    assert not list(tmp_path.glob("*.pt2")) and not list(tmp_path.glob(".*"))
