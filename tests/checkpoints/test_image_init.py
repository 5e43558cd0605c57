"""Networks started from image ViTs equal the reference's, leaf by leaf."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from vivit.checkpoints import LoadReport, export_scenic, load_image_weights, load_video_weights, model_from_scenic

CASES = (
    "m1_gap_average_tile",
    "m1_token_central_tile",
    "m1_token_from_gap_vit",
    "m1_token_resize_tile_64px",
    "m2_finetune_longer_clip",
    "m2_gap_average_resize_64px",
    "m2_token_central",
    "m3_gap_central_tile",
    "m3_gap_no_temporal_init",
    "m4_gap_central_tile",
)
MODELS = ("spatiotemporal", "factorised_encoder", "factorised_self_attention", "factorised_dot_product")
INFLATIONS = {
    "central_frame_initializer": "central_frame",
    "average_frame_initializer": "filter_inflation",
    "average_arp_frame_initializer": "rank_pooling",
}

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Mapping[str, np.ndarray]:
    with np.load(shared / "golden" / "image_init.npz") as arrays:
        return dict(arrays)


def below(reference: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in reference.items() if name.startswith(prefix)}


def started(reference: Mapping[str, np.ndarray], case: str, **changes: Any) -> tuple[nn.Module, LoadReport]:
    """Build the network of a case as it was before, and start it as the case says."""
    settings = json.loads(reference[f"{case}/config"].item())
    model, init = settings["config"]["model"], settings["config"]["init_from"]
    size = {"frames": settings["num_frames"], "height": settings["image"], "width": settings["image"]}
    order = model["attention_config"].get("attention_order", "space_time")
    name = MODELS[settings["target_model"] - 1]
    net, _ = model_from_scenic(below(reference, f"{case}/before/"), model=name, **size, order=order)
    if case == "m2_finetune_longer_clip":
        source = below(reference, "m2_token_central/after/")
        return net, load_video_weights(net, source, load_head=True, **changes)
    arguments = {
        "tubelet_init": INFLATIONS[model["temporal_encoding_config"]["kernel_init_method"]],
        "positions": init["positional_embed_size_change"],
        "temporal_attention": "copy" if init.get("init_temporal_transformer", True) else "fresh",
    }
    return net, load_image_weights(net, below(reference, f"{settings['source']}/"), **(arguments | changes))


@pytest.mark.parametrize("case", CASES)
def test_every_leaf_is_the_reference_s(case: str, reference: Mapping[str, np.ndarray]) -> None:
    net, report = started(reference, case)
    actual, before = export_scenic(net), below(reference, f"{case}/before/")
    expected = below(reference, f"{case}/after/")
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, atol=1e-6, rtol=0, err_msg=name)
    unchanged = json.loads(reference[f"{case}/config"].item())["unchanged"]
    assert all(actual[name].tobytes() == before[name].tobytes() for name in unchanged)
    source = below(reference, json.loads(reference[f"{case}/config"].item())["source"] + "/") or expected
    reported = {*report.loaded, *report.inflated, *report.resized, *report.ignored}
    assert reported == source.keys(), "every name of the source is reported"


@pytest.mark.parametrize("case", [case for case in CASES if case != "m2_finetune_longer_clip"])
def test_positions_auto_equals_the_explicit_way(case: str, reference: Mapping[str, np.ndarray]) -> None:
    default, explicit = (export_scenic(started(reference, case, **how)[0]) for how in ({}, {"positions": "auto"}))
    assert all(np.array_equal(default[name], explicit[name]) for name in default)
