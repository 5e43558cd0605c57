"""What cannot be asked of a run is one sentence before anything is built, and groups may be left empty."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.conf import ConfigSourceInfo
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from vivit.jobs.apart import CONFIGS, configurations
from vivit.jobs.command import begin, without_null
from vivit.jobs.trainer import check_trainer

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=null"], "seed=null: is no whole number from 0 to 4294967295; set one, as seed=1"),
        (["seed=-1"], "seed=-1: is no whole number"),
        (["seed=4294967296"], "seed=4294967296: is no whole number"),
        (["seed=abc"], "seed=abc: is no whole number"),
        (["seed=1.5"], "seed=1.5: is no whole number"),
        (["seed=true"], "seed=True: is no whole number"),
        (["trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches=0: is no whole number above 0"),
        (["trainer.accumulate_grad_batches=null"], "trainer.accumulate_grad_batches=null: is no whole number above 0"),
        (["trainer.accumulate_grad_batches=0.5"], "trainer.accumulate_grad_batches=0.5: is no whole number above 0"),
        (["+trainer.limit_test_batches=0"], "leaves nothing to test; set test=false to leave the test out"),
        (["+trainer.limit_test_batches=0.0"], "leaves nothing to test"),
        (["+trainer.enable_checkpointing=false"], "set callbacks.best=null callbacks.checkpoint=null to keep none"),
        (
            ["+trainer.enable_checkpointing=false", "callbacks.best=null"],
            "leave it out and set callbacks.checkpoint=null to keep none",
        ),
        (["+trainer.strategy=ddp_spawn"], "trainer.strategy=ddp_spawn: .*; set trainer.strategy=ddp, which"),
        (["trainer=ddp", "trainer.strategy=ddp_fork"], "trainer.strategy=ddp_fork: "),
        (["+trainer.strategy=ddp_notebook"], "trainer.strategy=ddp_notebook: "),
        (["+trainer.strategy=ddp_spawn_find_unused_parameters_false"], "_parameters_false: "),
        (["+trainer.strategy=ddp_fork_find_unused_parameters_true"], "_parameters_true: "),
        (
            ["+trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, start_method: spawn}"],
            "trainer.strategy.start_method=spawn: ",
        ),
    ],
    ids=lambda said: " ".join(said) if isinstance(said, list) else "",
)
def test_what_would_fail_late_is_said_first(words: list[str], said: str, composed: Compose) -> None:
    with pytest.raises(ValueError, match=said):
        check_trainer(composed(*words))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["seed=0"],
        ["trainer.accumulate_grad_batches=3"],
        ["+trainer.limit_test_batches=0", "test=false"],
        ["+trainer.limit_test_batches=0.1"],
        ["+trainer.enable_checkpointing=false", "callbacks=none"],
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
    read = without_null(word)
    assert read == f"{group}=none"
    assert composed(read).get(group, {}) == ({} if group != "augment" else composed("augment=none").augment)


def test_a_group_that_cannot_be_empty_says_what_there_is() -> None:
    with pytest.raises(SystemExit, match=r"model=null: a group .* cannot be null; .* set one of average_pool, factor"):
        without_null("model=null")


@pytest.mark.parametrize(
    "word", ["ckpt_path=null", "model=none", "callbacks.best=null", "trainer.devices=1", "-m", "data=csv"]
)
def test_other_words_stay(word: str) -> None:
    assert without_null(word) == word


def test_a_command_reads_its_words_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "logger=null", "seed=2"])
    begin()
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
        return configurations()

    assert found() == []
    assert found(given=tmp_path) == [f"--config-dir={tmp_path}"]
    assert found(given=tmp_path, main=tmp_path / "b") == [f"--config-dir={tmp_path}", f"--config-path={tmp_path / 'b'}"]
    HydraConfig.instance().cfg = None
