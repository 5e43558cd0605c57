"""Weights in others' checkpoints: averages beside the plain ones, prefixes of wrappers, numbers that are none."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_models import PATCH, SIDE, clip_of, features, images, normalised, one_frame, timm_features, timm_weights
from networks import make_network
from safetensors.torch import save_file

from vivit.checkpoints import (
    LoadReport,
    load_image_weights,
    load_video_weights,
    model_from_huggingface,
    model_from_scenic,
    save_huggingface,
    save_scenic,
)
from vivit.errors import CheckpointError, ConfigError
from vivit.models import SpatioTemporal, Tubelets

ONE = {"frames": 1, "height": PATCH * SIDE, "width": PATCH * SIDE}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
PLAIN, AVERAGE = timm_weights(), {name: tensor * 0.9 for name, tensor in timm_weights().items()}


def loaded(source: Any, **how: Any) -> tuple[torch.Tensor, LoadReport]:
    net = one_frame()
    report = load_image_weights(net, source, **IMAGENET, **how)
    return features(net.encoder, net, clip_of(images())), report


def is_of(result: torch.Tensor, weights: dict[str, torch.Tensor]) -> bool:
    return torch.allclose(result, timm_features(weights, normalised(images())), atol=2e-5)


@pytest.mark.parametrize(("plain", "average"), [("state_dict", "state_dict_ema"), ("model", "model_ema")])
def test_weights_key_selects_the_average(plain: str, average: str, tmp_path: Path) -> None:
    file = tmp_path / "theirs.pth"
    torch.save({plain: PLAIN, average: AVERAGE, "epoch": 3}, file)
    result, report = loaded(file)
    assert is_of(result, PLAIN)
    assert f"under {plain!r} were read; weights.key selects another: {average}" in str(report)
    result, report = loaded(file, key=average)
    assert is_of(result, AVERAGE)
    assert f"under {average!r} were read" in str(report)
    with pytest.raises(ConfigError, match=f"set one of {plain}, {average}") as error:
        loaded(file, key="ema")
    assert (error.value.key, error.value.value) == ("weights.key", "ema")


def test_weights_key_is_needed_for_several_unknown_sets(tmp_path: Path) -> None:
    torch.save({"state_dict_ema": AVERAGE}, tmp_path / "one.pth")
    result, report = loaded(tmp_path / "one.pth")
    assert is_of(result, AVERAGE) and "under 'state_dict_ema' were read" in str(report)
    torch.save({"student": PLAIN, "teacher": AVERAGE}, tmp_path / "two.pth")
    with pytest.raises(ConfigError, match="two.pth has several sets of weights; set one of student, teacher") as error:
        loaded(tmp_path / "two.pth")
    assert error.value.key == "weights.key"
    assert is_of(loaded(tmp_path / "two.pth", key="teacher")[0], AVERAGE)
    save_file(PLAIN, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path / "a.safetensors", key="x")
    assert (error.value.key, error.value.value) == ("weights.key", "x")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.module."])
def test_wrapper_prefixes_are_removed_and_noted(prefix: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {f"{prefix}{name}": tensor for name, tensor in PLAIN.items()}}, tmp_path / "a.pth")
    result, report = loaded(tmp_path / "a.pth")
    assert is_of(result, PLAIN)
    assert f"all names begin with {prefix!r}, which was removed" in str(report)
    assert f"{prefix}cls_token" in report.loaded, "names are those of the file"


def test_what_counts_the_steps_of_an_average_is_no_weight(tmp_path: Path) -> None:
    """As torch.optim.swa_utils.AveragedModel saves itself."""
    averaged = {"n_averaged": torch.tensor(7)} | {f"module.{name}": tensor for name, tensor in PLAIN.items()}
    torch.save(averaged, tmp_path / "a.pth")
    result, report = loaded(tmp_path / "a.pth")
    assert is_of(result, PLAIN)
    assert "all names begin with 'module.', which was removed" in str(report)
    assert "n_averaged belong to no layer and were ignored" in str(report)


def test_single_compiled_blocks_and_names_that_fall_together(tmp_path: Path) -> None:
    blocks = {name.replace("blocks.0.", "blocks.0._orig_mod."): tensor for name, tensor in PLAIN.items()}
    result, report = loaded(blocks)
    assert is_of(result, PLAIN) and "names contain '_orig_mod.'" in str(report)
    with pytest.raises(CheckpointError, match="'cls_token' and '_orig_mod.cls_token' are both 'cls_token'"):
        loaded(PLAIN | {"_orig_mod.cls_token": PLAIN["cls_token"]})


def test_plain_files_are_not_talked_about(tmp_path: Path, caplog) -> None:
    torch.save({"state_dict": PLAIN, "epoch": 3}, tmp_path / "a.pth")
    with caplog.at_level(logging.WARNING):
        assert "were read" not in str(loaded(tmp_path / "a.pth")[1])
    assert not caplog.records


PLACES = ["blocks.1.mlp.fc2.weight", "pos_embed", "norm.bias", "patch_embed.proj.weight", "blocks.0.attn.qkv.bias"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", PLACES)
def test_what_is_not_a_number_is_refused_by_name(name: str, value: float, tmp_path: Path) -> None:
    weights = {key: tensor.clone() for key, tensor in PLAIN.items()}
    weights[name].view(-1)[3] = value
    save_file(weights, tmp_path / "a.safetensors")
    net = one_frame()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError, match="1 of .* values are NaN or infinite") as error:
        load_image_weights(net, tmp_path / "a.safetensors")
    assert (error.value.file, error.value.key) == (str(tmp_path / "a.safetensors"), name)
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


def test_half_precision_that_overflowed_is_refused(tmp_path: Path) -> None:
    halves = {name: (tensor * 1e6 if name == "norm.weight" else tensor).half() for name, tensor in PLAIN.items()}
    with pytest.raises(CheckpointError, match="NaN or infinite") as error:
        loaded(halves)
    assert error.value.key == "norm.weight"


def broken_vivit() -> SpatioTemporal:
    cut = Tubelets(dim=8, tubelet=(2, 5, 5))
    net = make_network(
        SpatioTemporal, cut, num_classes=3, frames=4, height=10, width=10, depth=1, num_heads=2, mlp_dim=10
    )
    with torch.no_grad():
        net.head.projection.bias[1] = float("nan")
    return net


def test_every_format_of_a_vivit_refuses_it_too(tmp_path: Path) -> None:
    net, size = broken_vivit(), {"frames": 4, "height": 10, "width": 10}
    save_scenic(net, tmp_path / "checkpoint")
    save_huggingface(net, tmp_path / "folder")
    torch.save({"state_dict": net.state_dict()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError) as error:
        model_from_scenic(tmp_path / "checkpoint", model="spatiotemporal", **size)
    assert error.value.key == "output_projection/bias"
    with pytest.raises(CheckpointError) as error:
        model_from_huggingface(tmp_path / "folder")
    assert error.value.key == "classifier.bias"
    for source in ("checkpoint", "folder/model.safetensors", "a.pt"):
        with pytest.raises(CheckpointError, match="1 of 3 values are NaN"):
            load_video_weights(broken_vivit(), tmp_path / source, load_head=True)
    arrays = {"patch_embed.proj.weight": np.full((2, 3, 1, 1), np.nan, np.float32)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(CheckpointError, match="6 of 6") as error:
        load_image_weights(one_frame(), tmp_path / "a.npz")
    assert error.value.key == "patch_embed.proj.weight"
