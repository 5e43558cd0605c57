"""Image ViTs of several projects give the same features here as there, and what does not fit is named."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_models import (
    DIM,
    HEADS,
    MLP,
    PATCH,
    SIDE,
    clip_of,
    features,
    images,
    normalised,
    one_frame,
    timm_features,
    timm_weights,
)
from networks import make_network
from safetensors.torch import save_file
from torch import Tensor

from vivit.checkpoints import load_image_weights
from vivit.errors import CheckpointError, ConfigError
from vivit.models import SpatioTemporal, UniformFrames

ONE = {"frames": 1, "height": PATCH * SIDE, "width": PATCH * SIDE}


def loaded_features(source: Any, **how: Any) -> Tensor:
    net = one_frame()
    load_image_weights(net, source, **how)
    return features(net.encoder, net, clip_of(images()))


def assert_same(actual: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(actual, reference, atol=2e-5, rtol=0)


def test_timm() -> None:
    weights = timm_weights()
    assert_same(loaded_features(weights), timm_features(weights, 2 * images() - 1))


def test_dinov2_of_its_authors_has_layer_scale_and_imagenet_s_colours() -> None:
    weights = timm_weights(layer_scale=True)
    assert_same(loaded_features(weights), timm_features(weights, normalised(images())))


def test_colour_normalisation_can_be_set() -> None:
    weights, mean, std = timm_weights(), torch.tensor([0.1, 0.6, 0.4]), torch.tensor([0.7, 0.2, 0.3])
    reference = timm_features(weights, (images() - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert_same(loaded_features(weights, mean=mean.tolist(), std=std.tolist()), reference)
    net = one_frame()
    report = load_image_weights(net, weights, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    assert any("0.485" in note and "0.225" in note for note in report.notes)


def test_positions_without_the_class_token_s() -> None:
    weights = timm_weights(rows=SIDE**2)
    padded = weights | {"pos_embed": torch.cat([torch.zeros(1, 1, DIM), weights["pos_embed"]], 1)}
    assert_same(loaded_features(weights), timm_features(padded, 2 * images() - 1))


def transformers_model(name: str) -> torch.nn.Module:
    """Random model of Hugging Face's, none of whose parameters is at its start."""
    transformers = pytest.importorskip("transformers", reason="transformers is in the extra `dev`, not installed")
    shared = {
        "hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": HEADS, "hidden_act": "gelu",
        "patch_size": PATCH, "image_size": PATCH * SIDE, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    if name == "dinov2":
        net = transformers.Dinov2Model(transformers.Dinov2Config(**shared, mlp_ratio=2))
    else:
        net = transformers.ViTForImageClassification(transformers.ViTConfig(**shared, intermediate_size=MLP))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return net.eval()


@pytest.mark.parametrize("stored", [False, True], ids=["modules", "file"])
@pytest.mark.parametrize("name", ["vit", "dinov2"])
def test_hugging_face(name: str, stored: bool, tmp_path: Path) -> None:
    reference = transformers_model(name)
    inner, seen = (reference.vit, 2 * images() - 1) if name == "vit" else (reference, normalised(images()))
    if stored:
        reference.save_pretrained(tmp_path)
    source = tmp_path / "model.safetensors" if stored else reference.state_dict()
    with torch.no_grad():
        expected = inner(seen).last_hidden_state
    net = one_frame(mlp_dim=MLP if name == "vit" else 2 * DIM)
    report = load_image_weights(net, source)
    assert_same(features(net.encoder, net, clip_of(images())), expected)
    assert set(report.fresh) == {"head.projection.weight", "head.projection.bias"}
    assert len(report.ignored) == (2 if name == "vit" else 1), "the classifier; the mask token"


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [112, 224, 518])
def test_the_real_dinov2(pixels: int, shared: Path) -> None:
    """Features of the published DINOv2-S, at sizes for which its positions are resized as there."""
    transformers = pytest.importorskip("transformers", reason="transformers is in the extra `dev`, not installed")
    file = shared / "weights" / "dinov2_small_fp16.npz"
    config = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, patch_size=14, image_size=518)
    reference = transformers.Dinov2Model(config).eval()
    modules = {"attention.attention.query": "attention.q_proj", "attention.attention.key": "attention.k_proj"}
    modules |= {"attention.attention.value": "attention.v_proj", "attention.output.dense": "attention.o_proj"}
    weights = {}
    with np.load(file) as arrays:
        for name in arrays.files:
            inner = next((name.replace(old, new) for old, new in modules.items() if old in name), name)
            weights[inner] = torch.from_numpy(arrays[name]).float()
    assert reference.load_state_dict(weights, strict=False).missing_keys == ["embeddings.mask_token"]
    size = {"frames": 1, "height": pixels, "width": pixels}
    net = dinov2_small(**size)
    load_image_weights(net, file)
    pictures = images(1, pixels)
    with torch.no_grad():
        expected = reference(normalised(pictures)).last_hidden_state
        result = features(net.encoder, net, clip_of(pictures))
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)


def dinov2_small(**size: int) -> torch.nn.Module:
    tokens = UniformFrames(dim=384, num_frames=1, patch=(14, 14))
    return make_network(
        SpatioTemporal, tokens, num_classes=7, depth=12, num_heads=6, mlp_dim=1536, gelu="erf", **size
    ).eval()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt", ".pth"])
def test_files_are_as_good_as_what_is_in_them(suffix: str, tmp_path: Path) -> None:
    weights, file = timm_weights(), tmp_path / f"vit{suffix}"
    match suffix:
        case ".npz":
            np.savez(file, **{name: tensor.numpy() for name, tensor in weights.items()})
        case ".safetensors":
            save_file(weights, file)
        case ".pt":
            torch.save(weights, file)
        case ".pth":
            torch.save({"model": weights, "epoch": 3}, file, _use_new_zipfile_serialization=False)
    assert torch.equal(loaded_features(file), loaded_features(weights))


class Spy:
    """An object that, unpickled, leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_a_malicious_file_is_refused_and_runs_nothing(suffix: str, tmp_path: Path) -> None:
    file, trace = tmp_path / f"vit{suffix}", tmp_path / "trace"
    if suffix == ".pt":
        torch.save(timm_weights() | {"extra": Spy(trace)}, file)
    else:
        np.savez(file, extra=np.array([Spy(trace)], object))
    with pytest.raises(CheckpointError, match=r"it asks for \S+, so it was refused|not a readable .npz") as error:
        load_image_weights(one_frame(), file)
    assert error.value.file == str(file)
    assert "\n" not in str(error.value)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Spy(trace)))
    assert trace.exists(), "a reader that trusted the file would have left the trace"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt", ""])
@pytest.mark.parametrize("content", ["half", "text"])
def test_a_file_that_is_cut_or_foreign_is_named(suffix: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / f"vit{suffix}"
    if content == "text":
        file.write_text("not weights")
    elif suffix == ".safetensors":
        save_file(timm_weights(), file)
    elif suffix == ".pt":
        torch.save(timm_weights(), file)
    else:
        with file.open("wb") as out:
            np.savez(out, **{name: tensor.numpy() for name, tensor in timm_weights().items()})
    if content == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError) as error:
        load_image_weights(one_frame(), file)
    assert error.value.file == str(file)


def test_weight_file_that_is_missing_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_image_weights(one_frame(), tmp_path / "vit.npz")
    assert error.value.key == "weights.source"
    (tmp_path / "vit.h5").touch()
    with pytest.raises(CheckpointError) as error:
        load_image_weights(one_frame(), tmp_path / "vit.h5")
    assert error.value.file == str(tmp_path / "vit.h5")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"blocks.1.attn.qkv.weight": None}, "encoder.blocks.1.attention.qkv.weight"),
        ({"norm.bias": None}, "encoder.norm.bias"),
        ({"patch_embed.proj.bias": None}, "patches.bias"),
        ({"reg_token": torch.zeros(1, 4, DIM)}, "reg_token"),
        ({"blocks.2.norm1.weight": torch.zeros(DIM)}, "blocks.2.norm1.weight"),
        ({"blocks.1.mlp.fc1.weight": torch.zeros(MLP + 1, DIM)}, "blocks.1.mlp.fc1.weight"),
        ({"patch_embed.proj.weight": torch.zeros(DIM, 3, 4, 4)}, "size.patch"),
        ({"pos_embed": torch.zeros(1, 13, DIM)}, "pos_embed"),
        ({"patch_embed.proj.weight": None}, None),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_key_and_nothing_is_written(
    change: dict[str, Tensor | None], key: str | None
) -> None:
    weights = {name: tensor for name, tensor in (timm_weights() | change).items() if tensor is not None}
    net = one_frame()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises((CheckpointError, ConfigError), match="the tensors") as error:
        load_image_weights(net, weights)
    assert error.value.key == key
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_report_notes_a_source_with_another_gelu() -> None:
    report = load_image_weights(one_frame(gelu="tanh"), timm_weights())
    assert any("set model.gelu=erf" in note for note in report.notes)
    assert not any("gelu" in note for note in load_image_weights(one_frame(), timm_weights()).notes)
