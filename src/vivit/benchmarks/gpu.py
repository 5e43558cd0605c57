"""Training on the GPUs of a machine within ten minutes: one row a case, the most important first, written as it ends.

It needs torch and the models alone: PYTHONPATH=src python -m vivit.benchmarks.gpu seconds=540 target=gpu.jsonl
"""

import argparse
import gc
import json
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from vivit.benchmarks.checks import check_name, check_names, check_positive
from vivit.benchmarks.device import choose_device, device_name
from vivit.benchmarks.gpu_plan import NOT_RUN, Row, StepCase, halve, plan_cases, resolve_case
from vivit.benchmarks.gpu_step import (
    BACKENDS,
    DTYPES,
    StepSettings,
    StepTimes,
    model_spec,
    number_device,
    prepare_process,
    time_case,
)
from vivit.benchmarks.model import SIZES, ModelSpec, build_model
from vivit.config_folder import CONFIGS
from vivit.cores import allowed_cores
from vivit.device.matrix_rate import flops_of_training, measure_matrix_rate
from vivit.errors import ConfigError, UserError
from vivit.models import models as model_names
from vivit.models.flops import count_flops

log = logging.getLogger(__name__)

PARALLEL = ("ddp", "fsdp")
MEASURED = (
    *("clips_per_second", "step_seconds", "model_tflops", "matrix_tflops", "matrix_share", "peak_gb"),
    *("wait_share", "compile_seconds", "loader_cores"),
)
"""Columns that a row of a case that failed has no numbers in."""


def gpu_rows(
    *,
    models: Sequence[str],
    sizes: Sequence[str],
    precision: str,
    frames: int,
    image_size: int,
    batch: int,
    most_clips: int,
    attention: Sequence[str],
    parallel: Sequence[str],
    devices: int | None,
    compiler: str,
    repeats: int,
    seconds: float,
    loader_ms: float,
    device: str,
    target: str,
) -> list[Row]:
    """Time training steps, and append a row to ``target``, a file of JSON lines, as each case ends.

    Cases are those of ``plan_cases``. One that fails is a row that has the reason under ``failed``; so is one that was
    not begun because ``seconds`` were over. Where memory runs out with ``batch`` clips or fewer, half as many follow.
    ``model_tflops`` are of all devices, ``matrix_share`` is that of the devices' own matrix products in this precision;
    ``loader_cores`` are the cores that decode for one device, where one core takes ``loader_ms`` milliseconds for a
    clip. Raises ConfigError for unknown names, counts below 1, and a ``target`` that exists already.
    """
    started = time.monotonic()
    check_names("models", models, model_names())
    check_names("sizes", sizes, SIZES)
    check_name("precision", precision, DTYPES)
    for key, names, known in (("attention", attention, BACKENDS), ("parallel", parallel, PARALLEL)):
        if names != []:  # none of these cases
            check_names(key, names, known)
    check_positive(frames=frames, image_size=image_size, batch=batch, most_clips=most_clips, repeats=repeats)
    if devices is not None:
        check_positive(devices=devices)
    for key, value in {"seconds": seconds, "loader_ms": loader_ms}.items():
        if not isinstance(value, int | float) or value < 0:
            raise ConfigError(f"bench.{key}", value, "is no number from 0", "set one such as 20")
    place = choose_device(device)
    number = devices or (torch.cuda.device_count() if place.type == "cuda" else 2)
    cases = deque(plan_cases(models, sizes, batch, most_clips, attention, parallel, number))
    file = _new_file(target)
    settings = StepSettings(
        frames=frames, image_size=image_size, precision=precision, repeats=repeats, compiler=compiler, device=place.type
    )
    prepare_process(number_device(place.type))
    run = Run(settings, started + seconds, loader_ms)
    rows: list[Row] = []
    while cases:
        if (case := resolve_case(cases.popleft(), rows)) is None:
            continue
        rows.append(run.row(case))
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
            lines.flush()
            os.fsync(lines.fileno())
        log.info("%s", format_row(rows[-1]))
        if smaller := halve(case, rows[-1], batch):
            cases.appendleft(smaller)
    return rows


@dataclass
class Run:
    """A run of the benchmark: until the moment ``end``, with ``loader_ms`` of a core for each clip."""

    settings: StepSettings
    end: float
    loader_ms: float
    matrix_rate: float = 0.0
    """Multiply-adds a second of the device's matrix products, the best of those measured so far."""

    def row(self, case: StepCase) -> Row:
        """Return the row of a case, measured or with the reason why it is not."""
        reason = self.obstacle(case)
        measured: Row = dict.fromkeys(MEASURED)
        if reason is None:
            try:
                measured = self.measure(case)
            except Exception as error:  # whatever it is, the next row may go well
                reason = first_line(error)
        gc.collect()
        if self.settings.device == "cuda":
            torch.cuda.empty_cache()
        described = asdict(case) | {"precision": self.settings.precision} | measured | {"failed": reason}
        return described | describe_machine(number_device(self.settings.device))

    def obstacle(self, case: StepCase) -> str | None:
        """Return why a case cannot be tried; None where it can."""
        if time.monotonic() >= self.end:
            return f"{NOT_RUN}out of time"
        if case.batch is None:
            return f"{NOT_RUN}no batch was measured"
        if case.parallel != "none" and case.devices < 2:
            return f"{NOT_RUN}one device"
        if case.attention != "auto" and (self.settings.device, self.settings.precision) == ("cpu", "bf16"):
            return f"{NOT_RUN}a CPU's attention in bfloat16 is not torch's"
        return None

    def measure(self, case: StepCase) -> Row:
        """Return the columns of ``MEASURED``. Raises whatever a step raises."""
        gmac = count_gmac(model_spec(case, self.settings))
        rate = measure_matrix_rate(number_device(self.settings.device), DTYPES[self.settings.precision])
        self.matrix_rate = max(self.matrix_rate, rate)
        if case.compiled:
            torch.compiler.reset()
        times = time_case(case, self.settings, self.end - time.monotonic())
        return columns(case, times, gmac, 2 * self.matrix_rate, self.loader_ms)


@cache
def count_gmac(spec: ModelSpec) -> float:
    """Return the multiply-adds of a network for one clip, in 10^9, without memory for its weights."""
    with torch.device("meta"):
        network = build_model(spec)
    return count_flops(network, frames=spec.frames, height=spec.side, width=spec.side, all_tokens=False).gmac


def columns(case: StepCase, times: StepTimes, gmac: float, matrix_flops: float, loader_ms: float) -> Row:
    """Return what follows from a case's times: of 10^9 multiply-adds a clip, and FLOPs a second of a matrix product."""
    step = median(times.seconds)
    clips = (case.batch or 0) / step
    flops = flops_of_training(gmac) * clips
    return {
        "clips_per_second": clips * case.devices,
        "step_seconds": step,
        "model_tflops": flops * case.devices / 1e12,
        "matrix_tflops": matrix_flops / 1e12,
        "matrix_share": flops / matrix_flops,
        "peak_gb": times.peak_bytes / 1e9,
        "wait_share": sum(times.waits) / sum(times.seconds),
        "compile_seconds": max(0.0, times.first_seconds - step) if case.compiled else None,
        "loader_cores": clips * loader_ms / 1e3,
    }


def first_line(error: Exception) -> str:
    """Return what an error says, in one line; of a process of its own, what ended it."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, ProcessRaisedException | ProcessExitedException):
        return lines[-1].strip()
    return f"{type(error).__name__}: {lines[0].strip()}"


def describe_machine(device: torch.device) -> Row:
    """Return the columns of the machine: its device, its cores, and torch's version."""
    return {"device": device_name(device), "cores": len(allowed_cores()), "torch": torch.__version__}


def format_row(row: Mapping[str, Any]) -> str:
    """Return a row as a line for people."""
    parts = [f"{row['model']} {row['size']} {row['precision']}", f"{row['devices']} x {row['batch']} clips"]
    parts += ["compiled"] if row["compiled"] else []
    parts += [row[key] for key in ("attention", "parallel") if row[key] not in ("auto", "none")]
    if row["failed"] is not None:
        return f"{', '.join(parts)}: {row['failed']}"
    return (
        f"{', '.join(parts)}: {row['clips_per_second']:.1f} clips a second, "
        f"{100 * row['matrix_share']:.0f} % of the matrix rate, {row['peak_gb']:.1f} GB, "
        f"{100 * row['wait_share']:.1f} % waiting, {row['loader_cores']:.1f} cores of loader a device"
    )


def _new_file(target: str) -> Path:
    """Return the path of an empty file for the rows. Raises ConfigError where there is one already."""
    file = Path(target)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=False)
    except FileExistsError:
        raise ConfigError("bench.target", target, "there is such a file already", "set another name") from None
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigError("bench.target", target, problem, "set another name") from None
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark without Hydra: keys are those of configs/bench/gpu.yaml, each ``key=value``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="keys of configs/bench/gpu.yaml")
    typed = parser.parse_args(arguments).settings
    defaults = yaml.safe_load((CONFIGS / "bench" / "gpu.yaml").read_text(encoding="utf-8"))
    values = {key: value for key, value in defaults.items() if key != "_target_"} | {"target": "gpu.jsonl"}
    for word in typed:
        key, equals, value = word.removeprefix("bench.").partition("=")
        if not equals or key not in values:
            parser.error(f"{word}: is no key=value of {', '.join(values)}")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            parser.error(f"{word}: is no value of YAML")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        gpu_rows(**values)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
