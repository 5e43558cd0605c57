"""Every published configuration is what the paper's tables say, costs what its header says, and trains when shrunk."""

import json
import logging
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from forked import start
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from published_folders import DATA_SETS

from vivit.benchmarks.model import PAPER_MODELS
from vivit.data.datasets import motion
from vivit.errors import ConfigError
from vivit.launch import Job, format_error
from vivit.models.flops import count_flops
from vivit.tasks.build import build_network
from vivit.tasks.train import train
from vivit.tasks.training_checks import check_mixup, check_shards

Compose = Callable[..., DictConfig]
Commanded = Callable[[str], DictConfig]
FOLDER = Path(__file__).parents[1] / "configs" / "experiment"
OWN = "finetune"
"""Of own videos, in no table of the paper: tests/test_own_videos.py."""
EXPERIMENTS = sorted(file.stem for file in FOLDER.glob("[!_]*.yaml") if file.stem != OWN)
COMMAND = re.compile(r"^#   python src/train\.py (.*)$", re.MULTILINE)


class Recipe(NamedTuple):
    """Table 7 of the paper and the released configurations; where they differ the released code's, then the paper's."""

    rate: tuple[float, float]
    epochs: int
    videos: int
    """Training videos of the released configurations, for the number of steps; Moments in Time's of the paper."""
    clip: tuple[int, int, int, int]
    """Frames, frames from one to the next, short side, crop."""
    views: tuple[int, int] = (4, 3)
    regularised: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Stochastic depth, label smoothing, mixup."""
    rand_augment: tuple[int, int] | None = None
    """Layers and magnitude; without it, colour jitter of 0.8."""


KINETICS = Recipe((0.1, 0.1), 30, 214_834, (32, 2, 256, 224))
K600, MOMENTS = KINETICS._replace(rate=(0.05, 0.1), videos=363_213), Recipe((0.25, 0.25), 10, 800_000, KINETICS.clip)
EPIC = Recipe((0.5, 0.5), 50, 67_217, (32, 1, 256, 224), (4, 1), (0.2, 0.2, 0.1), (2, 15))
SSV2 = Recipe((0.4, 0.5), 35, 168_913, (32, 1, 288, 256), (4, 3), (0.3, 0.3, 0.3), (2, 20))


class Published(NamedTuple):
    """What is known of one row of the paper's tables."""

    recipe: Recipe
    params: int | None
    """Of the released code, to the unit; None where it was not counted there."""
    gflops: float | None
    """As the paper prints them, for 400 classes."""
    classes: int = 400


PUBLISHED = {
    "k400_base_spatiotemporal": Published(KINETICS, 88_954_000, 455.2),
    "k400_base_factorised_encoder": Published(KINETICS._replace(rate=(0.05, 0.1)), 115_062_928, 284.4),
    "k400_base_factorised_self_attention": Published(KINETICS, 117_319_312, 372.3),
    "k400_base_factorised_dot_product": Published(KINETICS, 88_952_464, 277.1),
    "k400_base_average_pool": Published(KINETICS, 86_696_080, 283.9),
    "k400_large_factorised_encoder": Published(KINETICS, 606_827_920, 995.3),
    "k400_large_224": Published(KINETICS, 307_508_624, 1446),
    "k400_large_288": Published(KINETICS._replace(clip=(32, 2, 329, 288)), None, 2919),
    "k400_large_320": Published(KINETICS._replace(clip=(32, 2, 366, 320)), None, 3992),
    "k400_huge": Published(KINETICS, 636_945_040, 47770 / 12),
    "k600_large_factorised_encoder": Published(K600, None, 995.3, 600),
    "moments_large_factorised_encoder": Published(MOMENTS, None, 995.3, 339),
    "epic_large_factorised_encoder": Published(EPIC, 354_900_365, None, 397),
    "ssv2_large_factorised_encoder": Published(SSV2, 354_733_230, None, 174),
}
"""No figures were printed for 4 temporal layers."""


def header(name: str) -> str:
    """Give the comment at the top of an experiment."""
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ")
    return text[: text.index("\ndefaults:")]


def command(name: str) -> list[str]:
    """Give the words of the command in the header."""
    (words,) = COMMAND.findall(header(name))
    return shlex.split(words)


def stated(name: str, unit: str) -> float:
    """Give the number that stands before a unit in the header, once."""
    (number,) = re.findall(rf"([\d.,]*\d) {unit}", header(name))
    return float(number.replace(",", ""))


@pytest.fixture(scope="module")
def commanded(composed: Compose) -> Commanded:
    """Compose the command of a header, once for all tests that only look at it."""
    return cache(lambda name: composed(*command(name)))


def network(cfg: DictConfig, classes: int) -> torch.nn.Module:
    with torch.device("meta"):
        return build_network(cfg, classes)


def test_every_row_is_there() -> None:
    assert sorted(PUBLISHED) == EXPERIMENTS


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_header_tells_the_network_s_cost(name: str, commanded: Commanded) -> None:
    """Parameters to the last digit; FLOPs as the paper prints them, which is within 0.05 % of ours."""
    cfg, row = commanded(name), PUBLISHED[name]
    net = network(cfg, row.classes)
    found = count_flops(net, frames=cfg.data.frames, height=cfg.data.crop[0], width=cfg.data.crop[1])
    assert stated(name, "M parameters") == round(found.params / 1e6, 3)
    assert row.params is None or found.params == row.params
    assert stated(name, "GFLOPs a view,") == pytest.approx(row.gflops or found.paper_gflops, rel=2e-5)
    assert found.paper_gflops == pytest.approx(stated(name, "GFLOPs a view,"), rel=5e-4)
    if "num_classes" in cfg.data.dataset:
        assert cfg.data.dataset.num_classes == row.classes


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_header_s_command_is_the_paper_s_recipe(name: str, commanded: Commanded) -> None:
    cfg, recipe = commanded(name), PUBLISHED[name].recipe
    steps = recipe.videos // 64 * cfg.trainer.max_epochs
    assert (stated(name, "steps"), stated(name, "videos")) == (steps, recipe.videos)
    assert (cfg.trainer.max_epochs, cfg.optim.warmup_epochs) == (recipe.epochs, 2.5)
    assert cfg.optim.optimizer == {
        "_target_": "torch.optim.SGD",
        "_partial_": True,
        "lr": recipe.rate[0],
        "momentum": 0.9,
    }
    assert cfg.data.batch_size * cfg.trainer.devices == 64
    assert (cfg.data.frames, cfg.data.stride, cfg.data.resize, cfg.data.crop[0]) == recipe.clip
    assert cfg.data.crop[0] == cfg.data.crop[1]
    assert (cfg.views.temporal, cfg.views.spatial) == recipe.views
    assert (cfg.model.stochastic_depth, cfg.loss.label_smoothing, cfg.loss.mixup) == recipe.regularised
    assert (cfg.augment.scale_jitter, cfg.augment.random_crop, cfg.augment.hflip_prob) == ([0.9, 1.33], True, 0.5)
    colours = cfg.augment.color_transform
    if recipe.rand_augment:
        assert (colours.num_ops, colours.magnitude) == recipe.rand_augment
    else:
        assert (colours.jitter, colours.greyscale) == (0.8, 0.1)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_override_of_a_header_changes_something(name: str, composed: Compose, commanded: Commanded) -> None:
    """They compose with the command; and the paper's rate is among them where it is another."""
    said = re.findall(r"\b[a-z][a-z_.]*=(?:\[[\d,]+\]|[\w./]*\w)", COMMAND.sub("", header(name)))
    base, cfg = commanded(name), composed(*command(name), *said)
    for override in OverridesParser.create().parse_overrides(said):
        key = {"views": "views.spatial"}.get(override.key_or_group, override.key_or_group)
        before, after = (OmegaConf.select(node, key) for node in (base, cfg))
        assert before != after, f"{override.input_line} is what it is anyway"
    released, paper = PUBLISHED[name].recipe.rate
    assert (f"optim.optimizer.lr={paper}" in said) == (released != paper)


def test_the_paper_s_clips_of_128_frames_are_in_the_header() -> None:
    """At the cost that it prints; ours of the same network is compared in ``test_cost.py``."""
    (printed,) = (case.paper_gflops for case in PAPER_MODELS if case.frames == 128)
    assert stated("k400_large_factorised_encoder", "GFLOPs a view[.]") == printed
    assert "data.frames=128" in header("k400_large_factorised_encoder")


@pytest.mark.parametrize(("devices", "parts", "clips"), [(1, 8, 8), (2, 1, 32), (8, 4, 2)])
def test_a_step_has_64_clips_on_any_number_of_devices(devices: int, parts: int, clips: int, composed: Compose) -> None:
    words = [f"trainer.devices={devices}", f"trainer.accumulate_grad_batches={parts}"]
    cfg = composed("experiment=k400_huge", "data.root=x", "trainer=ddp", *words)
    assert cfg.data.batch_size == clips


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("6", "trainer.devices=6: 64 clips a step cannot be divided evenly"),
        ("auto", "trainer.devices=auto: 64 clips a step are divided by it; set a number"),
    ],
)
def test_devices_that_cannot_share_a_step_are_refused(devices: str, message: str, composed: Compose) -> None:
    cfg = composed("experiment=k400_huge", "data.root=x", "trainer=ddp", f"trainer.devices={devices}")
    with pytest.raises(Exception, match="clips a step") as error:
        _ = cfg.data.batch_size
    assert message in format_error(error.value)


ONE_CLIP = ("experiment=epic_large_factorised_encoder", "trainer=ddp", "trainer.accumulate_grad_batches=8")
GROWS = "callbacks.regularisation.mixup={_target_: vivit.training.regularisation.Linear, start: 0.0, end: 0.3}"


@pytest.mark.parametrize(
    ("words", "key"), [((), "loss.mixup"), (("loss.mixup=0.0", GROWS), "callbacks.regularisation.mixup")]
)
def test_mixup_where_a_device_has_one_clip_is_refused(
    words: tuple[str, ...], key: str, composed: Compose, tmp_path: Path
) -> None:
    """Before anything is looked for on the disk."""
    cfg = composed(*ONE_CLIP, f"data.root={tmp_path}/none", f"paths.run={tmp_path}", *words)
    assert cfg.data.batch_size == 1
    with pytest.raises(ConfigError, match=rf"data\.batch_size=1 .*, or {key}=0$") as error:
        train(cfg, Job(tmp_path, {}, [], None))
    assert error.value.key == key


@pytest.mark.parametrize(
    "words", [("callbacks.regularisation.mixup=0.0",), ("loss.mixup=0.0",), ("trainer.devices=4",)]
)
def test_no_mixup_takes_one_clip_and_mixup_two(words: tuple[str, ...], composed: Compose) -> None:
    check_mixup(composed(*ONE_CLIP, "data.root=x", *words))


def test_mixup_of_frames_that_are_kept_is_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="frozen_cache_gb keeps features") as error:
        check_mixup(composed("frozen_cache_gb=1", "loss.mixup=0.2"))
    assert error.value.key == "loss.mixup"
    check_mixup(composed("frozen_cache_gb=1"))


@pytest.mark.parametrize(
    ("word", "key"), [("frozen_cache_gb=1", "frozen_cache_gb"), ("trainer.precision=16-mixed", "trainer.precision")]
)
def test_shards_refuse_what_ranks_do_apart(word: str, key: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as error:
        check_shards(composed("trainer=fsdp", word))
    assert error.value.key == key
    check_shards(composed("trainer=fsdp"))
    check_shards(composed("trainer=ddp", word))


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("k400_base_average_pool", "https://storage.googleapis.com/vit_models/imagenet21k/ViT-B_16.npz"),
        ("k400_large_320", "https://storage.googleapis.com/vit_models/imagenet21k/ViT-L_16.npz"),
        ("k400_huge", "https://storage.googleapis.com/vit_models/imagenet21k/ViT-H_14.npz"),
        (
            "epic_large_factorised_encoder",
            "https://storage.googleapis.com/scenic-bucket/vivit/kinetics_400/vivit_large_16x2_fe/checkpoint",
        ),
    ],
)
def test_the_weights_to_start_from_are_asked_for_first(
    name: str, address: str, composed: Compose, tmp_path: Path
) -> None:
    """Before the lists of videos are read, which are not there either; a missing folder of videos comes before both."""
    words = (*command(name), f"paths.data={tmp_path}", f"paths.run={tmp_path}", f"data.root={tmp_path}")
    with pytest.raises(ConfigError, match="there is no such folder") as error:
        train(composed(*words, f"data.root={tmp_path}/none"), Job(tmp_path, {}, [], None))
    assert error.value.key == "data.root"
    with pytest.raises(ConfigError) as error:
        train(composed(*words), Job(tmp_path, {}, [], None))
    file = tmp_path / "weights" / "/".join(address.split("/")[-3 if "scenic" in address else -1 :])
    assert (error.value.key, error.value.value) == ("weights.source", file)
    assert address in str(error.value)


def image_vit() -> Mapping[str, torch.Tensor]:
    """Weights of a tiny ViT under timm's names, for images of 4 x 4 patches."""
    dim, patch = 64, 8
    shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, 17, dim), "norm.weight": (dim,), "norm.bias": (dim,)}
    shapes |= {"patch_embed.proj.weight": (dim, 3, patch, patch), "patch_embed.proj.bias": (dim,)}
    for i in range(2):
        layers = {"norm1": (dim,), "norm2": (dim,), "attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
        layers |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
        for layer, shape in layers.items():
            shapes |= {f"blocks.{i}.{layer}.weight": shape, f"blocks.{i}.{layer}.bias": shape[:1]}
    return {name: 0.02 * torch.randn(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the published data sets in miniature, and of a tiny image ViT."""
    folder = tmp_path_factory.mktemp("published")
    motion.generate(folder / "motion", [replace(split, videos=3) for split in motion.SPLITS])
    for name, publish in DATA_SETS.items():
        (folder / name).mkdir()
        publish(folder / name, sorted((folder / "motion").rglob("*.mp4")))
    torch.save(image_vit(), folder / "vit.pt")
    return folder


def shrunk(name: str, roots: Path, folder: Path, composed: Compose, *words: str) -> Mapping[str, Any]:
    """Train an experiment for three steps with all but its size; give what it leaves in its folder."""
    data = "kinetics" if name.startswith("k") else name.split("_")[0]
    said = [f"experiment={name}", f"data.root={roots / data}", "trainer=cpu", "debug=limit", "size=tiny"]
    said += ["data.batch_size=2", "data.frames=4", "data.resize=36", "data.crop=[32,32]", "data.num_workers=0"]
    said += [f"paths.run={folder}", "callbacks.progress=null", "callbacks.curves=null"]
    said += ["data.dataset.num_classes=2"] if data == "kinetics" else []
    folder.mkdir(parents=True, exist_ok=True)
    train(composed(*said, *words), Job(folder, {"data": data}, said, None))
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def kinetics_run(roots: Path, tmp_path_factory: pytest.TempPathFactory, composed: Compose) -> Path:
    """Folder of a shrunk run on Kinetics, whose network has three temporal layers."""
    folder = tmp_path_factory.mktemp("kinetics")
    words = (f"weights.source={roots}/vit.pt", "size.temporal_depth=3")
    shrunk("k400_large_factorised_encoder", roots, folder, composed, *words)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_when_shrunk(
    name: str, roots: Path, kinetics_run: Path, composed: Compose, tmp_path: Path
) -> None:
    """On its own data set, from weights of its own kind; the test takes all views."""
    chained = composed(f"experiment={name}", "data.root=x").weights._target_.endswith("load_video_weights")
    source = kinetics_run / "checkpoints" / "best.ckpt" if chained else roots / "vit.pt"
    temporal = ["size.temporal_depth=1"] if "factorised_encoder" in name else []
    results = shrunk(name, roots, tmp_path, composed, f"weights.source={source}", *temporal)
    recipe = PUBLISHED[name].recipe
    assert results["views"] == "x".join(map(str, recipe.views))
    accuracy = "test/action_acc_top1" if name.startswith("epic") else "test/acc_top1"
    assert 0 <= results["metrics"][accuracy] <= 1
    assert results["config"]["trainer"]["limit_train_batches"] == 3
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.slow
def test_epic_kitchens_goes_on_with_a_network_of_kinetics(
    roots: Path, kinetics_run: Path, composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer and larger clips, one temporal layer of three, two heads instead of one."""
    source = kinetics_run / "checkpoints" / "best.ckpt"
    name, clip = "epic_large_factorised_encoder", ["data.frames=8", "data.crop=[40,48]", "data.resize=54"]
    words = [f"weights.source={source}", "size.temporal_depth=1", *clip]
    with pytest.raises(ValueError, match="of temporal layer 1, more than the network has"):
        shrunk(name, roots, tmp_path / "refused", composed, *words, "weights.truncate_temporal_layers=false")
    with caplog.at_level(logging.INFO):
        results = shrunk(name, roots, tmp_path / "run", composed, *words, "optim.optimizer.lr=0")
    (report,) = (text for text in caplog.messages if text.startswith(f"{source}: "))
    assert "spatial.positions: 1 x 4 x 4 -> 1 x 5 x 6, bilinear" in report
    assert "temporal.positions: 2 x 1 x 1 -> 4 x 1 x 1, bilinear" in report
    for layer in (1, 2):
        assert f"temporal layer {layer}, beyond those of the network" in report
    assert set(results["metrics"]) >= {f"test/{head}_acc_top1" for head in ("noun", "verb", "action")}
    theirs, ours = (
        torch.load(file, weights_only=True)["state_dict"]
        for file in (source, tmp_path / "run" / "checkpoints" / "last.ckpt")
    )
    assert ours["network.head.projection.weight"].shape == (397, 64)
    kept = [name for name in ours if "positions" not in name and "head" not in name]
    assert any(name.startswith("network.temporal.blocks.0.") for name in kept)
    assert not any(name.startswith("network.temporal.blocks.1.") for name in kept)
    assert all(torch.equal(ours[name], theirs[name]) for name in kept)


@pytest.mark.slow
def test_kinetics_trains_as_gpus_do_on_two_ranks_of_the_cpu(roots: Path, tmp_path: Path) -> None:
    """Two steps in bfloat16, clipped, with a fused optimizer, by DDP with a static graph; as published but for size."""
    small = ["size=tiny", "size.temporal_depth=1", "data.batch_size=1", "data.frames=4", "data.resize=36"]
    small += ["data.crop=[32,32]", "data.num_workers=0", "data.dataset.num_classes=2", "views=1x1"]
    on_cpus = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=bf16-mixed", "optim.fused=true"]
    command = start(
        *(tmp_path / "output.txt", "src/train.py", "experiment=k400_base_factorised_encoder", "trainer=ddp"),
        *(f"data.root={roots / 'kinetics'}", f"weights.source={roots / 'vit.pt'}", "trainer.max_epochs=1"),
        "+trainer.limit_train_batches=2",
        *(f"paths.logs={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}", *small, *on_cpus),
    )
    assert command.wait() == 0, command.said
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["compute"] == {
        "precision": "bf16-mixed", "matmul_precision": None, "fused": True, "static_graph": True, "pin_memory": False,
    }  # fmt: skip
    assert (results["optimizer"]["name"], results["config"]["trainer"]["gradient_clip_val"]) == ("SGD", 1.0)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2
    assert checkpoint["compute"] == results["compute"]
