"""A job's folder is named after what decides its result, and nothing else."""

import pickle
import re
import sys
from collections.abc import Callable

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.launch import Preflight
from vivit.launch.resolvers import job_name

Compose = Callable[..., DictConfig]


def hashed(cfg: DictConfig) -> str:
    return job_name(_root_=cfg)[-8:]


@pytest.mark.parametrize(
    "override",
    [
        "paths.logs=elsewhere",
        "paths.data=elsewhere",
        "records=docs/results",
        "logger=tensorboard",
        "data.num_workers=0",
        "callbacks.checkpoint.every_n_train_steps=3",
    ],
)
def test_what_does_not_decide_the_result_changes_no_hash(override: str, composed: Compose) -> None:
    assert hashed(composed(hydra=True)) == hashed(composed(override, hydra=True))


@pytest.mark.parametrize(
    "override",
    ["seed=2", "optim.optimizer.lr=1e-4", "model.stochastic_depth=0.1", "loss.mixup=0.3", "data.root=elsewhere",
     "trainer=ddp_cpu", "callbacks.checkpoint_best.mode=min", "ckpt_path=a.ckpt", "regularisation=epic"],
)  # fmt: skip
def test_what_decides_the_result_changes_the_hash(override: str, composed: Compose) -> None:
    assert hashed(composed(hydra=True)) != hashed(composed(override, hydra=True))


def test_a_name_says_what_varies_without_an_equals_sign(composed: Compose) -> None:
    name = job_name(_root_=composed("model=spatiotemporal", "+data.dataset.extra='a/b c'", "seed=3", hydra=True))
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
    assert name.startswith("model-spatiotemporal_data.dataset.extra-a-b-c-_seed-3_")


@pytest.mark.parametrize("task", ["prepare", "eval"])
def test_jobs_of_other_scripts_have_names_too(task: str, composed: Compose) -> None:
    """A data set refers to a loader and a seed, which only training has."""
    overrides = ["data=csv", "data.root=/videos"] + (
        ["shard_index=1", "num_shards=2"] if task == "prepare" else ["ckpt_path=a"]
    )
    name = job_name(_root_=composed(*overrides, name=task, hydra=True))
    assert re.search(r"_[0-9a-f]{8}$", name)


def test_a_name_is_short_enough_for_a_folder(composed: Compose) -> None:
    name = job_name(_root_=composed(f"data.root=/{'long/' * 60}", "paths.logs=/elsewhere", "seed=3", hydra=True))
    assert len(name) < 200
    assert re.search(r"[a-z].*_seed-3_[0-9a-f]{8}$", name)
    assert "elsewhere" not in name, "where the logs lie is no part of a job"


def test_a_name_too_long_has_what_differs_among_the_jobs(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    more = [f"data.root=/{'long/' * 60}", "+data.dataset.filter.kind=a", "trainer.max_epochs=30"]
    monkeypatch.setattr(
        sys, "argv", ["train.py", "-m", *more, "seed=3,4", "optim=adamw,sgd", "callbacks=[default,ema]"]
    )
    name = job_name(_root_=composed(*more, "seed=3", "optim=sgd", "callbacks=[default,ema]", hydra=True))
    assert re.fullmatch("optim-sgd_seed-3_[0-9a-f]{8}", name)


def test_a_job_that_arrives_elsewhere_knows_the_names() -> None:
    """Launchers that put jobs into a queue pickle the checks along with them."""
    OmegaConf.clear_resolver("job_name")
    assert isinstance(pickle.loads(pickle.dumps(Preflight())), Preflight)
    assert OmegaConf.has_resolver("job_name")
