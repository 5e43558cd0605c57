"""Files beside weights tell colours and activation: held against transformers, on weights that are random."""

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

from vivit.weights import load_image_weights

ONE = {"frames": 1, "height": PATCH * SIDE, "width": PATCH * SIDE}
MEAN, STD = [0.31, 0.52, 0.71], [0.11, 0.23, 0.37]


@pytest.fixture
def theirs(tmp_path: Path):
    """A ViT of transformers in a folder; ``gelu`` is its hidden_act, more goes into its preprocessing."""

    def theirs(gelu: str, **preprocessing: Any) -> ViTModel:
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

    return theirs


def difference(net: ViTModel, folder: Path, gelu: str) -> float:
    """Between all tokens there, of pixels as the processor in the folder gives them, and here, of [-1, 1]."""
    pixels = (images() * 255).round()
    processor = ViTImageProcessor.from_pretrained(folder)
    given = processor(list(pixels.byte()), return_tensors="pt")["pixel_values"]
    ours = one_frame(gelu=gelu)
    load_image_weights(ours, folder / "model.safetensors", **ONE)
    with torch.inference_mode():
        expected = net(given).last_hidden_state
    return (features(ours.encoder, ours, clip_of(pixels / 255)) - expected).abs().max().item()


@pytest.mark.parametrize(("act", "gelu"), [("gelu", "erf"), ("gelu_new", "tanh"), ("gelu_pytorch_tanh", "tanh")])
def test_colours_and_activation_are_those_of_the_folder(act: str, gelu: str, theirs, tmp_path: Path, caplog) -> None:
    net = theirs(act, image_mean=MEAN, image_std=STD)
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
def test_whatever_a_preprocessing_does_with_bytes_is_folded_in(how: dict[str, Any], theirs, tmp_path: Path) -> None:
    net = theirs("gelu", **how)
    assert difference(net, tmp_path, "erf") < 1e-3


def test_another_activation_than_the_network_s_is_warned_of(theirs, tmp_path: Path, caplog) -> None:
    net = theirs("gelu_new", image_mean=MEAN, image_std=STD)
    assert difference(net, tmp_path, "erf") > 3 * difference(net, tmp_path, "tanh")
    assert "has the tanh GELU, this network the erf GELU: set model.gelu=tanh" in caplog.text


def test_what_is_typed_goes_before_the_files(theirs, tmp_path: Path) -> None:
    theirs("gelu", image_mean=MEAN, image_std=STD)
    kernels = []
    for how in ({}, {"mean": [0.5] * 3, "std": [0.5] * 3}):
        net = one_frame()
        load_image_weights(net, tmp_path / "model.safetensors", **ONE, **how)
        kernels.append(net.tokeniser.projection.weight.detach())
    assert not torch.allclose(*kernels)
    torch.testing.assert_close(kernels[0] * torch.tensor(STD).view(3, 1, 1) * 2, kernels[1])


def test_what_nobody_tells_is_assumed_aloud(theirs, tmp_path: Path, caplog) -> None:
    theirs("gelu")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).unlink()
    report = load_image_weights(one_frame(), tmp_path / "model.safetensors", **ONE)
    assert "mean 0.5 and deviation 0.5 are assumed" in caplog.text and "set weights.mean" in caplog.text
    assert "no config.json beside it tells its activation: the erf GELU is assumed" in str(report)
    caplog.clear()
    load_image_weights(one_frame(), tmp_path / "model.safetensors", **ONE, mean=MEAN, std=STD)
    assert "assumed" not in caplog.text


def test_a_folder_of_timm_tells_its_colours(tmp_path: Path, caplog) -> None:
    save_file(timm_weights(), tmp_path / "model.safetensors")
    told = {"architecture": "vit_tiny", "pretrained_cfg": {"mean": MEAN, "std": STD}, "num_classes": 9}
    (tmp_path / "config.json").write_text(json.dumps(told))
    net = one_frame()
    load_image_weights(net, tmp_path / "model.safetensors", **ONE)
    pictures = (images() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    expected = timm_features(timm_weights(), pictures)
    torch.testing.assert_close(features(net.encoder, net, clip_of(images())), expected, atol=5e-5, rtol=0)
    assert "assumed" not in caplog.text


def test_a_configuration_of_another_network_is_passed_over(theirs, tmp_path: Path, caplog) -> None:
    theirs("gelu", image_mean=MEAN, image_std=STD)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 768, "hidden_act": "gelu_new"}))
    report = load_image_weights(one_frame(), tmp_path / "model.safetensors", **ONE)
    assert "config.json is of another network, and neither it nor what lies beside it was read" in str(report)
    assert "mean 0.5 and deviation 0.5 are assumed" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"hidden_act": "relu"}, "config.json says hidden_act='relu', but these networks have one of"),
        ("config.json", {"hidden_act": ["gelu"]}, r"config.json says hidden_act=\['gelu'\], but"),
        ("config.json", "{", "config.json is not JSON"),
        (
            "preprocessor_config.json",
            {"image_std": [0.1, 0, 0.1]},
            r"says image_std=\[0.1, 0.0, 0.1\], and numbers above",
        ),
        ("preprocessor_config.json", {"image_mean": ["a"]}, r"says image_mean=\['a'\], and three numbers are wanted"),
        ("config.json", {"num_attention_heads": 2}, "encoder has 2 heads, the network's 3"),
    ],
)
def test_what_cannot_be_is_one_clear_error(file, content, message, theirs, tmp_path: Path) -> None:
    theirs("gelu", image_mean=MEAN, image_std=STD)
    told = content
    if isinstance(content, dict):
        told = json.dumps(json.loads((tmp_path / file).read_text()) | content)
    (tmp_path / file).write_text(told)
    with pytest.raises(ValueError, match=message):
        load_image_weights(one_frame(), tmp_path / "model.safetensors", **ONE)
