"""What decides a clip travels with converted weights: a file gets the same logits; and only numbers travel."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from films import film
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vivit.checkpoints import save_huggingface
from vivit.errors import CheckpointError
from vivit.launch import Job
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets
from vivit.tasks import convert
from vivit.tasks.checkpoint import read_record
from vivit.tasks.classifier import Classifier
from vivit.tasks.formats import Weights, write_ours

HEADS = {"noun": ["win $$ now", "光"], "verb": ["x", "y", "-z"]}
VIEWS = {"temporal": 3, "spatial": 3, "counts": [1], "average": "probabilities"}


def network(cls: type = SpatioTemporal, gelu: str = "tanh", **more: Any) -> nn.Module:
    torch.manual_seed(1)
    size = {"frames": 4, "height": 32, "width": 48, "depth": 1, "heads": 2, "mlp_dim": 12, "classes": 5}
    net = cls(Tubelets(dim=8, tubelet=(2, 16, 16)), gelu=gelu, **size, **more)
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
        write_ours(Weights(net, "", HEADS, data), tmp_path / "best.ckpt")
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
        cfg = composed(f"ckpt_path={checkpoint}", "video=x", "workers=0", "device=cpu", name="predict")
        ((_, logits),) = Classifier.of(cfg, Job(tmp_path, {}, [], None)).whole([file])
        return logits

    return answer


@pytest.mark.parametrize(
    ("between", "gelu"), [("hf", "erf"), ("hf", "tanh"), ("alone/hf.safetensors", "erf"), ("theirs.msgpack", "tanh")]
)
def test_a_file_gets_the_same_logits_after_a_way_there_and_back(
    between: str, gelu: str, checkpoint, converted, answer, capsys, caplog
) -> None:
    ours = checkpoint(network(gelu=gelu))
    back = converted(converted(ours, between), "back.ckpt")
    assert torch.equal(answer(back), answer(ours))
    assert read_record(back)["heads"] == HEADS
    said = capsys.readouterr().out
    assert (
        said.count(
            "read back as it was written: data.stride=8, data.resize=72, views=3x3 of probabilities, "
            "resampling=reference, resampling.square_pixels=true, 5 classes"
        )
        == 2
    )
    assert "Not in the target" not in said
    assert "assumed" not in caplog.text


def test_other_models_go_through_the_authors_format(checkpoint, converted, answer) -> None:
    ours = checkpoint(network(FactorisedEncoder, temporal_depth=1, temporal_heads=2, temporal_mlp_dim=12))
    assert torch.equal(answer(converted(converted(ours, "checkpoint_7"), "back.ckpt")), answer(ours))


def test_what_hugging_face_says_is_taken_and_what_it_does_not_is_named(
    converted, tmp_path: Path, capsys, caplog
) -> None:
    save_huggingface(network(), tmp_path / "theirs", labels=list("abcde"), short_side=60)
    back = converted(tmp_path / "theirs", "back.ckpt")
    record = read_record(back)
    assert (record["data"]["resize"], record["data"]["crop"], record["data"]["stride"]) == (60, [32, 48], 2)
    assert record["heads"] == {"label": list("abcde")}
    assert "assumed, for neither" in caplog.text
    assert "tells it: data.stride=2, views=4x3 of logits, resampling=fused" in caplog.text
    assert json.loads((tmp_path / "results.json").read_text())["assumed"] == ["stride", "views", "resampling"]
    caplog.clear()
    typed = converted(tmp_path / "theirs", "typed.ckpt", "data.stride=8", "data.resize=72", "views=1x1")
    data = read_record(typed)["data"]
    assert (data["stride"], data["resize"], data["views"]["temporal"]) == (8, 72, 1)
    assert "tells it: resampling=fused" in caplog.text


def test_another_preprocessing_there_is_named(converted, tmp_path: Path, caplog) -> None:
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


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"stride": "8"}, "tells '8' for the stride of its clips"),
        ({"views": {"temporal": 0}}, "tells 0 for the temporal views"),
        ({"views": {"_target_": "os.system"}}, "of its views, where temporal, spatial, average are known"),
        ({"resampling": "os.system"}, "tells resampling='os.system', which is none of fused, reference"),
        ({"heads": {"a": ["b"]}}, "tells other classes than its network's 5 outputs"),
    ],
)
def test_what_a_file_tells_is_checked(told: dict[str, Any], message: str, converted, tmp_path: Path) -> None:
    save_huggingface(network(), tmp_path / "theirs", beside=told)
    with pytest.raises(ValueError, match=message):
        converted(tmp_path / "theirs", "back.ckpt")
    assert not (tmp_path / "back.ckpt").exists()


FAULTS = ["head.projection.weight", "encoder.positions", "encoder.blocks.0.norm_mlp.bias", "tokeniser.projection.bias"]


@pytest.mark.parametrize(("name", "value"), [*zip(FAULTS, (float("nan"), float("inf")) * 2, strict=True)])
def test_what_is_no_number_is_refused_by_name_and_nothing_stays(name, value, checkpoint, converted, tmp_path) -> None:
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


def test_logits_that_are_no_numbers_are_refused_and_nothing_stays(checkpoint, converted, tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        net.head.projection.weight.fill_(3e38)
    with pytest.raises(ValueError, match="logits of a random clip are not all finite numbers; nothing was written"):
        converted(checkpoint(net), "deep/hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt"]


def test_a_writer_that_fails_half_way_leaves_nothing(checkpoint, converted, tmp_path: Path, monkeypatch) -> None:
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
