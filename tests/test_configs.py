"""Every configuration composes and builds, and every misspelling is one clear error."""

import re
from collections.abc import Callable
from copy import deepcopy
from inspect import signature
from pathlib import Path

import pytest
import torch
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from vivit.data.datasets import dataset_class
from vivit.data.view_samplers import check_rate
from vivit.errors import ConfigError
from vivit.launch import format_error
from vivit.overrides import LOGGING_CALLBACKS
from vivit.tasks.build import build_network
from vivit.tasks.config_checks import check_keys, root_keys

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
Compose = Callable[..., DictConfig]

APART = {"hydra", "paths", "bench", "sweep_scale", "submission"}
"""Groups that are no choice of a training run; `sweep` and `scale` choose `sweep_scale`."""
PAPER = ["average_pool", "factorised_dot_product", "factorised_encoder", "factorised_self_attention", "spatiotemporal"]
MODELS = ["attentive_pool", *PAPER]


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))


def choices() -> list[str]:
    groups = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())
    return [f"{group}={option}" for group in groups if group not in APART for option in options(group)]


@pytest.mark.parametrize("choice", choices())
def test_every_option_composes(choice: str, composed: Compose) -> None:
    cfg = composed(choice)
    assert set(map(str, cfg)) <= root_keys("train")


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_every_script_has_a_configuration(name: str, composed: Compose) -> None:
    assert composed(name=name)
    assert (REPOSITORY / "src" / f"{name}.py").is_file()


@pytest.mark.parametrize("bench", options("bench"))
def test_every_benchmark_is_a_function_with_its_arguments(bench: str, composed: Compose) -> None:
    cfg = composed(f"bench={bench}", name="benchmark").bench
    arguments = set(map(str, cfg)) - {"_target_"}
    assert arguments == set(signature(get_method(cfg._target_)).parameters)


def test_the_models_are_the_paper_s_and_a_probe() -> None:
    assert options("model") == MODELS


@pytest.mark.parametrize("tokeniser", options("tokeniser"))
@pytest.mark.parametrize("model", options("model"))
def test_every_network_builds_in_every_size(model: str, tokeniser: str, composed: Compose) -> None:
    base = composed(f"model={model}", f"tokeniser={tokeniser}", "data.crop=[224,224]", "data.frames=32")
    for size in options("size"):
        cfg = deepcopy(base)  # instantiate resolves what it reads in place
        cfg.size = OmegaConf.load(CONFIGS / "size" / f"{size}.yaml")
        with torch.device("meta"):
            network = build_network(cfg, 7)
        assert network.head.projection.weight.shape == (7, cfg.size.dim)
        assert network.tokeniser.projection.weight.shape[-2:] == (cfg.size.patch, cfg.size.patch)


@pytest.mark.parametrize("tokeniser", options("tokeniser"))
@pytest.mark.parametrize("model", options("model"))
def test_the_default_clip_fits_every_tiny_network(model: str, tokeniser: str, composed: Compose) -> None:
    cfg = composed(f"model={model}", f"tokeniser={tokeniser}")
    with torch.device("meta"):
        network = build_network(cfg, 7)
        assert network(torch.zeros(2, 3, cfg.data.frames, *cfg.data.crop)).shape == (2, 7)


@pytest.mark.parametrize("group", ["optim", "loss", "augment", "views"])
def test_a_misspelt_key_of_a_class_is_named(group: str, composed: Compose) -> None:
    cfg = composed(f"+{group}.misspelt=1")
    shared = {"frames": 4, "stride": 1, "resize": 9, "crop": (8, 9)} if group in ("augment", "views") else {}
    with pytest.raises((InstantiationException, TypeError)) as error:
        instantiate(cfg[group], _convert_="all")(**shared)
    assert "misspelt" in format_error(error.value)
    assert "\n" not in format_error(error.value)


def test_a_misspelt_key_of_the_model_says_where(composed: Compose) -> None:
    cfg = composed("+model.stochastic_dept=0.1")
    with pytest.raises(ConfigError) as error:
        build_network(cfg, 7)
    assert error.value.key == "model.stochastic_dept"


@pytest.mark.parametrize("group", ["size", "tokeniser"])
def test_a_misspelt_key_of_what_builds_the_model_is_named(group: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as error:
        build_network(composed(f"+{group}.misspelt=1"), 7)
    assert error.value.key == f"{group}.misspelt"


@pytest.mark.parametrize("name", options("data"))
def test_a_data_set_is_configured_by_name_and_never_changes_the_optimizer(name: str, composed: Compose) -> None:
    cfg = composed(f"data={name}", "data.root=/videos")
    assert cfg.optim == composed("optim=adamw").optim
    assert dataset_class(cfg.data.dataset.name).__module__.startswith("vivit.data.datasets.")
    assert not {"_target_", "_partial_"} & set(cfg.data.dataset)


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_the_paper_s_optimizer_comes_with_its_scale(scale: str, composed: Compose) -> None:
    expected = "sgd" if scale == "paper" else "adamw"
    assert composed(f"scale={scale}").optim == composed(f"optim={expected}").optim


def constant(step: int, warmup_steps: int, total_steps: int, *, factor: float = 0.25) -> float:
    return factor


CONSTANT = f"{constant.__module__}.{constant.__qualname__}"
RADAM = ("optim.optimizer._target_=torch.optim.RAdam", "optim.optimizer.lr=0.5")
MINE = f"""\
defaults: [adamw]
optimizer: {{_target_: torch.optim.RAdam, lr: 0.5}}
scheduler: {{_target_: {CONSTANT}}}
"""


@pytest.mark.parametrize("typed", [True, False], ids=["command line", "file"])
def test_any_optimizer_and_any_schedule_of_one_s_own(typed: bool, composed: Compose, tmp_path: Path) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "mine.yaml").write_text(MINE)
    words = (*RADAM, f"optim.scheduler._target_={CONSTANT}")
    cfg = composed(*(words if typed else (f"hydra.searchpath=[file://{tmp_path}]", "optim=mine")))
    optimizer, schedule = instantiate(cfg.optim)(torch.nn.Linear(2, 3), total_steps=8, steps_per_epoch=4)
    assert type(optimizer) is torch.optim.RAdam
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.5, 0.05)
    assert schedule.get_last_lr() == [0.125]


def test_an_argument_that_an_optimizer_does_not_take_is_refused(composed: Compose) -> None:
    cfg = composed("optim.optimizer._target_=torch.optim.Rprop")
    with pytest.raises(ConfigError, match="weight_decay") as error:
        instantiate(cfg.optim)(torch.nn.Linear(2, 3), total_steps=8, steps_per_epoch=4)
    assert error.value.key == "optim.optimizer"
    cfg = composed("optim.optimizer._target_=torch.optim.Rprop", "~optim.optimizer.weight_decay")
    assert instantiate(cfg.optim)(torch.nn.Linear(2, 3), total_steps=8, steps_per_epoch=4)


def test_a_data_set_by_its_class_is_answered_with_what_to_set(composed: Compose) -> None:
    cfg = composed("+data.dataset._target_=mylab.Mine")
    with pytest.raises(ConfigError, match=r"set data\.dataset\.name; .*register_dataset") as error:
        check_keys(cfg, "train")
    assert (error.value.key, error.value.value) == ("data.dataset._target_", "mylab.Mine")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("+model_size=tiny", "model_size"),
        ("+callbacks.stopwach.refresh_rate=3", "callbacks.stopwach"),
        ("+logger.tensorbord.name=x", "logger.tensorbord"),
    ],
)
def test_what_nobody_reads_is_refused(override: str, key: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as error:
        check_keys(composed(override), "train")
    assert error.value.key == key


@pytest.mark.parametrize("override", ["seeed=2", "optim.warmup=3", "data.batchsize=4", "trainer.epochs=3"])
def test_an_override_of_nothing_is_refused_by_hydra(override: str, composed: Compose) -> None:
    with pytest.raises(ConfigCompositionException, match="Could not override") as error:
        composed(override)
    assert isinstance(error.value.__cause__, ConfigKeyError | ConfigAttributeError)


def test_an_option_that_is_not_there_is_refused_with_those_that_are(composed: Compose) -> None:
    with pytest.raises(Exception, match="factorised_encoder"):
        composed("model=factorised_encodr")


def test_the_default_run_is_known_to_the_last_key(composed: Compose) -> None:
    cfg = composed()
    cfg.paths.run = "logs"  # Hydra names it only within a run
    check_keys(cfg, "train")


@pytest.mark.parametrize("words", ["data=ssv2", "experiment=ssv2_large_factorised_encoder", "pretrain=image_vit"])
def test_typed_fps_takes_the_place_of_a_default_stride(words: str, composed: Compose) -> None:
    data = composed(words).data
    assert data.stride == 1 and data.fps is None
    timed = composed(words, "data.fps=8").data
    assert (timed.stride, timed.fps) == (None, 8)
    check_rate(timed.stride, timed.fps)
    both = composed(words, "data.fps=8", "data.stride=1").data
    with pytest.raises(ConfigError) as error:
        check_rate(both.stride, both.fps)
    assert error.value.key == "data.fps"


def test_no_configuration_but_a_sweep_s_row_sets_a_stride_that_fps_cannot_replace() -> None:
    files = [file for file in CONFIGS.rglob("*.yaml") if file.parent.name not in ("bench", "sweep")]
    strides = [
        line for file in files for line in re.findall(r"^[^#\n]*\bstride: [^,}\n]*", file.read_text(), re.MULTILINE)
    ]
    assert len(strides) == 5 and all("${unless_fps:" in line for line in strides)


def test_every_callback_of_a_run_is_said_to_change_its_result_or_not(composed: Compose) -> None:
    """A new one that only watches is no setting: jobs are found again without it."""
    changing = {"checkpoint_best", "regularisation", "preemption"}
    watching = {name for name in composed().callbacks if name not in changing}
    assert watching <= {*LOGGING_CALLBACKS}
