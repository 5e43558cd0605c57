"""Hugging Face's ViViT in and out, against transformers itself."""

import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import make_network
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import VivitConfig, VivitForVideoClassification, VivitImageProcessor, VivitModel, VivitVideoProcessor

from vivit.checkpoints import huggingface_labels, model_from_huggingface, save_huggingface
from vivit.errors import CheckpointError, ConfigError
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets, UniformFrames

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


def spatiotemporal(clip: str = "wide", **more) -> SpatioTemporal:
    tokeniser = Tubelets(dim=18, tubelet=CLIPS[clip]["tubelet_size"])
    net = make_network(
        SpatioTemporal, tokeniser, **sizes(clip), num_classes=11, depth=3, num_heads=2, mlp_dim=26, **more
    ).eval()
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
    reference = peer(clip, hidden_act=gelu)
    reference.save_pretrained(tmp_path / "theirs")
    net, report = model_from_huggingface(tmp_path / "theirs")
    assert difference(net.eval()(pixels(clip)), logits(reference, clip)) <= 1e-5
    assert len(report.loaded) == len(list(reference.parameters()))
    assert not (report.fresh or report.ignored or report.resized)
    assert huggingface_labels(tmp_path / "theirs") == LABELS


@pytest.mark.parametrize(("clip", "gelu"), [("wide", "erf"), ("square", "tanh")])
def test_saved_folder_loads_in_transformers_without_missing_keys(clip: str, gelu: str, tmp_path: Path) -> None:
    net = spatiotemporal(clip, gelu=gelu)
    save_huggingface(net, tmp_path / "ours", labels=LABELS)
    reference, info = VivitForVideoClassification.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    assert difference(net(pixels(clip)), logits(reference.eval(), clip)) <= 1e-5
    assert reference.config.id2label == dict(enumerate(LABELS))
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
    net, report = model_from_huggingface(file, **sizes(), num_heads=2)
    assert difference(net.eval()(pixels()), logits(peer(), "wide")) <= 1e-5
    assert set(report.loaded) == set(tensors)
    with pytest.raises(ConfigError, match=re.escape(str(file))) as error:
        model_from_huggingface(file, **sizes())
    assert error.value.key == "num_heads"


@pytest.mark.parametrize("names", ["of files", "of modules"])
def test_a_bare_model_starts_with_a_new_head(names: str, tmp_path: Path) -> None:
    reference = peer(cls=VivitModel)
    reference.save_pretrained(tmp_path / "bare")
    source = tmp_path / "bare" if names == "of files" else reference.state_dict()
    arguments = {} if names == "of files" else {**sizes(), "num_heads": 2}
    net, report = model_from_huggingface(source, **arguments, num_classes=5)
    assert report.fresh == ("classifier.weight", "classifier.bias")
    assert set(report.ignored) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert "pooler" in str(report)
    seen = []
    net.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert torch.equal(net.eval()(pixels()), torch.zeros(2, 5))
    hidden = reference(pixel_values=pixels().transpose(1, 2)).last_hidden_state
    assert difference(seen[0], hidden[:, 0]) <= 1e-5
    with pytest.raises(ConfigError) as error:
        model_from_huggingface(source, **arguments)
    assert error.value.key == "num_classes"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_become_float32_without_loss(dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in peer().state_dict().items()}
    net, _ = model_from_huggingface(tensors, **sizes(), num_heads=2)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert torch.equal(net.head.projection.weight, tensors["classifier.weight"].float())


@pytest.mark.parametrize("processor", [VivitVideoProcessor, VivitImageProcessor])
def test_our_preprocessing_gives_minus_one_to_one(processor: type, tmp_path: Path) -> None:
    save_huggingface(spatiotemporal("square"), tmp_path / "model")
    prepare = processor.from_pretrained(tmp_path / "model")
    for colour, value in ((0, -1.0), (255, 1.0)):
        video = [np.full((40, 60, 3), colour, "uint8")] * 4
        batch = prepare(video if processor is VivitImageProcessor else np.stack(video), return_tensors="pt")
        assert batch["pixel_values"].shape == (1, 4, 3, 24, 24)
        assert torch.allclose(batch["pixel_values"], torch.tensor(value), atol=1e-6)


def test_the_short_side_is_the_recipe_s(tmp_path: Path) -> None:
    save_huggingface(spatiotemporal("square"), tmp_path / "default")
    save_huggingface(spatiotemporal("square"), tmp_path / "given", short_side=29)
    for name, side in (("default", 27), ("given", 29)):
        config = json.loads((tmp_path / name / "preprocessor_config.json").read_text())
        assert config["size"] == {"shortest_edge": side}
        assert config["do_normalize"] is False


def test_a_single_file_has_the_weights_alone(tmp_path: Path) -> None:
    net = spatiotemporal()
    save_huggingface(net, tmp_path / "weights.safetensors")
    again, _ = model_from_huggingface(tmp_path / "weights.safetensors", **sizes(), num_heads=2)
    assert torch.equal(net(pixels()), again.eval()(pixels()))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for name in ("folder", "weights.safetensors"):
        save_huggingface(spatiotemporal(), tmp_path / name)
        with pytest.raises(FileExistsError, match=f"{name} exists"):
            save_huggingface(spatiotemporal(), tmp_path / name)
    with pytest.raises(ConfigError) as error:
        save_huggingface(spatiotemporal(), tmp_path / "weights.bin")
    assert error.value.key == "target"


def test_networks_without_a_counterpart_are_refused(tmp_path: Path) -> None:
    sampled = UniformFrames(dim=18, num_frames=3, patch=(5, 7))
    small = {"num_classes": 2, "depth": 1, "num_heads": 2, "mlp_dim": 5, **sizes()}
    temporal = {"temporal_depth": 1, "temporal_num_heads": 1, "temporal_mlp_dim": 4}
    for net, key, value in (
        (
            make_network(FactorisedEncoder, Tubelets(dim=18, tubelet=(2, 5, 7)), **small, **temporal),
            "model",
            "FactorisedEncoder",
        ),
        (make_network(SpatioTemporal, sampled, **small), "tokeniser", "UniformFrames"),
        (spatiotemporal(pool="mean"), "model.pool", "mean"),
        (spatiotemporal(representation_size=9), "model", "SpatioTemporal"),
    ):
        with pytest.raises(ConfigError) as error:
            save_huggingface(net, tmp_path / "model")
        assert (error.value.key, error.value.value) == (key, value)
    with pytest.raises(ConfigError) as error:
        save_huggingface(spatiotemporal(), tmp_path / "labels", labels=["a", "b"])
    assert (error.value.key, error.value.value) == ("outputs", 2)
    assert not list(tmp_path.iterdir())


CONFIGS = {
    "hidden_act": ("relu", "hidden_act"),
    "layer_norm_eps": (1e-12, "layer_norm_eps"),
    "model_type": ("videomae", "model_type"),
    "qkv_bias": (False, "qkv_bias"),
    "num_hidden_layers": (4, "num_hidden_layers"),
    "tubelet_size": ([2, 7, 5], "tubelet_size"),
    "num_frames": ("6", "frames"),
    "image_size": (64, "data.crop.0"),
    "num_attention_heads": (5, "model.num_heads"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_json_that_does_not_fit_is_refused_by_key(name: str, folder: Path) -> None:
    value, key = CONFIGS[name]
    config = json.loads((folder / "config.json").read_text()) | {name: value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as error:
        model_from_huggingface(folder)
    assert error.value.key == key
    assert error.value.file in (str(folder / "config.json"), str(folder / "model.safetensors"))


PATCHES = "vivit.embeddings.patch_embeddings.projection.weight"
Q_PROJ = "vivit.layers.1.attention.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({QUERY: None}, QUERY, "is missing"),
        ({"vivit.momentum": torch.zeros(3)}, "vivit.momentum", "is unexpected"),
        ({QUERY: torch.zeros(18, 17)}, QUERY, r"has the shape \(18, 17\), but .* needs \(18, 18\)"),
        ({Q_PROJ: torch.zeros(18, 18)}, "|".join([QUERY, Q_PROJ]), "are one parameter"),
        ({PATCHES: torch.zeros(18, 3, 5, 7)}, PATCHES, "needs 5 axes"),
        ({"classifier.bias": None}, "classifier.bias", "is missing"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_key(change: dict, key: str, message: str, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors") | change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message) as error:
        model_from_huggingface(folder)
    assert error.value.key in key.split("|")


def test_arguments_that_contradict_the_files_are_refused(folder: Path) -> None:
    for name, value in (("num_heads", 3), ("num_classes", 5)):
        with pytest.raises(ConfigError) as error:
            model_from_huggingface(folder, **{name: value})
        assert (error.value.key, error.value.value) == (name, value)


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
    with pytest.raises(CheckpointError) as error:
        model_from_huggingface(file)
    assert error.value.file == str(file)
    assert "mkdir" in str(error.value) or suffix == ".safetensors" or dump is pickle.dump
    assert "\n" not in str(error.value)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_truncated_file_is_refused(suffix: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / f"whole{suffix}"
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, file) if suffix == ".safetensors" else torch.save(tensors, file)
    content_bytes = file.read_bytes()
    for share in (0, 0.01, 0.3, 0.9, 0.999):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(content_bytes[: int(share * len(content_bytes))])
        with pytest.raises(CheckpointError) as error:
            model_from_huggingface(cut, **sizes(), num_heads=2)
        assert error.value.file == str(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": [1.0, 2.0]}, "'weights': expected a numeric tensor, got list"),
        ([torch.zeros(2)], "type list, not tensors by name"),
        ({"a": torch.zeros(2, dtype=torch.float64)}, "a: is torch.float64"),
        ({"a": torch.zeros(0, 3)}, "not empty"),
        ({3: torch.zeros(2)}, "3: expected"),
        ({"a": torch.zeros(1).expand(10**6, 10**6)}, "tensors claim"),
        ({"a": torch.zeros(2)}, "no weights of Hugging Face's ViViT"),
    ],
)
def test_foreign_content_is_refused(content, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=message) as error:
        model_from_huggingface(tmp_path / "weights.pt", **sizes(), num_heads=2)
    assert error.value.file == str(tmp_path / "weights.pt")


def test_folders_and_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither model.safetensors nor pytorch_model.bin"):
        model_from_huggingface(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(CheckpointError, match="several files"):
        model_from_huggingface(tmp_path)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF")
    with pytest.raises(CheckpointError) as error:
        model_from_huggingface(tmp_path / "weights.h5")
    assert error.value.file == str(tmp_path / "weights.h5")
    with pytest.raises(ConfigError) as error:
        model_from_huggingface(tmp_path / "nowhere.pt")
    assert error.value.key == "source"
    (tmp_path / "config.json").write_text("{")
    torch.save(peer().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError) as error:
        model_from_huggingface(tmp_path)
    assert error.value.file == str(tmp_path / "config.json")
