"""Converted weights keep their clip settings: a file has the same logits afterwards; non-finite weights are refused."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from films import film
from networks import make_network
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vivit.checkpoints import save_huggingface
from vivit.checkpoints.vivit_checkpoint import read_record
from vivit.errors import CheckpointError, UserError
from vivit.inference.load import LoadedModel
from vivit.launch import Job
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets
from vivit.tasks.clip_settings import data_record
from vivit.tasks.convert import convert
from vivit.tasks.predictor import build_predictor
from vivit.tasks.weight_formats import write_vivit

HEADS = {"noun": ["win $$ now", "光"], "verb": ["x", "y", "-z"]}
VIEWS = {"temporal": 3, "spatial": 3, "also_report": [1], "average": "probabilities"}


def network(cls: type = SpatioTemporal, gelu: str = "tanh", **more: Any) -> nn.Module:
    torch.manual_seed(1)
    size = {"frames": 4, "height": 32, "width": 48, "depth": 1, "num_heads": 2, "mlp_dim": 12, "num_classes": 5}
    net = make_network(cls, Tubelets(dim=8, tubelet=(2, 16, 16)), gelu=gelu, **size, **more)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net.eval()


@pytest.fixture
def checkpoint(composed, tmp_path: Path) -> Callable[[nn.Module], Path]:
    """A run's checkpoint: stride, size, views, average and resampling are none that anything assumes."""

    def checkpoint(net: nn.Module) -> Path:
        words = (
            "data.stride=8",
            "data.resize=72",
            "data.root=/gone",
            "resampling=reference",
            "resampling.square_pixels=true",
        )
        data: Any = OmegaConf.to_container(composed("data=folder", *words).data, resolve=True)
        data["views"] |= VIEWS
        write_vivit(LoadedModel(net, "", HEADS, **data_record(data)), tmp_path / "best.ckpt")
        return tmp_path / "best.ckpt"

    return checkpoint


@pytest.fixture
def converted(composed, tmp_path: Path) -> Callable[..., Path]:
    def converted(source: Path, target: str, *words: str) -> Path:
        cfg = composed(f"source={source}", f"target={tmp_path / target}", *words, name="convert")
        cfg.paths.run = str(tmp_path)
        convert(cfg, Job(folder=tmp_path, choices={}, overrides=list(words), sweep=None))
        return tmp_path / target

    return converted


@pytest.fixture
def answer(composed, tmp_path: Path) -> Callable[[Path], Tensor]:
    """What predict.py says of a film, as logits."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 130, 3), np.uint8)
    file = film(tmp_path / "film.mp4", pixels)

    def answer(checkpoint: Path) -> Tensor:
        cfg = composed(f"ckpt_path={checkpoint}", "video=x", "num_workers=0", "device=cpu", name="predict")
        ((_, logits),) = build_predictor(cfg, Job(tmp_path, {}, [], None)).predict([file])
        return logits

    return answer


@pytest.mark.parametrize(
    ("between", "gelu"), [("hf", "erf"), ("hf", "tanh"), ("alone/hf.safetensors", "erf"), ("theirs.msgpack", "tanh")]
)
def test_conversion_there_and_back_keeps_the_logits_of_a_file(
    between: str, gelu: str, checkpoint, converted, answer, capsys, caplog
) -> None:
    ours = checkpoint(network(gelu=gelu))
    back = converted(converted(ours, between), "back.ckpt")
    assert torch.equal(answer(back), answer(ours))
    assert read_record(back)["classes"] == HEADS
    said = capsys.readouterr().out
    assert (
        said.count(
            "read back as written: data.stride=8, data.resize=72, views=3x3 of probabilities, "
            "resampling=reference, resampling.square_pixels=true, 5 classes"
        )
        == 2
    )
    assert "Not in the target" not in said
    assert "assumed" not in caplog.text


def test_other_models_go_through_the_authors_format(checkpoint, converted, answer) -> None:
    ours = checkpoint(network(FactorisedEncoder, temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=12))
    assert torch.equal(answer(converted(converted(ours, "checkpoint_7"), "back.ckpt")), answer(ours))


def test_conversion_from_huggingface_logs_assumed_settings(converted, tmp_path: Path, capsys, caplog) -> None:
    save_huggingface(network(), tmp_path / "theirs", labels=list("abcde"), short_side=60)
    back = converted(tmp_path / "theirs", "back.ckpt")
    record = read_record(back)
    assert tuple(record["preprocessing"][key] for key in ("resize", "crop", "stride")) == (60, [32, 48], 2)
    assert record["classes"] == {"label": list("abcde")}
    assert "assumed, for it is neither" in caplog.text
    assert "command line: data.stride=2, views=4x3 of logits, resampling=fused" in caplog.text
    assert json.loads((tmp_path / "results.json").read_text())["assumed"] == ["stride", "views", "resampling"]
    caplog.clear()
    typed = converted(tmp_path / "theirs", "typed.ckpt", "data.stride=8", "data.resize=72", "views=1x1")
    data = read_record(typed)["preprocessing"]
    assert (data["stride"], data["resize"], data["views"]["temporal"]) == (8, 72, 1)
    assert "command line: resampling=fused" in caplog.text


def test_conversion_logs_other_preprocessing(converted, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    save_huggingface(network(), tmp_path / "theirs")
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        told = json.loads((tmp_path / "theirs" / name).read_text())
        told |= {"size": {"height": 99, "width": 99}, "crop_size": {"height": 30, "width": 30}, "do_normalize": True}
        told |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        (tmp_path / "theirs" / name).write_text(json.dumps(told))
    converted(tmp_path / "theirs", "back.ckpt")
    assert "scales no short side" in caplog.text
    assert "cuts 30x30, but the network takes 32x48" in caplog.text
    assert "feeds [-3, 1]; here these weights are fed [-1, 1]" in caplog.text
    assert "data.resize=256" in caplog.text, "assumed, and named"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"stride": "8"}, "stride"),
        ({"views": {"temporal": 0}}, "views.temporal"),
        ({"views": {"_target_": "os.system"}}, "views"),
        ({"resampling": "os.system"}, "resampling"),
        ({"heads": {"a": ["b"]}}, "heads"),
    ],
)
def test_metadata_of_a_file_is_checked(metadata: dict[str, Any], key: str, converted, tmp_path: Path) -> None:
    save_huggingface(network(), tmp_path / "theirs", beside=metadata)
    with pytest.raises(CheckpointError) as error:
        converted(tmp_path / "theirs", "back.ckpt")
    assert (error.value.file, error.value.key) == (str(tmp_path / "theirs"), key)
    assert not (tmp_path / "back.ckpt").exists()


FAULTS = ["head.projection.weight", "encoder.positions", "encoder.blocks.0.norm_mlp.bias", "tokeniser.projection.bias"]


@pytest.mark.parametrize(("name", "value"), [*zip(FAULTS, (float("nan"), float("inf")) * 2, strict=True)])
def test_non_finite_weights_are_refused_and_leave_no_file(name, value, checkpoint, converted, tmp_path) -> None:
    net = network()
    with torch.no_grad():
        net.get_parameter(name).view(-1)[0] = value
    ours = checkpoint(net)
    for target in ("deep/down/hf", "deep/hf.safetensors", "theirs.msgpack", "other.ckpt"):
        with pytest.raises(CheckpointError, match="NaN or infinite; nothing was written") as error:
            converted(ours, target)
        assert (error.value.file, error.value.key) == (str(ours), name)
    save_huggingface(net, tmp_path / "hf")
    with pytest.raises(CheckpointError, match="NaN or infinite") as error:
        converted(tmp_path / "hf", "other.ckpt")
    assert error.value.file == str(tmp_path / "hf" / "model.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "hf"]


def test_non_finite_logits_are_refused_and_leave_no_file(checkpoint, converted, tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        net.head.projection.weight.fill_(3e38)
    with pytest.raises(UserError, match="logits of a random clip are not all finite numbers; nothing was written"):
        converted(checkpoint(net), "deep/hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt"]


def test_failed_writer_leaves_no_file(checkpoint, converted, tmp_path: Path, monkeypatch) -> None:
    def fails(*args: Any, **more: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("vivit.checkpoints.formats.huggingface.save_file", fails)
    with pytest.raises(OSError, match="no space left"):
        converted(checkpoint(network()), "deep/hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt"]


def test_prefixes_of_wrappers_in_a_vivit_of_hugging_face_are_left_out(converted, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    save_huggingface(network(), tmp_path / "theirs")
    file = tmp_path / "theirs" / "model.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in load_file(file).items()}, file)
    converted(tmp_path / "theirs", "back.ckpt")
    assert "all names begin with 'module.', which was removed" in caplog.text
