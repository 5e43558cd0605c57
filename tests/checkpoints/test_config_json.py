"""Colours and activation from files beside weights, against transformers on random weights."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from image_models import DIM, HEADS, MLP, PATCH, SIDE, clip_of, features, images, one_frame, timm_features, timm_weights
from safetensors.torch import save_file
from torch import nn
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from vivit.checkpoints import load_image_weights
from vivit.errors import CheckpointError, ConfigError

ONE = {"frames": 1, "height": PATCH * SIDE, "width": PATCH * SIDE}
MEAN, STD = [0.31, 0.52, 0.71], [0.11, 0.23, 0.37]


@pytest.fixture
def peer(tmp_path: Path):
    """A ViT of transformers in a folder; ``gelu`` is its hidden_act, more goes into its preprocessing."""

    def peer(gelu: str, **preprocessing: Any) -> ViTModel:
        torch.manual_seed(5)
        config = ViTConfig(
            hidden_size=DIM, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=MLP,
            image_size=PATCH * SIDE, patch_size=PATCH, hidden_act=gelu, layer_norm_eps=1e-6,
        )  # fmt: skip
        net = ViTModel(config).eval()
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.4)
        net.save_pretrained(tmp_path)
        ViTImageProcessor(do_resize=False, **preprocessing).save_pretrained(tmp_path)
        return net

    return peer


def difference(net: ViTModel, folder: Path, gelu: str) -> float:
    """Between all tokens there, of pixels as the processor in the folder gives them, and here, of [-1, 1]."""
    pixels = (images() * 255).round()
    processor = ViTImageProcessor.from_pretrained(folder)
    pixel_values = processor(list(pixels.byte()), return_tensors="pt")["pixel_values"]
    network = one_frame(gelu=gelu)
    load_image_weights(network, folder / "model.safetensors")
    with torch.inference_mode():
        expected = net(pixel_values).last_hidden_state
    return (features(network.encoder, network, clip_of(pixels / 255)) - expected).abs().max().item()


@pytest.mark.parametrize(("act", "gelu"), [("gelu", "erf"), ("gelu_new", "tanh"), ("gelu_pytorch_tanh", "tanh")])
def test_sidecar_colours_and_activation_are_used(act: str, gelu: str, peer, tmp_path: Path, caplog) -> None:
    net = peer(act, image_mean=MEAN, image_std=STD)
    with caplog.at_level(logging.WARNING):
        assert difference(net, tmp_path, gelu) < 2e-5
    assert not [record for record in caplog.records if record.name.startswith("vivit")]


@pytest.mark.parametrize(
    "how",
    [
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [100.0, 120, 90], "image_std": [50.0, 60, 70]},
        {"rescale_factor": 1 / 100, "image_mean": MEAN, "image_std": STD},
    ],
)
def test_sidecar_preprocessing_is_folded_into_the_filter(how: dict[str, Any], peer, tmp_path: Path) -> None:
    net = peer("gelu", **how)
    assert difference(net, tmp_path, "erf") < 1e-3


def test_sidecar_activation_other_than_the_network_s_is_warned_of(peer, tmp_path: Path, caplog) -> None:
    net = peer("gelu_new", image_mean=MEAN, image_std=STD)
    assert difference(net, tmp_path, "erf") > 3 * difference(net, tmp_path, "tanh")
    assert "has the tanh GELU, this network the erf GELU: set model.gelu=tanh" in caplog.text


def test_sidecar_colours_are_overridden_by_arguments(peer, tmp_path: Path) -> None:
    peer("gelu", image_mean=MEAN, image_std=STD)
    kernels = []
    for how in ({}, {"mean": [0.5] * 3, "std": [0.5] * 3}):
        net = one_frame()
        load_image_weights(net, tmp_path / "model.safetensors", **how)
        kernels.append(net.tokeniser.projection.weight.detach())
    assert not torch.allclose(*kernels)
    torch.testing.assert_close(kernels[0] * torch.tensor(STD).view(3, 1, 1) * 2, kernels[1])


def test_sidecar_missing_is_warned_of(peer, tmp_path: Path, caplog) -> None:
    peer("gelu")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).unlink()
    report = load_image_weights(one_frame(), tmp_path / "model.safetensors")
    assert "mean 0.5 and deviation 0.5 are assumed" in caplog.text and "set weights.mean" in caplog.text
    assert "no config.json beside it contains its activation: the erf GELU is assumed" in str(report)
    caplog.clear()
    load_image_weights(one_frame(), tmp_path / "model.safetensors", mean=MEAN, std=STD)
    assert "assumed" not in caplog.text


def test_sidecar_of_timm_has_its_colours(tmp_path: Path, caplog) -> None:
    save_file(timm_weights(), tmp_path / "model.safetensors")
    config = {"architecture": "vit_tiny", "pretrained_cfg": {"mean": MEAN, "std": STD}, "num_classes": 9}
    (tmp_path / "config.json").write_text(json.dumps(config))
    net = one_frame()
    load_image_weights(net, tmp_path / "model.safetensors")
    pictures = (images() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    expected = timm_features(timm_weights(), pictures)
    torch.testing.assert_close(features(net.encoder, net, clip_of(images())), expected, atol=5e-5, rtol=0)
    assert "assumed" not in caplog.text


def test_sidecar_of_another_network_is_ignored(peer, tmp_path: Path, caplog) -> None:
    peer("gelu", image_mean=MEAN, image_std=STD)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 768, "hidden_act": "gelu_new"}))
    report = load_image_weights(one_frame(), tmp_path / "model.safetensors")
    assert "config.json is of another network, so neither it nor the files beside it were read" in str(report)
    assert "mean 0.5 and deviation 0.5 are assumed" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "key"),
    [
        ("config.json", {"hidden_act": "relu"}, "hidden_act"),
        ("config.json", {"hidden_act": ["gelu"]}, "hidden_act"),
        ("config.json", "{", None),
        ("preprocessor_config.json", {"image_std": [0.1, 0, 0.1]}, "image_std"),
        ("preprocessor_config.json", {"image_mean": ["a"]}, "image_mean"),
        ("preprocessor_config.json", {"rescale_factor": 0}, "rescale_factor"),
    ],
)
def test_sidecar_values_that_cannot_be_are_refused_by_key(file, content, key, peer, tmp_path: Path) -> None:
    peer("gelu", image_mean=MEAN, image_std=STD)
    text = content
    if isinstance(content, dict):
        text = json.dumps(json.loads((tmp_path / file).read_text()) | content)
    (tmp_path / file).write_text(text)
    with pytest.raises(CheckpointError) as error:
        load_image_weights(one_frame(), tmp_path / "model.safetensors")
    assert (error.value.file, error.value.key) == (str(tmp_path / file), key)


def test_sidecar_with_other_heads_than_the_network_is_refused(peer, tmp_path: Path) -> None:
    peer("gelu", image_mean=MEAN, image_std=STD)
    config = json.loads((tmp_path / "config.json").read_text()) | {"num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError) as error:
        load_image_weights(one_frame(), tmp_path / "model.safetensors")
    assert (error.value.key, error.value.value) == ("model.num_heads", HEADS)
