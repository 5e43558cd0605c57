"""Run folders as training leaves them, with numbers that nobody measured."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivit.launch.job_identity import identity
from vivit.sweeps import read_sweeps

TIME = "2026-01-02T03:04:05+00:00"


def run_folder(
    logs: Path,
    sweep: str | None,
    job: str,
    *overrides: str,
    status: str = "done",
    error: str | None = None,
    **found: Any,
) -> Path:
    """Leave a run folder; ``found`` goes into its results, where a metric is told by its place below ``metrics``."""
    folder = logs / "train" / ("runs" if sweep is None else f"multiruns/{sweep}") / job
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    (folder / "status.json").write_text(json.dumps({"status": status, "time": TIME, "error": error}))
    if status == "done":
        (folder / "results.json").write_text(json.dumps(results(sweep, job, overrides, found)))
    if sweep is not None:
        (folder / "job.json").write_text(json.dumps(row_of(sweep, overrides)))
    return folder


def row_of(sweep: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """What a job says of its row: the one that is typed, or the first whose overrides it has."""
    table, scale = read_sweeps().get(sweep), "paper" if "scale=paper" in overrides else "laptop"
    typed = next((word.removeprefix("row=") for word in overrides if word.startswith("row=")), None)
    rows = [] if table is None else [row for row in table.rows if set(row.overrides[scale]) <= set(overrides)]
    row = table.row(typed) if table is not None and typed else next(iter(rows), None)
    if table is None or row is None:
        return {"row": typed, "scale": scale, "extra": [], "data_format": None}
    said = identity(table, row, scale, overrides, None).plain()
    return {key: said[key] for key in ("row", "scale", "extra", "data_format")}


def results(sweep: str | None, job: str, overrides: tuple[str, ...], found: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a run of these overrides writes."""
    said = dict(override.split("=", 1) for override in overrides if "=" in override)
    recipe = {"frames": 16, "stride": 2, "crop": [32, 32], "batch_size": 16, "epochs": 4}
    usual = {"size": "tiny", "tokeniser": "tubelet", "data": "motion", "experiment": None, "views": "4x1"}
    measured = {"params": 1_234_567, "gmac": 0.5, "paper_gflops": 0.505, "step_seconds": 0.125, "peak_mb": 700.0}
    made = {"commit": "0123456789ab", "versions": {"python": "3.11.2", "torch": "2.14.1"}, "train_seconds": 90.0}
    known = {
        "sweep": sweep,
        "run_name": job,
        "seed": int(said.get("seed", 1)),
        "model": said.get("model", "factorised_encoder"),
    }
    own = row_of(sweep, overrides) if sweep is not None else {"row": None, "scale": "laptop", "extra": []}
    return usual | measured | made | known | own | {"recipe": recipe, "overrides": list(overrides)} | dict(found)


def scored(top1: float) -> dict[str, float]:
    """Metrics of a run, as a fraction."""
    return {"test/acc_top1": top1, "test/acc_top5": 1.0}


def by_difficulty(
    edges: Sequence[float],
    videos: int,
    shares: Sequence[float],
    head: str = "verb",
    views: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """Parts of a number's range, each with as many videos, of which these shares are right, and with other views."""
    parts: list[dict[str, Any]] = []
    for i, share in enumerate(shares):
        by_views = {name: {head: round(videos * of[i])} for name, of in (views or {}).items()}
        part = {"low": edges[i], "high": edges[i + 1], "videos": videos, "correct": {head: round(videos * share)}}
        parts.append(part | ({"correct_by_views": by_views} if by_views else {}))
    return parts
