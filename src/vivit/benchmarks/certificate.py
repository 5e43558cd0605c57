"""A certificate: the training command run in several ways that promise the same weights, and how far they are apart."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from vivit.benchmarks.certificate_picture import page_of_rows, plot_certificate
from vivit.benchmarks.checks import check_names
from vivit.entry_points import start_arguments
from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.training.lightning_compat import loader_state

NEAR = 1e-5
"""The promise of other ranks and parts, which add up the same gradients in another order."""
PATIENCE = 600.0
"""Seconds that a run may take."""
TRIES = 3
"""Runs that are killed until one has its last checkpoint within an epoch."""
ONE, TWO = ("trainer=cpu",), ("trainer=ddp_cpu", "trainer.devices=2")
ALONE = ("trainer=ddp_cpu", "trainer.devices=1")
SHARDS = ("trainer=fsdp", "trainer.accelerator=cpu")


@dataclass(frozen=True)
class Way:
    """A way to train: settings, how many batches make a step, and the settings of a resume, where it is killed."""

    text: str
    settings: Sequence[str]
    batches: int = 1
    workers: int = 0
    resume: Sequence[str] | None = None
    promise: float = NEAR


WAYS = {
    "reference": Way("1 rank, no worker", ONE, promise=0.0),
    "workers_2": Way("2 workers", ONE, workers=2, promise=0.0),
    "workers_4": Way("4 workers", ONE, workers=4, promise=0.0),
    "killed": Way("killed, continued", ONE, workers=2, resume=(), promise=0.0),
    "ranks": Way("2 ranks", TWO, batches=2),
    "parts": Way("4 parts", (*ONE, "trainer.accumulate_grad_batches=4"), batches=4),
    "shards": Way("2 ranks, shards", (*SHARDS, "trainer.devices=2"), batches=2),
    "ranks_to_one": Way("2 ranks, then 1", TWO, batches=2, resume=("trainer.devices=1",)),
    "one_to_ranks": Way("1 rank, then 2", ALONE, resume=("trainer.devices=2",)),
    "parts_to_ranks": Way(
        "4 parts, then 2 ranks", (*ALONE, "trainer.accumulate_grad_batches=4"), batches=4,
        resume=("trainer.devices=2",),
    ),
    "shards_to_one": Way(
        "2 shards, then 1 rank", (*SHARDS, "trainer.devices=2"), batches=2, resume=("trainer.devices=1",)
    ),
}  # fmt: skip
"""All ways, by the names of ``bench.ways``; the first is what the others are compared with."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: the loss of every step, that of every validation, and the weights."""

    train: Mapping[int, float]
    val: Mapping[int, float]
    weights: Mapping[str, torch.Tensor]
    resumed: int | None
    """The step from which a killed run was continued."""


def certificate_rows(
    *, overrides: Sequence[str], clips: int, ways: Sequence[str], folder: str, target: str
) -> list[dict[str, Any]]:
    """Train in each of ``ways``, in steps of ``clips``, and return the largest differences to the first of them.

    ``train_loss`` is over all steps, ``val_loss`` over all validations, ``weights`` over all weights at the end;
    ``promise`` is what they may be at most. ``resumed`` is the step from which a killed run was continued. Rows, a
    page and a picture are written into ``target``, as ``certificate.json``, ``.md`` and ``.svg``. Raises ConfigError
    for unknown ways, a step that they do not share, and where a command fails.
    """
    check_names("ways", ways, WAYS)
    names = ["reference", *(name for name in ways if name != "reference")]
    if clips % max(WAYS[name].batches for name in names):
        raise ConfigError("bench.clips", clips, "is not shared evenly by 4 parts", "set a multiple of 4")
    outcomes = {}
    for name in names:
        way = WAYS[name]
        settings = [*overrides, *way.settings, f"data.batch_size={clips // way.batches}", "test=false"]
        settings += [f"data.num_workers={way.workers}", "trainer.log_every_n_steps=1"]
        run = Path(folder) / name
        outcomes[name] = run_way(way, settings, run)
    reference = outcomes["reference"]
    rows = [compare(WAYS[name], outcome, reference) for name, outcome in outcomes.items()]
    place, fall = Path(target), loss_fall(reference)
    place.mkdir(parents=True, exist_ok=True)
    setup = {"clips": clips, "overrides": list(overrides)}
    write_json(place / "certificate.json", setup | {"loss_fall": fall, "rows": rows})
    (place / "certificate.md").write_text(page_of_rows(rows, fall), encoding="utf-8")
    (place / "certificate.svg").write_bytes(plot_certificate(rows))
    return rows


def run_way(way: Way, settings: Sequence[str], run: Path) -> Outcome:
    """Return what the training command ends with, killed in mid-epoch and continued where the way says so."""
    if way.resume is None:
        start_training([*settings, f"hydra.run.dir={run}"], run)
        return read_outcome(run, None)
    for number in range(TRIES):
        attempt = run.with_name(f"{run.name}_{number}")
        step = start_training(
            [*settings, f"hydra.run.dir={attempt}", "callbacks.checkpoint.every_n_train_steps=3"], attempt, kill=True
        )
        if step is not None:
            start_training([f"resume={attempt}", *way.resume], attempt)
            return read_outcome(attempt, step)
    raise ConfigError("bench.overrides", list(settings), "was over before it could be killed", "set more epochs")


def start_training(arguments: Sequence[str], run: Path, *, kill: bool = False) -> int | None:
    """Run the training command; with ``kill`` until a checkpoint lies within the second epoch, and return its step.

    None where it ended by itself. Raises ConfigError where it fails.
    """
    command = [sys.executable, *start_arguments("train"), *arguments]
    run.mkdir(parents=True, exist_ok=True)
    output = run / "certificate.txt"
    with output.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    end = time.monotonic() + PATIENCE
    checkpoint, killed = run / "checkpoints" / "last.ckpt", False
    try:
        while process.poll() is None and time.monotonic() < end:
            if kill and step_within_epoch(checkpoint, first_epoch=1) is not None:
                killed = True
                break
            time.sleep(0.005 if kill else 0.05)
    finally:
        late = process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the ranks too
        process.wait()
    if killed:
        return step_within_epoch(checkpoint, first_epoch=0)
    if late or process.returncode:
        lines = output.read_text(encoding="utf-8", errors="replace")[-2000:]
        problem = f"train.py {' '.join(arguments)} {'is late' if late else 'failed'}: {lines}"
        raise ConfigError("bench.overrides", problem=problem, remedy="set what trains within minutes")
    return None


def step_within_epoch(file: Path, *, first_epoch: int) -> int | None:
    """Return the step of a checkpoint within an epoch from ``first_epoch`` on; None of any other, or without a file."""
    if not file.is_file():
        return None
    checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    state = loader_state(checkpoint)
    within = state.get("epoch", -1) >= first_epoch and 0 < state.get("clips", 0) < state["of_epoch"][1]
    return int(checkpoint["global_step"]) if within else None


def read_outcome(run: Path, resumed: int | None) -> Outcome:
    """Return what a run folder holds of a run that is done."""
    with (run / "csv" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    train, val = (
        {int(row["step"]): float(row[name]) for row in rows if row.get(name)} for name in ("train/loss", "val/loss")
    )
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    return Outcome(train, val, checkpoint["state_dict"], resumed)


def loss_fall(outcome: Outcome) -> tuple[float, float]:
    """Return the mean training loss of the first tenth of a run's steps, and that of the last."""
    losses = [outcome.train[step] for step in sorted(outcome.train)]
    tenth = -(-len(losses) // 10)
    return fmean(losses[:tenth]), fmean(losses[-tenth:])


def compare(way: Way, outcome: Outcome, reference: Outcome) -> dict[str, Any]:
    """Return the largest differences of two runs, as a table's row. Raises ConfigError where they have other steps."""
    steps = (outcome.train.keys(), outcome.val.keys(), outcome.weights.keys())
    if steps != (reference.train.keys(), reference.val.keys(), reference.weights.keys()):
        problem = f"{way.text}: other steps, validations or weights than the first way"
        raise ConfigError("bench.overrides", problem=problem, remedy="set what all ways train in as many steps")
    differences = {
        name: max(abs(values[step] - expected[step]) for step in expected)
        for name, values, expected in (
            ("train_loss", outcome.train, reference.train), ("val_loss", outcome.val, reference.val)
        )
    }  # fmt: skip
    weights = max(float((outcome.weights[name] - tensor).abs().max()) for name, tensor in reference.weights.items())
    largest = max(weights, *differences.values())
    row = {"case": way.text, "promise": way.promise, "steps": len(outcome.train), "resumed": outcome.resumed}
    return row | differences | {"weights": weights, "holds": largest <= way.promise}
