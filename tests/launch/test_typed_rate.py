"""What is typed of stride and fps counts before what an experiment or a sweep's row sets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import start
from omegaconf import DictConfig, OmegaConf

from vivit.data.view_samplers import check_rate
from vivit.errors import ConfigError
from vivit.launch import Job
from vivit.launch.job_identity import JobIdentity
from vivit.launch.typed_rate import prefer_typed_rate, typed_overrides

Compose = Callable[..., DictConfig]
FINETUNE = ("experiment=finetune", "data=folder", "data.root=x")


def rate(composed: Compose, *words: str) -> tuple[int | None, float | None]:
    data = composed(*words)
    prefer_typed_rate(data, words)
    check_rate(data.data.stride, data.data.fps)
    return data.data.stride, data.data.fps


def test_a_typed_stride_replaces_the_fps_of_an_experiment(composed: Compose) -> None:
    assert rate(composed, *FINETUNE) == (None, 4)
    assert rate(composed, *FINETUNE, "data.stride=4") == (4, None)
    assert rate(composed, *FINETUNE, "++data.stride=4") == (4, None)
    assert rate(composed, *FINETUNE, "data.fps=8") == (None, 8)
    assert rate(composed, *FINETUNE, "data.fps=null") == (2, None)


def test_a_typed_fps_replaces_the_stride_of_a_file(composed: Compose) -> None:
    cfg = composed("data.fps=8")
    cfg.data.stride = 3  # as an experiment of one's own sets it
    OmegaConf.set_readonly(cfg, True)
    prefer_typed_rate(cfg, ["data.fps=8"])
    assert (cfg.data.stride, cfg.data.fps) == (None, 8)


def test_both_typed_are_an_error(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"data\.fps=8: data\.stride=4 is set too"):
        rate(composed, *FINETUNE, "data.stride=4", "data.fps=8")


def test_a_typed_null_is_no_rate(composed: Compose) -> None:
    assert rate(composed, *FINETUNE, "data.stride=null") == (None, 4)


def test_of_a_row_only_what_stands_beside_it_is_typed(composed: Compose) -> None:
    words = ["sweep=frames_constant_tokens", "row=a", "data.stride=1", "data.fps=8"]
    identity = JobIdentity("frames_constant_tokens", "a", "laptop", "1", ("data.fps=8",), 3, tuple(words))
    job = Job(Path(), {}, words, "s", identity=identity)
    cfg = composed("data.stride=1", "data.fps=8")
    prefer_typed_rate(cfg, typed_overrides(job))
    assert (cfg.data.stride, cfg.data.fps) == (None, 8)


def test_the_command_trains_at_the_typed_stride(tmp_path: Path, small_motion: Path) -> None:
    """An experiment of one's own folder, so that no weights are needed; what is stored is what was used."""
    folder = tmp_path / "own" / "experiment"
    folder.mkdir(parents=True)
    (folder / "slow.yaml").write_text("# @package _global_\ndata: {fps: 4}\n")
    words = ("experiment=slow", f"hydra.searchpath=[file://{folder.parent}]", f"data.root={small_motion}")
    small = ("data.frames=2", "data.cache=none", "data.num_workers=0", "trainer=cpu", "trainer.max_epochs=1")
    steps = ("+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1", "test=false")
    run = tmp_path / "run"
    trained = start(tmp_path / "t.txt", "src/train.py", *words, *small, *steps, "data.stride=3", f"hydra.run.dir={run}")
    assert trained.wait() == 0, trained.said
    stored = OmegaConf.load(run / ".hydra" / "config.yaml")
    assert (stored.data.stride, stored.data.fps) == (3, None)
    assert json.loads((run / "results.json").read_text())["metrics"]
    words = (*words, *small, *steps, "data.stride=3", "data.fps=4", f"hydra.run.dir={tmp_path / 'both'}")
    refused = start(tmp_path / "b.txt", "src/train.py", *words)
    assert refused.wait() == 1
    assert "data.fps=4: data.stride=3 is set too" in refused.said
