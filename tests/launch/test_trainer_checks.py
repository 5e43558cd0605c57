"""What cannot be asked of a run is one sentence before anything is built, and groups may be left empty."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.conf import ConfigSourceInfo
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError
from vivit.launch.command_line import begin, replace_null_option
from vivit.launch.subprocess_job import config_options
from vivit.launch.trainer_checks import check_trainer

Compose = Callable[..., DictConfig]


ACCUMULATE, STRATEGY = "trainer.accumulate_grad_batches", "trainer.strategy"
MAX_TIME = "trainer.max_time"


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["seed=null"], "seed"),
        (["seed=-1"], "seed"),
        (["seed=4294967296"], "seed"),
        (["seed=abc"], "seed"),
        (["seed=1.5"], "seed"),
        (["seed=true"], "seed"),
        ([f"{ACCUMULATE}=0"], ACCUMULATE),
        ([f"{ACCUMULATE}=null"], ACCUMULATE),
        ([f"{ACCUMULATE}=0.5"], ACCUMULATE),
        (["+trainer.limit_test_batches=0"], "trainer.limit_test_batches"),
        (["+trainer.limit_test_batches=0.0"], "trainer.limit_test_batches"),
        (["+trainer.enable_checkpointing=false"], "trainer.enable_checkpointing"),
        (["+trainer.enable_checkpointing=false", "callbacks.checkpoint_best=null"], "trainer.enable_checkpointing"),
        (["+trainer.max_time={second: 4}"], MAX_TIME),
        (["+trainer.max_time={}"], MAX_TIME),
        (["+trainer.max_time={seconds: -4}"], MAX_TIME),
        (["+trainer.max_time={seconds: soon}"], MAX_TIME),
        (["+trainer.max_time=60"], MAX_TIME),
        (["+trainer.max_time='1:30'"], MAX_TIME),
        (["+trainer.strategy=ddp_spawn"], STRATEGY),
        (["trainer=ddp", "trainer.strategy=ddp_fork"], STRATEGY),
        (["+trainer.strategy=ddp_notebook"], STRATEGY),
        (["+trainer.strategy=ddp_spawn_find_unused_parameters_false"], STRATEGY),
        (["+trainer.strategy=ddp_fork_find_unused_parameters_true"], STRATEGY),
        (
            ["+trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, start_method: spawn}"],
            f"{STRATEGY}.start_method",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_impossible_trainers_are_refused_before_anything_is_built(
    overrides: list[str], key: str, composed: Compose
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_trainer(composed(*overrides))
    assert refused.value.key == key


def test_errors_of_a_progress_bar_that_is_switched_off_name_its_callback(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.enable_progress_bar=false: .*callbacks\.progress=null to have"):
        check_trainer(composed("+trainer.enable_progress_bar=false"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("trainer.max_epochs=0", "leaves nothing to train; set 1 or more; to score a network without training it"),
        ("trainer.max_steps=0", "leaves nothing to train"),
        ("trainer.max_epochs=-2", "is no number of epochs; set 1 or more, or -1 for no limit"),
        ("trainer.max_steps=1.5", "is no number of steps"),
        ("trainer.max_steps=null", "is no number of steps"),
    ],
)
def test_a_training_without_a_step_is_one_sentence(word: str, sentence: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{word}: {sentence}")):
        check_trainer(composed(word))
    check_trainer(composed(word, "ckpt_path=a", name="eval"))


def test_errors_of_checkpointing_name_the_callbacks_to_leave_out(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.checkpoint=null callbacks\.preemption=null to have none"):
        check_trainer(composed("+trainer.enable_checkpointing=false", "callbacks.checkpoint_best=null"))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["seed=0"],
        ["trainer.accumulate_grad_batches=3"],
        ["+trainer.limit_test_batches=0", "test=false"],
        ["+trainer.limit_test_batches=0.1"],
        ["+trainer.enable_checkpointing=false", "callbacks=none"],
        ["+trainer.enable_progress_bar=false", "callbacks.progress=null"],
        ["+trainer.enable_progress_bar=false", "callbacks=none"],
        ["+trainer.enable_progress_bar=true"],
        ["+trainer.max_time={seconds: 4}"],
        ["+trainer.max_time.hours=1.5"],
        ["+trainer.max_time='00:01:30:00'"],
        ["+trainer.max_time=00:01:30:00"],
        ["+trainer.max_time=null"],
        ["trainer.max_steps=1"],
        ["trainer.max_epochs=-1", "trainer.max_steps=5"],
        ["trainer.max_epochs=null", "trainer.max_steps=5"],
        ["trainer=ddp"],
        ["trainer=ddp_cpu"],
        ["+trainer.strategy=ddp_find_unused_parameters_true"],
        ["+trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, start_method: popen}"],
    ],
    ids=str,
)
def test_what_can_be_is_left_alone(words: list[str], composed: Compose) -> None:
    check_trainer(composed(*words))


@pytest.mark.parametrize("name", ["predict", "report", "prepare", "eval"])
def test_other_commands_have_no_more_than_they_have(name: str, composed: Compose) -> None:
    check_trainer(composed(*(["ckpt_path=a", "video=b"] if name == "predict" else []), name=name))


@pytest.mark.parametrize("word", ["callbacks=null", "logger=null", "logger=", "augment=Null", "logger=none"])
def test_nothing_may_be_chosen_of_a_group(word: str, composed: Compose) -> None:
    group = word.partition("=")[0]
    read = replace_null_option(word)
    assert read == f"{group}=none"
    assert composed(read).get(group, {}) == ({} if group != "augment" else composed("augment=none").augment)


def test_a_group_that_cannot_be_empty_says_what_there_is() -> None:
    with pytest.raises(SystemExit, match=r"model=null: .*set one of attentive_pool, average_pool, factor"):
        replace_null_option("model=null")


@pytest.mark.parametrize(
    "word", ["ckpt_path=null", "model=none", "callbacks.checkpoint_best=null", "trainer.devices=1", "-m", "data=csv"]
)
def test_other_words_stay(word: str) -> None:
    assert replace_null_option(word) == word


def test_a_command_reads_its_words_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "logger=null", "seed=2"])
    begin("train")
    assert sys.argv == ["train.py", "logger=none", "seed=2"]


def test_a_job_looks_where_its_sweep_looks(composed: Compose, tmp_path: Path) -> None:
    """As its ranks do then, which have its command line."""

    def found(**places: Path) -> list[str]:
        named = {"hydra": "pkg", "command-line": places.get("given"), "main": places.get("main", CONFIGS)}
        cfg = composed(hydra=True)
        with read_write(cfg), open_dict(cfg):
            cfg.hydra.runtime.config_sources = [
                ConfigSourceInfo(path=str(path), schema="file", provider=name) for name, path in named.items() if path
            ]
        HydraConfig.instance().set_config(cfg)
        return config_options()

    assert found() == []
    assert found(given=tmp_path) == [f"--config-dir={tmp_path}"]
    assert found(given=tmp_path, main=tmp_path / "b") == [f"--config-dir={tmp_path}", f"--config-path={tmp_path / 'b'}"]
    HydraConfig.instance().cfg = None
