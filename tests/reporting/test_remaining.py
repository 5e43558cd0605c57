"""How many jobs of the sweeps are left, and about how long they take."""

import json
from pathlib import Path

import pytest
from made_up import run_folder, scored

from vivit.errors import ConfigError
from vivit.reporting.load_runs import read_runs
from vivit.reporting.remaining import OVERHEAD, Remaining, duration, progress_sentence, remaining, remaining_table
from vivit.reporting.report import make_report
from vivit.sweeps import Sweep, parse_sweep, read_sweeps

POOLING = read_sweeps()["pooling"]


def run(logs: Path, row: str, seed: int, *, status: str = "done", sweep: Sweep = POOLING, **results: object) -> Path:
    """Leave the folder of a job as the sweep's file sets it now."""
    of = sweep.row(row)
    assert of is not None
    overrides = (f"row={row}", *sweep.job_overrides(of, "laptop"), f"seed={seed}", "data.num_workers=1")
    name = f"{row}_seed-{seed}"
    return run_folder(logs, sweep.name, name, *overrides, status=status, metrics=scored(0.5), **results)


def rest(logs: Path, records: Path | None = None, sweep: Sweep = POOLING, skip_recorded: bool = True) -> Remaining:
    (of_sweep,) = remaining([sweep], read_runs(logs, records), skip_recorded=skip_recorded)
    return of_sweep


def with_minutes(minutes: object) -> Sweep:
    """A sweep of two rows and three seeds, with the minutes of a job."""
    rows = {name: {"label": name, "overrides": [f"model.pool={name}"]} for name in ("cls", "mean")}
    return parse_sweep("pooling", {"title": "T", "laptop": {"seeds": 3, "minutes": minutes}, "rows": rows})


def test_a_job_takes_as_long_as_those_of_its_row_else_of_its_sweep(tmp_path: Path) -> None:
    run(tmp_path, "cls", 1, train_seconds=100.0, test_seconds=5.0)
    run(tmp_path, "cls", 2, train_seconds=200.0, test_seconds=15.0)
    of_cls = 160 + OVERHEAD
    assert rest(tmp_path) == Remaining("pooling", 10, 2, 0, 8 * of_cls, 0, 2 * of_cls)
    run(tmp_path, "mean", 3, train_seconds=30.0)
    of_mean = 30 + OVERHEAD
    assert rest(tmp_path) == Remaining("pooling", 10, 3, 0, 3 * of_cls + 4 * of_mean, 0, 2 * of_cls + of_mean)


def test_minutes_of_the_file_count_where_nothing_is_done(tmp_path: Path) -> None:
    assert rest(tmp_path, sweep=with_minutes(1.5)).seconds == 6 * 90
    run(tmp_path, "cls", 1, sweep=with_minutes(1.5), train_seconds=45.0)
    assert rest(tmp_path, sweep=with_minutes(1.5)).seconds == pytest.approx(5 * (45 + OVERHEAD)), "what was measured"


@pytest.mark.parametrize("minutes", ["two", -1, True])
def test_minutes_are_a_number(minutes: object) -> None:
    with pytest.raises(ConfigError) as error:
        with_minutes(minutes)
    assert error.value.key == "sweep=pooling: laptop.minutes"


def test_jobs_that_are_not_done_or_are_of_other_settings_are_left(tmp_path: Path) -> None:
    run(tmp_path, "cls", 1, status="failed")
    run(tmp_path, "cls", 2, status="running")
    run_folder(tmp_path, "pooling", "mean_seed-1", "row=mean", "model.pool=mean", "seed=1", metrics=scored(0.5))
    left = rest(tmp_path)
    assert (left.done, left.left, left.seconds) == (0, 10, 10 * 150), "the minutes of the file"


def test_records_count_as_done_unless_they_run_again(tmp_path: Path) -> None:
    folder = run(tmp_path / "elsewhere", "cls", 1, train_seconds=100.0)
    record = tmp_path / "records" / "pooling" / "cls_seed-1.json"
    record.parent.mkdir(parents=True)
    record.write_bytes((folder / "results.json").read_bytes())
    counted, again = (rest(tmp_path / "logs", tmp_path / "records", skip_recorded=skip) for skip in (True, False))
    assert (counted.done, counted.recorded) == (1, 1)
    assert (again.done, again.recorded) == (0, 1)
    assert again.seconds == pytest.approx(10 * (100 + OVERHEAD)), "its duration is known all the same"
    run(tmp_path / "logs", "cls", 1)
    assert rest(tmp_path / "logs", tmp_path / "records", skip_recorded=False).done == 1


def test_table_has_each_sweep_and_all(tmp_path: Path) -> None:
    run(tmp_path, "cls", 1, train_seconds=1800.0 - OVERHEAD)
    options = {"logs": str(tmp_path), "records": None, "skip_recorded": True}
    text = remaining_table(sweeps=["pooling", "seeds"], jobs=2, **options)
    assert "| pooling | 10 | 1 | 9 | 2.2 hours |" in text
    assert "| seeds | 3 | 0 | 3 |" in text
    assert "| all | 13 | 1 | 12 |" in text
    assert "| pooling | 10 | 1 | 9 | 4.5 hours |" in remaining_table(sweeps=["pooling"], jobs=1, **options)
    assert all(f"| {name} |" in remaining_table(sweeps=None, jobs=1, **options) for name in read_sweeps())


@pytest.mark.parametrize(("key", "options"), [("sweeps", {"sweeps": ["poling"], "jobs": 1}), ("jobs", {"jobs": 0})])
def test_impossible_values_are_refused(key: str, options: dict, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        remaining_table(str(tmp_path), None, **({"sweeps": None, "skip_recorded": True} | options))
    assert error.value.key == key


def test_a_duration_that_is_partly_unknown_is_a_lower_bound() -> None:
    known, unknown = Remaining("a", 4, 2, 0, 7200.0, 0), Remaining("b", 2, 0, 0, 0.0, 2)
    assert duration([known]) == "2.0 hours"
    assert duration([known, unknown], 2) == "more than 60 minutes"


def test_the_report_has_the_sum(tmp_path: Path) -> None:
    run(tmp_path, "cls", 1, train_seconds=100.0)
    total = sum(len(sweep.seeds_of(row, "laptop")) for sweep in read_sweeps().values() for row in sweep.rows)
    text = make_report(str(tmp_path), None, tmp_path / "report").text
    assert f"1 of {total} jobs of the tables" in text
    assert f"1 of {total} jobs of the tables" in (tmp_path / "report" / "index.html").read_text()
    assert json.loads((tmp_path / "train/multiruns/pooling/cls_seed-1/results.json").read_text())["row"] == "cls"


def test_the_sentence_of_what_is_all_done() -> None:
    done = [Remaining("a", 4, 4, 0, 0.0, 0, 5400.0), Remaining("b", 1, 1, 0, 0.0, 0, 1800.0)]
    assert progress_sentence(done).startswith("All 5 jobs")
    assert progress_sentence(done).endswith("; they took 2.0 hours one after the other.")
