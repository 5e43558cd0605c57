"""A run starts from the weights that its configuration names, says what it did, and warns of random ones."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from networks import image_vit
from omegaconf import DictConfig
from torch import nn

from vivit.errors import ConfigError
from vivit.tasks.build import build_network
from vivit.tasks.initial_weights import check_weights_source, load_initial_weights

Compose = Callable[..., DictConfig]


def network(cfg: DictConfig) -> nn.Module:
    return build_network(cfg, 5)


@pytest.mark.parametrize("choice", ["image", "dinov2"])
def test_initial_weights_are_loaded_and_logged(
    choice: str, composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patch = 14 if choice == "dinov2" else 8
    weights = image_vit(64, patch, 2)
    torch.save(weights, tmp_path / "vit.pt")
    cfg = composed(f"weights={choice}", f"weights.source={tmp_path}/vit.pt", f"data.crop=[{4 * patch},{4 * patch}]")
    net = network(cfg)
    with caplog.at_level(logging.INFO):
        load_initial_weights(cfg, net)
    assert torch.equal(net.spatial.norm.weight, weights["norm.weight"])
    assert torch.equal(net.tokeniser.projection.weight[:, :, 1], weights["patch_embed.proj.weight"])
    assert net.spatial.blocks[0].mlp[1].approximate == ("none" if choice == "dinov2" else "tanh")
    dino = choice == "dinov2"  # which gathers in its class token what a picture shows
    assert torch.equal(net.spatial.cls, weights["cls_token"][0, 0]) == dino
    assert f"vit.pt: {29 if dino else 28} loaded, 1 inflated, 0 resized" in caplog.text
    assert "RANDOM WEIGHTS" not in caplog.text


def test_weights_without_a_source_are_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="weights=imagenet21k_base") as error:
        check_weights_source(composed("weights=image"))
    assert error.value.key == "weights.source"
    check_weights_source(composed("weights=none"))
    check_weights_source(composed())


@pytest.mark.parametrize("choice", ["image", "video"])
def test_every_key_of_the_configuration_is_one_of_the_function(choice: str, composed: Compose, tmp_path: Path) -> None:
    cfg = composed(f"weights={choice}", f"weights.source={tmp_path}/absent.pt")
    with pytest.raises(ConfigError) as error:
        load_initial_weights(cfg, network(cfg))
    assert (error.value.key, error.value.value) == ("weights.source", tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [(["data=folder", "data.root=x"], True), ([], False)],
    ids=["own videos", "embedded"],
)
def test_random_weights_log_a_warning(
    overrides: list[str], warned: bool, composed: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = composed(*overrides)
    load_initial_weights(cfg, nn.Linear(2, 3))
    assert ("TRAINING FROM RANDOM WEIGHTS" in caplog.text) == warned
