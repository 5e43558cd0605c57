"""VideoMAE, in every layout of names, beside transformers' own network on random weights."""

import copy
import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import vivit
from vivit.checkpoints import load_image_weights, load_video_weights, load_videomae_weights, model_from_videomae
from vivit.checkpoints.neutral_state_dict import IMAGENET_MEAN, IMAGENET_STD
from vivit.errors import CheckpointError, ConfigError
from vivit.inference.load import detect_source_format, read_model
from vivit.models import create_model

transformers = pytest.importorskip("transformers")

SIZES = {
    "small": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40},
    "deep": {"hidden_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4, "intermediate_size": 96},
    "wide": {"hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 12, "intermediate_size": 384},
}
CLIP = {"image_size": 32, "patch_size": 8, "num_frames": 6, "num_labels": 5}
LAYOUTS = ("published", "hub", "transformers")
KEY_BIASES = {"published": "blocks.0.attn.qkv.bias"} | dict.fromkeys(
    LAYOUTS[1:], "videomae.encoder.layer.0.attention.attention.key.bias"
)
"""Biases that would be silently lost beside those of queries and values."""


def peer(size: str, kind: str = "VideoMAEForVideoClassification") -> Any:
    """Return transformers' network, every weight of which counts."""
    decoder = {"decoder_hidden_size": 24, "decoder_num_attention_heads": 3, "decoder_intermediate_size": 24}
    config = transformers.VideoMAEConfig(**SIZES[size], **CLIP, **decoder, decoder_num_hidden_layers=1)
    torch.manual_seed(len(size))
    net = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.normal_(1 if "norm" in name and "weight" in name else 0, 0.2 if "norm" in name else 0.1)
    return net


def published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return transformers' tensors as the authors have them: joined projections, biases of query and value beside."""
    renamed = {}
    for name, tensor in state.items():
        if ".attention.attention." in name:
            block, part = name.split(".attention.attention.")
            block = block.replace("videomae.encoder.layer", "blocks") + ".attn."
            if part == "query.weight":
                parts = [state[name.replace("query", other)] for other in ("query", "key", "value")]
                renamed[f"{block}qkv.weight"] = torch.cat(parts)
            elif part.endswith("bias"):
                renamed[f"{block}{part[0]}_bias"] = tensor
            continue
        for ours, theirs in (
            ("videomae.embeddings.patch_embeddings.projection", "patch_embed.proj"),
            ("videomae.encoder.layer", "blocks"),
            ("attention.output.dense", "attn.proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
            ("layernorm_before", "norm1"),
            ("layernorm_after", "norm2"),
            ("classifier", "head"),
        ):
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


def write(net: Any, layout: str, folder: Path) -> Path:
    """Write a network in a layout; return what a user would name."""
    if layout == "published":
        folder.mkdir()
        torch.save({"module": published(net.state_dict()), "epoch": 3, "args": Namespace(lr=1e-3)}, folder / "best.pth")
        return folder / "best.pth"
    net.save_pretrained(folder)
    assert any(name.endswith("q_bias") for name in load_file(folder / "model.safetensors"))
    if layout == "transformers":
        save_file(
            {name: tensor.contiguous() for name, tensor in net.state_dict().items()}, folder / "model.safetensors"
        )
    return folder


def normalised(clip: Tensor) -> Tensor:
    """Return a clip in [-1, 1] as a VideoMAE takes it, frames before channels."""
    mean, std = (torch.tensor(each).view(3, 1, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (((clip + 1) / 2 - mean) / std).transpose(1, 2)


def options(size: str, layout: str) -> dict[str, int]:
    """Return what a file of the authors does not contain."""
    if layout != "published":
        return {}
    return {"frames": 6, "height": 32, "width": 32, "num_heads": SIZES[size]["num_attention_heads"]}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_equal_transformers(layout: str, size: str, tmp_path: Path) -> None:
    net = peer(size)
    source = write(net, layout, tmp_path / "videomae")
    ours, report = model_from_videomae(source, **options(size, layout))
    clip = torch.rand(3, 3, 6, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected, actual = net(normalised(clip)).logits, ours.eval()(clip)
    assert expected.std() > 0.1
    assert (actual - expected).abs().max() < 2e-5
    assert not report.fresh
    assert set(report.loaded) == set(published(net.state_dict()) if layout == "published" else read(source))
    assert detect_source_format(source) == "videomae"


def read(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_one_bias_or_weight_less_or_more_is_refused_by_name(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        folder = tmp_path / layout
        source = write(peer("small"), layout, folder)
        if layout == "published":
            whole = torch.load(source, weights_only=False)["module"]
        else:
            whole = read(source)
        for name in whole:
            part = {other: tensor for other, tensor in whole.items() if other != name}
            net = create_videomae()
            before = copy.deepcopy(net.state_dict())
            headless = name.startswith(("head", "classifier"))
            if name.startswith("fc_norm.weight"):
                part.pop("fc_norm.bias")  # one of both alone is an error, see below; a pre-trained file has neither
                assert "encoder.norm.weight" in load_videomae_weights(net, part).fresh
                continue
            with pytest.raises(CheckpointError) as error:
                load_videomae_weights(net, part, load_head=headless)
            assert all(torch.equal(before[key], value) for key, value in net.state_dict().items()), (
                "nothing was written"
            )
            assert error.value.key, name
        for more in ("blocks.0.attn.k_bias", KEY_BIASES[layout]):
            with pytest.raises(CheckpointError) as error:
                load_videomae_weights(create_videomae(), {**whole, more: torch.zeros(24)})
            assert error.value.key == more


def create_videomae(**changes: Any) -> Any:
    """Return the network of ``small``, as weights=videomae composes it."""
    videomae = {"gelu": "erf", "pool": "mean_then_norm", "positions": "sinusoidal_1d"}
    sizes = {"depth": 2, "num_heads": 3, "mlp_dim": 40}
    tokeniser = {"name": "tubelet", "dim": 24, "tubelet": [2, 8, 8]}
    model = changes.pop("model", "spatiotemporal")
    options = {"num_classes": 5, "frames": 6, "image_size": 32, "tokeniser": tokeniser, **sizes, **videomae, **changes}
    if model == "factorised_self_attention":
        options.pop("pool")
    return create_model(model, size="tiny", **options)


@pytest.mark.parametrize(
    ("changes", "key", "remedy"),
    [
        ({"pool": "mean"}, "model.pool", "model.pool=mean_then_norm"),
        ({"positions": "learned"}, "positions", "positions=sinusoidal_1d"),
        ({"gelu": "tanh"}, "model.gelu", "model.gelu=erf"),
        ({"model": "factorised_self_attention"}, "model", "model=spatiotemporal"),
        ({"tokeniser": {"name": "tubelet", "dim": 24, "tubelet": [2, 16, 16]}}, "size.patch", "size.patch=8"),
    ],
)
def test_another_network_is_told_what_to_set(changes: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as error:
        load_videomae_weights(create_videomae(**changes), published(peer("small").state_dict()))
    assert error.value.key == key


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pre_trained_weights_start_a_network_and_their_decoder_is_ignored(layout: str, tmp_path: Path) -> None:
    peers = peer("small", "VideoMAEForPreTraining")
    state = peers.state_dict()
    if layout == "published":
        state = {f"encoder.{name}": tensor for name, tensor in published(state).items() if "decoder" not in name}
        state = {name.replace("encoder.mask", "mask"): tensor for name, tensor in state.items()}
        state |= {"encoder.norm.weight": torch.ones(24), "encoder.norm.bias": torch.zeros(24)}
        state |= {"decoder.blocks.0.attn.q_bias": torch.zeros(24), "encoder_to_decoder.weight": torch.zeros(24, 24)}
    elif layout == "hub":
        peers.save_pretrained(tmp_path)
        state = read(tmp_path)
    net = create_videomae()
    report = load_videomae_weights(net, state)
    assert {name for name in report.fresh if not name.startswith("head.")} == {
        "encoder.norm.weight",
        "encoder.norm.bias",
    }
    assert torch.equal(net.encoder.blocks[1].mlp[0].bias, peers.videomae.encoder.layer[1].intermediate.dense.bias)
    key_bias = net.encoder.blocks[0].attention.qkv.bias.chunk(3)[1]
    assert not key_bias.any()
    assert any("decoder" in name for name in report.ignored)
    with pytest.raises(CheckpointError, match="nothing that would become"):
        load_videomae_weights(net, state, load_head=True)


def test_a_converted_folder_answers_as_it_is(tmp_path: Path) -> None:
    net = peer("small")
    net.config.id2label = dict(enumerate(["run", "jump", "sit", "wave", "fall"]))
    write(net, "hub", tmp_path / "hub")
    process = {"size": {"shortest_edge": 36}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    (tmp_path / "hub" / "preprocessor_config.json").write_text(json.dumps(process))
    loaded = read_model(tmp_path / "hub")
    assert loaded.classes == {"label": ["run", "jump", "sit", "wave", "fall"]}
    assert dict(loaded.preprocessing) == {"stride": 4, "resize": 36}
    assert "frames 4 apart are assumed" in loaded.report
    clip = torch.rand(1, 3, 6, 32, 32) * 2 - 1
    mean, std = (torch.tensor(process[name]).view(3, 1, 1, 1) for name in ("image_mean", "image_std"))
    with torch.inference_mode():
        expected = net((((clip + 1) / 2 - mean) / std).transpose(1, 2)).logits
        ours, _ = vivit.load(tmp_path / "hub")
        assert (ours(clip) - expected).abs().max() < 2e-5


def test_a_classifier_of_the_first_token_is_refused(tmp_path: Path) -> None:
    config = transformers.VideoMAEConfig(**SIZES["small"], **CLIP, use_mean_pooling=False)
    transformers.VideoMAEForVideoClassification(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="takes the first token"):
        read_model(tmp_path)


def test_what_no_file_contains_is_asked_for(tmp_path: Path) -> None:
    source = write(peer("small"), "published", tmp_path / "authors")
    with pytest.raises(ConfigError, match="hidden size of 24") as error:
        model_from_videomae(source)
    assert error.value.key == "num_heads"
    write(peer("small", "VideoMAEForPreTraining"), "hub", tmp_path / "pre")
    with pytest.raises(ConfigError, match="has no classifier") as error:
        model_from_videomae(tmp_path / "pre")
    assert error.value.key == "num_classes"


def test_other_loaders_send_a_videomae_to_its_own() -> None:
    state = published(peer("small").state_dict())
    with pytest.raises(CheckpointError, match="weights=videomae"):
        load_video_weights(create_videomae(), state)
    with pytest.raises(CheckpointError, match="videomae"):
        load_image_weights(create_videomae(), state)
    with pytest.raises(CheckpointError, match="no VideoMAE.*weights=video"):
        load_videomae_weights(create_videomae(), dict(create_videomae().state_dict()))
