"""Hugging Face's ViViT in and out, against transformers itself."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import VivitConfig, VivitForVideoClassification, VivitImageProcessor, VivitModel, VivitVideoProcessor

from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets, UniformFrames
from vivit.weights import huggingface_labels, model_from_huggingface, save_huggingface

CLIPS = {
    "wide": {"num_frames": 6, "image_size": [20, 35], "tubelet_size": [2, 5, 7]},
    "square": {"num_frames": 4, "image_size": 24, "tubelet_size": [4, 8, 12]},
}
WIDTHS = {"hidden_size": 18, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 26}
LABELS = [f"class {i}" for i in range(11)]
QUERY = "vivit.encoder.layer.1.attention.attention.query.weight"


def peer(clip: str = "wide", cls: type = VivitForVideoClassification, **more):
    torch.manual_seed(3)
    model = cls(VivitConfig(**CLIPS[clip], **WIDTHS, id2label=dict(enumerate(LABELS)), **more)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def sizes(clip: str = "wide") -> dict[str, int]:
    sides = CLIPS[clip]["image_size"]
    height, width = sides if isinstance(sides, list) else (sides, sides)
    return {"frames": CLIPS[clip]["num_frames"], "height": height, "width": width}


def ours(clip: str = "wide", **more) -> SpatioTemporal:
    tokeniser = Tubelets(dim=18, tubelet=CLIPS[clip]["tubelet_size"])
    net = SpatioTemporal(tokeniser, **sizes(clip), classes=11, depth=3, heads=2, mlp_dim=26, **more).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


def pixels(clip: str = "wide") -> torch.Tensor:
    return torch.rand(2, 3, *sizes(clip).values(), generator=torch.Generator().manual_seed(1)) * 2 - 1


def logits(model: nn.Module, clip: str) -> torch.Tensor:
    return model(pixel_values=pixels(clip).transpose(1, 2)).logits


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    peer().save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.mark.parametrize("gelu", ["gelu_fast", "gelu"])
@pytest.mark.parametrize("clip", CLIPS)
def test_their_folder_gives_their_logits(clip: str, gelu: str, tmp_path: Path) -> None:
    theirs = peer(clip, hidden_act=gelu)
    theirs.save_pretrained(tmp_path / "theirs")
    net, report = model_from_huggingface(tmp_path / "theirs")
    assert difference(net.eval()(pixels(clip)), logits(theirs, clip)) <= 1e-5
    assert len(report.loaded) == len(list(theirs.parameters()))
    assert not (report.fresh or report.ignored or report.resized)
    assert huggingface_labels(tmp_path / "theirs") == LABELS


@pytest.mark.parametrize(("clip", "gelu"), [("wide", "erf"), ("square", "tanh")])
def test_our_folder_loads_there_without_a_missing_or_unexpected_key(clip: str, gelu: str, tmp_path: Path) -> None:
    net = ours(clip, gelu=gelu)
    save_huggingface(net, tmp_path / "ours", labels=LABELS)
    theirs, info = VivitForVideoClassification.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    assert difference(net(pixels(clip)), logits(theirs.eval(), clip)) <= 1e-5
    assert theirs.config.id2label == dict(enumerate(LABELS))
    again, _ = model_from_huggingface(tmp_path / "ours")
    assert str(again) == str(net)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("names", ["of files", "of modules"])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin", ".pt"])
def test_a_file_alone_needs_the_sizes(names: str, suffix: str, folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors") if names == "of files" else peer().state_dict()
    assert (QUERY in tensors) == (names == "of files")
    file = tmp_path / f"weights{suffix}"
    save_file(tensors, file) if suffix == ".safetensors" else torch.save(tensors, file)
    net, report = model_from_huggingface(file, **sizes(), heads=2)
    assert difference(net.eval()(pixels()), logits(peer(), "wide")) <= 1e-5
    assert set(report.loaded) == set(tensors)
    with pytest.raises(ValueError, match=r"do not tell heads, and no config.json .*: give heads=") as caught:
        model_from_huggingface(file, **sizes())
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("names", ["of files", "of modules"])
def test_a_bare_model_starts_with_a_new_head(names: str, tmp_path: Path) -> None:
    theirs = peer(cls=VivitModel)
    theirs.save_pretrained(tmp_path / "bare")
    source = tmp_path / "bare" if names == "of files" else theirs.state_dict()
    given = {} if names == "of files" else {**sizes(), "heads": 2}
    net, report = model_from_huggingface(source, **given, classes=5)
    assert report.fresh == ("classifier.weight", "classifier.bias")
    assert set(report.ignored) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert "pooler" in str(report)
    seen = []
    net.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert torch.equal(net.eval()(pixels()), torch.zeros(2, 5))
    hidden = theirs(pixel_values=pixels().transpose(1, 2)).last_hidden_state
    assert difference(seen[0], hidden[:, 0]) <= 1e-5
    with pytest.raises(ValueError, match="no classifier: give classes="):
        model_from_huggingface(source, **given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_become_float32_without_loss(dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in peer().state_dict().items()}
    net, _ = model_from_huggingface(tensors, **sizes(), heads=2)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert torch.equal(net.head.projection.weight, tensors["classifier.weight"].float())


@pytest.mark.parametrize("processor", [VivitVideoProcessor, VivitImageProcessor])
def test_our_preprocessing_gives_minus_one_to_one(processor: type, tmp_path: Path) -> None:
    save_huggingface(ours("square"), tmp_path / "model")
    prepare = processor.from_pretrained(tmp_path / "model")
    for colour, value in ((0, -1.0), (255, 1.0)):
        video = [np.full((40, 60, 3), colour, "uint8")] * 4
        given = prepare(video if processor is VivitImageProcessor else np.stack(video), return_tensors="pt")
        assert given["pixel_values"].shape == (1, 4, 3, 24, 24)
        assert torch.allclose(given["pixel_values"], torch.tensor(value), atol=1e-6)


def test_the_short_side_is_the_recipe_s(tmp_path: Path) -> None:
    save_huggingface(ours("square"), tmp_path / "default")
    save_huggingface(ours("square"), tmp_path / "given", short_side=29)
    for name, side in (("default", 27), ("given", 29)):
        config = json.loads((tmp_path / name / "preprocessor_config.json").read_text())
        assert config["size"] == {"shortest_edge": side}
        assert config["do_normalize"] is False


def test_a_single_file_has_the_weights_alone(tmp_path: Path) -> None:
    net = ours()
    save_huggingface(net, tmp_path / "weights.safetensors")
    again, _ = model_from_huggingface(tmp_path / "weights.safetensors", **sizes(), heads=2)
    assert torch.equal(net(pixels()), again.eval()(pixels()))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for name in ("folder", "weights.safetensors"):
        save_huggingface(ours(), tmp_path / name)
        with pytest.raises(FileExistsError, match=f"{name} is there already"):
            save_huggingface(ours(), tmp_path / name)
    with pytest.raises(ValueError, match="neither a folder nor"):
        save_huggingface(ours(), tmp_path / "weights.bin")


def test_networks_without_a_counterpart_are_refused(tmp_path: Path) -> None:
    sampled = UniformFrames(dim=18, frames=3, patch=(5, 7))
    small = {"classes": 2, "depth": 1, "heads": 2, "mlp_dim": 5, **sizes()}
    temporal = {"temporal_depth": 1, "temporal_heads": 1, "temporal_mlp_dim": 4}
    for net, message in (
        (FactorisedEncoder(Tubelets(dim=18, tubelet=(2, 5, 7)), **small, **temporal), "no counterpart of Factorised"),
        (SpatioTemporal(sampled, **small), "no counterpart of UniformFrames"),
        (ours(pool="mean"), "no counterpart of pool='mean'"),
        (ours(representation=9), "parameters"),
    ):
        with pytest.raises(ValueError, match=message):
            save_huggingface(net, tmp_path / "model")
    with pytest.raises(ValueError, match="2 labels are given for a network of 11"):
        save_huggingface(ours(), tmp_path / "labels", labels=["a", "b"])
    assert not list(tmp_path.iterdir())


CONFIGS = {
    "hidden_act": ("relu", "says hidden_act='relu', but these models have one of gelu_fast"),
    "layer_norm_eps": (1e-12, "says layer_norm_eps=1e-12"),
    "model_type": ("videomae", "says model_type='videomae'"),
    "qkv_bias": (False, "says qkv_bias=False"),
    "num_hidden_layers": (4, "says num_hidden_layers=4, but the weights have 3"),
    "tubelet_size": ([2, 7, 5], r"says tubelet_size=\[2, 7, 5\]"),
    "num_frames": ("6", "says '6' of frames"),
    "image_size": (64, "cannot be cut"),
    "num_attention_heads": (5, "not a multiple of heads=5"),
}


@pytest.mark.parametrize("key", CONFIGS)
def test_a_configuration_that_does_not_fit_is_named(key: str, folder: Path) -> None:
    value, message = CONFIGS[key]
    config = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as caught:
        model_from_huggingface(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({QUERY: None}, f"'{QUERY}' is missing"),
        ({"vivit.momentum": torch.zeros(3)}, "'vivit.momentum' is unexplained"),
        ({QUERY: torch.zeros(18, 17)}, rf"'{QUERY}' has the shape \(18, 17\), but .* needs \(18, 18\)"),
        ({"vivit.layers.1.attention.q_proj.weight": torch.zeros(18, 18)}, "are the same parameter"),
        ({"vivit.embeddings.patch_embeddings.projection.weight": torch.zeros(18, 3, 5, 7)}, "needs 5 axes"),
        ({"classifier.bias": None}, "'classifier.bias' is missing"),
    ],
)
def test_keys_that_do_not_fit_are_named(change: dict, message: str, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors") | change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        model_from_huggingface(folder)


def test_what_is_asked_for_may_not_contradict(folder: Path) -> None:
    with pytest.raises(ValueError, match="heads=3 is asked for, but config.json says 2"):
        model_from_huggingface(folder, heads=3)
    with pytest.raises(ValueError, match="classes=5 are asked for, but the classifier has 11"):
        model_from_huggingface(folder, classes=5)


class Explosive:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_a_malicious_file_is_refused_and_not_run(dump, suffix: str, tmp_path: Path) -> None:
    file, mark = tmp_path / f"weights{suffix}", tmp_path / "executed"
    with open(file, "wb") as opened:
        dump({"classifier.weight": Explosive(mark)}, opened)
    with pytest.raises(ValueError, match=str(file)) as caught:
        model_from_huggingface(file)
    assert "mkdir" in str(caught.value) or suffix == ".safetensors" or dump is pickle.dump
    assert "\n" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_truncated_file_is_refused(suffix: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / f"whole{suffix}"
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, file) if suffix == ".safetensors" else torch.save(tensors, file)
    whole = file.read_bytes()
    for share in (0, 0.01, 0.3, 0.9, 0.999):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=str(cut)):
            model_from_huggingface(cut, **sizes(), heads=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": [1.0, 2.0]}, "'weights' is of type list"),
        ([torch.zeros(2)], "type list, not tensors by name"),
        ({"a": torch.zeros(2, dtype=torch.float64)}, "'a' is torch.float64"),
        ({"a": torch.zeros(0, 3)}, "not empty"),
        ({3: torch.zeros(2)}, "3 is of type Tensor"),
        ({"a": torch.zeros(1).expand(10**6, 10**6)}, "claim to have"),
        ({"a": torch.zeros(2)}, "no weights of Hugging Face's ViViT"),
    ],
)
def test_foreign_content_is_refused(content, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=message) as caught:
        model_from_huggingface(tmp_path / "weights.pt", **sizes(), heads=2)
    assert "weights.pt" in str(caught.value)


def test_foreign_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither model.safetensors nor pytorch_model.bin"):
        model_from_huggingface(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="several files"):
        model_from_huggingface(tmp_path)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ValueError, match="ends in none of .npz, .safetensors"):
        model_from_huggingface(tmp_path / "weights.h5")
    with pytest.raises(FileNotFoundError):
        model_from_huggingface(tmp_path / "nowhere.pt")
    (tmp_path / "config.json").write_text("{")
    torch.save(peer().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="config.json is not JSON"):
        model_from_huggingface(tmp_path)
