"""The benchmark of a machine with GPUs, shrunk, on the CPU: its rows, their order and numbers, and what it needs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from forked import REPOSITORY, start
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vivit.benchmarks import gpu, gpu_step
from vivit.benchmarks.gpu_plan import StepCase
from vivit.benchmarks.gpu_step import StepSettings, StepTimes
from vivit.errors import ConfigError
from vivit.models import create_model

MODELS = ["factorised_encoder", "spatiotemporal"]
LITTLE: dict[str, Any] = {
    "models": MODELS,
    "sizes": ["tiny"],
    "precision": "bf16",
    "frames": 4,
    "image_size": 32,
    "batch": 2,
    "most_clips": 4,
    "attention": ["flash", "efficient"],
    "parallel": [],
    "devices": None,
    "compiler": "eager",
    "repeats": 2,
    "seconds": 500.0,
    "loader_ms": 20.0,
    "device": "cpu",
}
SETTINGS = StepSettings(frames=4, image_size=32, precision="fp32", repeats=3, compiler="eager", device="cpu")
ALONE = """
import runpy, sys
sys.argv = ["gpu", *sys.argv[1:]]
runpy.run_module("vivit.benchmarks.gpu", run_name="__main__", alter_sys=True)
print(" ".join(sorted({module.split(".")[0] for module in sys.modules})))
"""
"""Runs the benchmark as ``python -m`` does, and prints the libraries that it has imported."""
HEAVY = {"hydra", "omegaconf", "av", "lightning", "torchmetrics", "torchvision", "pandas", "matplotlib", "scipy"}
Rows = list[dict[str, Any]]


def read(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text().splitlines()]


def names(rows: Rows) -> list[str]:
    """Return the cases of rows, one word each: T1 is Model 1 tiny, with its clips and what is special."""
    words = []
    for row in rows:
        special = [row["attention"]] * (row["attention"] != "auto") + [row["parallel"]] * (row["parallel"] != "none")
        special += ["compiled"] * row["compiled"]
        words.append("-".join([f"{row['size'][0]}{MODELS[::-1].index(row['model']) + 1}", str(row["batch"]), *special]))
    return words


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[StepCase], float]], list[float]]:
    """Return a function that replaces the training by seconds of a step, on a clock that one case moves by 100 s."""

    def replace(seconds: Callable[[StepCase], float]) -> list[float]:
        now = [0.0]

        def time_case(case: StepCase, settings: StepSettings, patience: float) -> StepTimes:
            now[0] += 100
            return StepTimes([seconds(case)] * 3, [0.0] * 3, 9.0, 2 * 10**9)

        monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(gpu, "time_case", time_case)
        monkeypatch.setattr(gpu, "measure_matrix_rate", lambda *_: 1e12)
        return now

    return replace


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, str]:
    """Return rows and output of a run in a process of its own, which has torch and the models alone."""
    target = tmp_path_factory.mktemp("gpu") / "rows.jsonl"
    little = LITTLE | {"models": ["spatiotemporal"], "parallel": ["ddp", "fsdp"], "target": str(target)}
    words = [f"{key}={json.dumps(value)}" for key, value in little.items()]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read(target), done.stdout + done.stderr


@pytest.mark.slow
def test_rows_of_a_machine_with_torch_alone(alone: tuple[Rows, str]) -> None:
    rows, output = alone
    assert not set(output.split()) & HEAVY
    assert {"torch", "einops"} <= set(output.split())
    expected = ["t1-2", "t1-2-compiled", "t1-4", "t1-2-flash", "t1-2-efficient", "t1-2-ddp", "t1-2-fsdp"]
    fastest = max((rows[0], rows[2]), key=lambda row: row["clips_per_second"])
    if fastest["batch"] == 4:
        expected.insert(3, "t1-4-compiled")
    assert names(rows) == expected
    assert [row["devices"] for row in rows[-2:]] == [2, 2]
    reason = "not run: a CPU's attention in bfloat16 is not torch's"
    assert {row["failed"] for row in rows if row["attention"] != "auto"} == {reason}
    assert f"spatiotemporal tiny bf16, 1 x 2 clips, flash: {reason}" in output
    for row in rows:
        assert (row["device"], row["torch"]) == ("cpu", torch.__version__)
        assert (row["failed"] is None) == (row["clips_per_second"] is not None) == (row["attention"] == "auto"), row


@pytest.mark.slow
def test_numbers_of_a_row_follow_from_each_other(alone: tuple[Rows, str]) -> None:
    """FLOPs by torch's own counter: two a multiply-add, and twice as many of the backward pass."""
    net = create_model("spatiotemporal", size="tiny", num_classes=400, frames=4, image_size=32).eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 4, 32, 32))
    flops = 3 * counter.get_total_flops()
    for row in (row for row in alone[0] if row["failed"] is None):
        clips = row["devices"] * row["batch"] / row["step_seconds"]
        assert row["clips_per_second"] == pytest.approx(clips)
        assert row["model_tflops"] == pytest.approx(flops * clips / 1e12, rel=0.02)
        share = row["model_tflops"] / row["devices"] / row["matrix_tflops"]
        assert row["matrix_share"] == pytest.approx(share)
        assert row["loader_cores"] == pytest.approx(clips / row["devices"] * 20 / 1000)
        assert (row["compile_seconds"] is not None) == row["compiled"]
        assert 0 < row["wait_share"] < 1
        assert 0.05 < row["peak_gb"] < 3


def test_columns_by_hand() -> None:
    """8 clips on each of 2 devices in 0.5 s, the median, with 3 x 2 x 10^9 FLOPs for a GMAC."""
    times = StepTimes([0.5, 0.4, 2.1], [0.1, 0.1, 0.1], 30.5, 7 * 10**9)
    case = StepCase(model="spatiotemporal", size="base", batch=8, devices=2, compiled=True)
    assert gpu.columns(case, times, 250.0, 100e12, 19.0) == pytest.approx(
        {
            "clips_per_second": 32.0,
            "step_seconds": 0.5,
            "model_tflops": 6 * 250e9 * 32 / 1e12,
            "matrix_tflops": 100.0,
            "matrix_share": 6 * 250e9 * 16 / 100e12,
            "peak_gb": 7.0,
            "wait_share": 0.1,
            "compile_seconds": 30.0,
            "loader_cores": 16 * 0.019,
        }
    )


def test_the_most_important_comes_first(timed, tmp_path: Path) -> None:
    timed(lambda case: 1.0)
    file = tmp_path / "rows"
    few = {"sizes": ["base", "large"], "parallel": ["ddp", "fsdp"], "seconds": 1e9}
    rows = gpu.gpu_rows(**LITTLE | few, target=str(file))
    assert read(file) == rows
    assert names(rows) == [
        *("b2-2", "b1-2", "b2-2-compiled", "b1-2-compiled", "b2-4", "b1-4", "b2-4-compiled", "b1-4-compiled"),
        *("l2-2", "l1-2", "b1-2-flash", "b1-2-efficient", "b2-2-ddp", "b1-2-ddp", "l2-2-fsdp", "l1-2-fsdp"),
        *("l2-2-compiled", "l1-2-compiled"),
    ]


def test_a_killed_run_has_the_rows_so_far(timed, tmp_path: Path) -> None:
    def killed(case: StepCase) -> float:
        if case.compiled:
            raise KeyboardInterrupt
        return 1.0

    timed(killed)
    with pytest.raises(KeyboardInterrupt):
        gpu.gpu_rows(**LITTLE, target=str(tmp_path / "rows"))
    assert names(read(tmp_path / "rows")) == ["t2-2", "t1-2"]


def test_no_row_is_begun_after_the_time(timed, tmp_path: Path) -> None:
    timed(lambda case: 1.0)
    rows = gpu.gpu_rows(**LITTLE | {"seconds": 250.0}, target=str(tmp_path / "rows"))
    assert [row["failed"] for row in rows[:3]] == [None] * 3
    assert {row["failed"] for row in rows[3:]} == {"not run: out of time"}
    assert names(rows[3:]) == ["t1-2-compiled", "t2-4", "t1-4", "t1-2-flash", "t1-2-efficient"]


def test_batches_double_until_memory_runs_out_and_the_fastest_is_compiled(timed, tmp_path: Path) -> None:
    """A batch that does not fit is halved where it is not one of those."""

    def step(case: StepCase) -> float:
        if (case.batch or 0) >= (16 if case.model == "spatiotemporal" else 2):
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return {1: 1.0, 2: 1.0, 4: 1.0, 8: 4.0}[case.batch or 0]  # four clips are the fastest

    timed(step)
    few = {"most_clips": 64, "seconds": 1e9, "attention": []}
    rows = gpu.gpu_rows(**LITTLE | few, target=str(tmp_path / "rows"))
    assert names(rows) == [
        *("t2-2", "t2-1", "t1-2", "t2-2-compiled", "t2-1-compiled", "t1-2-compiled"),
        *("t1-4", "t1-8", "t1-16", "t1-4-compiled"),
    ]
    failed = [row["failed"] for row in rows if row["failed"]]
    assert failed == ["OutOfMemoryError: CUDA out of memory."] * 3


def test_a_form_that_fails_is_a_row(tmp_path: Path) -> None:
    """In float32 torch's attention is used on a CPU too, which has no efficient form."""
    few = {"models": ["spatiotemporal"], "precision": "fp32", "most_clips": 2, "parallel": ["ddp"], "devices": 1}
    compiler = {"attention": ["efficient", "math"], "compiler": "none_such"}
    rows = gpu.gpu_rows(**LITTLE | few | compiler, target=str(tmp_path / "rows"))
    assert names(rows) == ["t1-2", "t1-2-compiled", "t1-2-efficient", "t1-2-math", "t1-2-ddp"]
    reasons = {name: row["failed"] for name, row in zip(names(rows), rows, strict=True)}
    assert "none_such" in reasons["t1-2-compiled"]
    assert "RuntimeError" in reasons["t1-2-efficient"]
    assert reasons["t1-2-ddp"] == "not run: one device"
    assert reasons["t1-2"] is reasons["t1-2-math"] is None
    assert "\n" not in "".join(filter(None, reasons.values()))


def test_a_step_is_a_step_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains on normalised bytes, with gradients that are clipped to a norm of 1, and is timed behind a warm-up."""
    norms, steps = [], []
    clip, step = gpu_step.clip_grad_norm_, torch.optim.AdamW.step

    def clipped(parameters: Any, norm: float) -> None:
        parameters = list(parameters)
        clip(parameters, norm)
        norms.append(sum(parameter.grad.square().sum() for parameter in parameters).sqrt().item())

    monkeypatch.setattr(gpu_step, "clip_grad_norm_", clipped)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: steps.append(step(self)))
    case = StepCase(model="factorised_encoder", size="tiny", batch=2)
    times = gpu_step.time_steps(case, SETTINGS, torch.device("cpu"))
    assert len(times.seconds) == len(times.waits) == 3
    assert len(steps) == len(norms) == gpu_step.WARM_UP + 3
    assert all(0 < norm <= 1.001 for norm in norms)
    assert all(0 < wait < second for wait, second in zip(times.waits, times.seconds, strict=True))
    assert times.first_seconds > 0.5 * median(times.seconds)


def test_devices_that_do_not_end_are_stopped() -> None:
    case = StepCase(model="factorised_encoder", size="tiny", batch=2, parallel="ddp", devices=2)
    with pytest.raises(TimeoutError, match="stopped: out of time"):
        gpu_step.time_case(case, SETTINGS, 0.0)
    assert not torch.multiprocessing.active_children()


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("models", ["vivit"]),
        ("sizes", ["big"]),
        ("precision", "fp16"),
        ("attention", ["fast"]),
        ("parallel", ["tp"]),
        ("batch", 0),
        ("devices", 0),
        ("seconds", -1.0),
        ("target", "/dev/null"),
        ("target", "/dev/null/rows"),
        ("models", "factorised_encoder"),
        ("sizes", []),
    ],
)
def test_what_cannot_be_is_a_config_error(key: str, wrong: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        gpu.gpu_rows(**LITTLE | {"target": str(tmp_path / "rows"), key: wrong})
    assert (error.value.key, error.value.value) == (f"bench.{key}", wrong)
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("word", ["size=base", "seconds", "bench.batch=0", "models=["])
def test_a_word_that_is_wrong_is_refused_without_hydra(word: str, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        gpu.main([f"target={tmp_path / 'rows'}", word])
    assert end.value.code == 2
    assert word.removeprefix("bench.") in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_the_rows_into_its_folder(tmp_path: Path) -> None:
    """With no time at all: python src/benchmark.py bench=gpu bench.seconds=0."""
    words = ("src/benchmark.py", "bench=gpu", "bench.seconds=0", "bench.device=cpu", f"hydra.run.dir={tmp_path}/run")
    command = start(tmp_path / "output.txt", *words)
    assert command.wait() == 0, command.said
    rows = read(tmp_path / "run" / "gpu.jsonl")
    assert rows == json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert names(rows)[:2] == ["b2-8", "b1-8"]
    assert {row["failed"] for row in rows} == {"not run: out of time"}
    assert "not run: out of time" in command.said
