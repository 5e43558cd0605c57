"""A run of trainer=fsdp that a signal ends goes on on one rank, and all commands take it as any other run."""

import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import start

from vivit.errors import ConfigError
from vivit.features.feature_file import FeatureFile
from vivit.launch import Job
from vivit.run_folder import read_status
from vivit.tasks.convert import convert
from vivit.tasks.evaluate import evaluate
from vivit.tasks.features import extract_features
from vivit.tasks.predictor import build_predictor
from vivit.tasks.train import train

pytestmark = pytest.mark.slow

SHORT = ("data.num_workers=0", "optim.warmup_epochs=0.0", "views=1x1", "size.depth=1")
SHARDS = ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=4", "trainer.max_epochs=4")
EPOCH, EPOCHS = 6, 4


def steps(file: Path) -> int:
    return int(torch.load(file, weights_only=True)["global_step"]) if file.is_file() else 0


def tensors(run: Path) -> int:
    return len(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])


@pytest.fixture(scope="module")
def run(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of two shards, ended by SIGTERM, that went on on one rank; ``shards.ckpt`` is what two saved."""
    logs = tmp_path_factory.mktemp("sharded")
    folder, saved = logs / "run", logs / "run" / "checkpoints" / "last.ckpt"
    words = (*SHORT, *SHARDS, "callbacks=[default,ema]", "callbacks.batch_picture=null", "seed=7")
    words += ("callbacks.checkpoint.every_n_train_steps=2",)
    words += (f"data.root={small_motion}", f"paths.logs={logs}", f"hydra.run.dir={folder}")
    command = start(logs / "output.txt", "src/train.py", *words)
    command.wait_for(saved.is_file)
    os.killpg(command.pid, signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.said
    assert read_status(folder)["status"] == "interrupted"
    middle = steps(saved)
    assert 0 < middle < EPOCH * EPOCHS
    (folder / "checkpoints" / "shards.ckpt").write_bytes(saved.read_bytes())
    again = start(logs / "again.txt", "src/train.py", f"resume={folder}", "trainer.devices=1")
    assert again.wait() == 0, again.said
    assert f"resumed at step {middle}, from {folder}" in again.said
    assert steps(saved) == EPOCH * EPOCHS
    return folder


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
def test_a_run_in_shards_is_scored_asked_converted_and_gone_on_with(
    run: Path, small_motion: Path, tmp_path: Path, composed: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def call(task: Callable[..., Any], name: str, *words: str) -> Mapping[str, Any]:
        folder = tmp_path / f"{name}_{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        cfg = composed(*words, name=name)
        cfg.paths.run = str(folder)
        task(cfg, Job(folder, {}, list(words), None))
        return json.loads((folder / "results.json").read_text())

    def logits(checkpoint: Path) -> torch.Tensor:
        cfg = composed(f"ckpt_path={checkpoint}", "video=x", "num_workers=0", "device=cpu", name="predict")
        ((_, scores),) = build_predictor(cfg, Job(tmp_path, {}, [], None)).predict([str(video)])
        return scores

    video = next((small_motion / "test").glob("*.mp4"))
    alone = ("trainer=cpu", "+trainer.enable_progress_bar=false")
    tested = json.loads((run / "results.json").read_text())["metrics"]
    scored = call(evaluate, "eval", f"ckpt_path={run}", "num_workers=0", *alone)["metrics"]
    assert scored == pytest.approx({name: tested[name] for name in scored}, abs=1e-6)

    shards = run / "checkpoints" / "shards.ckpt"
    there, back = tmp_path / "checkpoint_1", tmp_path / "back.ckpt"
    call(convert, "convert", f"source={shards}", f"target={there}")
    call(convert, "convert", f"source={there}", f"target={back}")
    assert torch.equal(logits(back), logits(shards))
    assert not torch.equal(logits(run), logits(shards))

    files = (f"target={tmp_path / 'features'}", "splits=[test]", "num_workers=0", *alone)
    call(extract_features, "features", f"ckpt_path={shards}", *files)
    assert len(FeatureFile(tmp_path / "features" / "test.arrow").read().video) == 17
    with pytest.raises(ConfigError, match="set trainer=ddp"):
        call(extract_features, "features", f"ckpt_path={shards}", *files, "trainer=fsdp")

    caplog.set_level(logging.INFO)
    fixed = (*SHORT, *alone, f"data.root={small_motion}", "test=false", "data.batch_size=8")
    call(train, "train", f"ckpt_path={shards}", *fixed, "seed=7", f"trainer.max_epochs={EPOCHS}", "callbacks=ema")
    assert f"resumed at step {steps(shards)}, from {shards}" in caplog.text
    head = ("weights=video", f"weights.source={run}", "weights.load_head=true")
    call(train, "train", *head, *fixed, "trainer.max_epochs=1", "callbacks=none")
    assert f"{run / 'checkpoints' / 'best.ckpt'}: {tensors(run)} loaded, 0 inflated, 0 resized, 0 fresh" in caplog.text
