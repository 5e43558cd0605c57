"""Weights go round through all formats and come back, with what is known beside them; and nothing is written over."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import make_network
from safetensors.torch import load_file
from torch import nn

from vivit.checkpoints import export_scenic, huggingface_labels, save_huggingface, save_scenic
from vivit.checkpoints.formats.flax_msgpack import read_parameters
from vivit.checkpoints.vivit_checkpoint import load_network, model_record
from vivit.errors import ConfigError
from vivit.inference.load import READERS, LoadedModel, detect_source_format
from vivit.launch import Job
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tubelets,
    UniformFrames,
)
from vivit.tasks.clip_settings import merge_clip_settings
from vivit.tasks.convert import convert
from vivit.tasks.weight_formats import WRITERS, detect_target_format, network_options, stored_settings

CLIP = {"frames": 6, "height": 20, "width": 21}
WIDTHS = {"depth": 3, "num_heads": 2, "mlp_dim": 10}
TEMPORAL = {"temporal_depth": 2, "temporal_num_heads": 4, "temporal_mlp_dim": 14}
NETWORKS = {
    "spatiotemporal": (SpatioTemporal, {}),
    "factorised_encoder": (FactorisedEncoder, TEMPORAL | {"pool": "mean"}),
    "average_pool": (FactorisedEncoder, TEMPORAL | {"temporal_depth": 0}),
    "factorised_self_attention": (FactorisedSelfAttention, {"attention_order": "time_space"}),
    "factorised_dot_product": (FactorisedDotProduct, {"representation_size": 9}),
}
LABELS = [f"class {i}" for i in range(7)]
Converted = Callable[..., Path]


def network(model: str = "spatiotemporal", sampled: bool = False) -> nn.Module:
    cls, more = NETWORKS[model]
    cut = UniformFrames(dim=8, num_frames=3, patch=(5, 3)) if sampled else Tubelets(dim=8, tubelet=(2, 5, 3))
    net = make_network(cls, cut, num_classes=7, **CLIP, **WIDTHS, **more)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return str(one) == str(other) and all(torch.equal(first[name], second[name]) for name in {**first, **second})


@pytest.fixture
def converted(composed, tmp_path: Path) -> Converted:
    """Convert as the command does."""

    def converted(source: Path, target: str, *overrides: str) -> Path:
        cfg = composed(f"source={source}", f"target={tmp_path / target}", *overrides, name="convert")
        model = next((word.removeprefix("model=") for word in overrides if word.startswith("model=")), None)
        cfg.paths.run = str(tmp_path)  # Hydra names it only within a run
        choices = {"model": model} if model else {}
        convert(cfg, Job(folder=tmp_path, choices=choices, overrides=list(overrides), sweep=None))
        return tmp_path / target

    return converted


@pytest.mark.parametrize("sampled", [False, True], ids=["tubelets", "uniform frames"])
@pytest.mark.parametrize("model", NETWORKS)
def test_convert_scenic_to_vivit_and_back(model: str, sampled: bool, converted: Converted, tmp_path: Path) -> None:
    net = network(model, sampled)
    save_scenic(net, tmp_path / "checkpoint")
    arguments = [f"{key}={value}" for key, value in CLIP.items()]
    arguments += ["model.attention_order=time_space"] if model == "factorised_self_attention" else []
    arguments += ["sampled_frames=3"] if sampled else []
    checkpoint = converted(
        tmp_path / "checkpoint", "ours.ckpt", f"model={model}", *arguments, "head_sizes={noun:3,verb:4}"
    )
    again, record = load_network(checkpoint)
    assert same(again, net)
    assert record["classes"] == {"noun": ["0", "1", "2"], "verb": ["0", "1", "2", "3"]}
    assert (record["preprocessing"]["frames"], record["preprocessing"]["crop"]) == (6, [20, 21])
    back = converted(checkpoint, "back.msgpack")
    (_, arrays, _), (_, again, _) = map(read_parameters, (tmp_path / "checkpoint", back))
    assert list(again) == list(arrays) and all(np.array_equal(again[name], arrays[name]) for name in arrays)


def test_convert_huggingface_to_vivit_to_scenic_and_back(converted: Converted, tmp_path: Path, capsys) -> None:
    net = network()
    save_huggingface(net, tmp_path / "theirs", labels=LABELS, short_side=23)
    checkpoint = converted(tmp_path / "theirs", "ours.ckpt", "data.resize=24")
    again, record = load_network(checkpoint)
    assert same(again, net)
    assert record["classes"] == {"label": LABELS}
    folder = converted(checkpoint, "deep/down/folder")
    assert huggingface_labels(folder) == LABELS
    assert json.loads((folder / "preprocessor_config.json").read_text())["size"] == {"shortest_edge": 24}
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "theirs" / "model.safetensors").read_bytes()
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("deep/down/folder", "theirs")]
    assert configs[0].pop("vivit")["stride"] == 2
    assert configs[0] == configs[1]
    scenic = converted(folder, "checkpoint_0")
    tensors, first = map(load_file, (converted(scenic, "weights.safetensors"), folder / "model.safetensors"))
    assert tensors.keys() == first.keys() and all(torch.equal(tensors[name], first[name]) for name in first)
    assert "difference 0" in capsys.readouterr().out
    check = json.loads((tmp_path / "results.json").read_text())["check"]
    assert check["params"] == sum(parameter.numel() for parameter in net.parameters())
    assert check["difference"] == 0 < check["largest_logit"]


def test_checkpoint_contains_plain_values_only(converted: Converted, tmp_path: Path) -> None:
    save_huggingface(network(), tmp_path / "theirs")
    checkpoint = converted(tmp_path / "theirs", "ours.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    assert {key: content["vivit"][key] for key in ("model", "config")} == model_record(network())
    assert content["vivit"]["classes"] == {"label": [f"LABEL_{i}" for i in range(7)]}
    assert "root" not in content["vivit"]["data"]


@pytest.mark.parametrize(
    ("overrides", "key", "message"),
    [
        (["source=nowhere"], "source", "source=nowhere: there is no such file; set a file or folder of weights"),
        (["target=taken.ckpt"], "target", "taken.ckpt: exists"),
        (["target=weights.h5"], "target", "weights.h5: its name has no known format"),
        (["target_format=onnx"], "target_format", "set one of scenic, huggingface, vivit"),
        (["head_sizes={noun:3,verb:5}"], "head_sizes", "has 8 classes .*, and the network 7 outputs"),
        (["model=spatiotemporal", "+modl=x"], "modl", "unknown key"),
        (["frames=8"], "frames", "frames=8: config.json of .* has 6"),
    ],
)
def test_convert_of_wrong_arguments_is_one_clear_error(
    overrides, key, message, composed, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_huggingface(network(), tmp_path / "theirs")
    (tmp_path / "taken.ckpt").write_bytes(b"mine")
    cfg = composed("source=theirs", "target=new.ckpt", *overrides, name="convert")
    cfg.paths.run = str(tmp_path)
    with pytest.raises(ConfigError, match=message) as error:
        convert(cfg, Job(folder=tmp_path, choices={}, overrides=[], sweep=None))
    assert error.value.key == key
    assert (tmp_path / "taken.ckpt").read_bytes() == b"mine"
    assert not (tmp_path / "new.ckpt").exists()


def test_convert_of_scenic_needs_model_and_size(converted: Converted, tmp_path: Path) -> None:
    save_scenic(network(), tmp_path / "checkpoint")
    with pytest.raises(ConfigError) as error:
        converted(tmp_path / "checkpoint", "ours.ckpt")
    assert error.value.key == "model"
    with pytest.raises(ConfigError) as error:
        converted(tmp_path / "checkpoint", "ours.ckpt", "model=spatiotemporal", "frames=6")
    assert error.value.key == "height"


def test_convert_detects_formats_by_content(converted: Converted, tmp_path: Path) -> None:
    net = network()
    save_huggingface(net, tmp_path / "folder")
    save_huggingface(net, tmp_path / "weights.safetensors")
    save_scenic(net, tmp_path / "odd.pt")
    torch.save({"state_dict": net.state_dict()}, tmp_path / "theirs.ckpt")
    converted(tmp_path / "folder", "ours.ckpt").rename(tmp_path / "ours.bin")
    formats_by_file = {"folder": "huggingface", "weights.safetensors": "huggingface", "theirs.ckpt": "huggingface"}
    for name, expected in (formats_by_file | {"odd.pt": "scenic", "ours.bin": "vivit"}).items():
        assert detect_source_format(tmp_path / name) == expected, name
    for name, expected in {
        "a.ckpt": "vivit",
        "checkpoint_7": "scenic",
        "a.msgpack": "scenic",
        "a": "huggingface",
    }.items():
        assert detect_target_format(Path(name)) == expected


def test_saved_checkpoints_are_copies_that_do_not_replace(tmp_path: Path) -> None:
    save_scenic(network(), tmp_path / "checkpoint")
    with pytest.raises(FileExistsError):
        save_scenic(network(), tmp_path / "checkpoint")
    arrays = export_scenic(network())
    assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("recorded", "typed", "expected"),
    [
        ({"fps": 7.5}, [], {"fps": 7.5}),
        ({"fps": 7.5}, ["data.stride=4"], {"stride": 4}),
        ({"stride": 3}, ["data.fps=8"], {"fps": 8}),
        ({}, ["data.fps=8"], {"fps": 8}),
        ({}, [], {"stride": 2}),
    ],
)
def test_typed_stride_or_fps_replaces_that_of_the_source(recorded, typed, expected, composed, tmp_path: Path) -> None:
    cfg = composed("source=a", "target=b", *typed, name="convert")
    plain, assumed = merge_clip_settings(recorded, cfg, Job(tmp_path, {}, typed, None), complete=False)
    assert {key: plain[key] for key in ("stride", "fps") if key in plain} == expected
    assert ("stride" in assumed) == (not recorded and not typed)


@pytest.mark.parametrize(("target", "kind"), [("a.ckpt", "vivit"), ("b", "huggingface"), ("c.msgpack", "scenic")])
def test_every_format_stores_fps(target: str, kind: str, tmp_path: Path) -> None:
    loaded = LoadedModel(network(), "", {"label": LABELS}, {"fps": 7.5, "resize": 24})
    WRITERS[kind](loaded, tmp_path / target)
    options = network_options(loaded.net)
    assert stored_settings(READERS[kind](tmp_path / target, options)) == {"fps": 7.5, "resize": 24}
