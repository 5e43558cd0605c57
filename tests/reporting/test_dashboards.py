"""Weights & Biases reports without the service: the library reads them, and runs log every name in them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import model_record
from vivit.errors import ConfigError, UserError
from vivit.launch import Job
from vivit.launch.job_identity import identity
from vivit.reporting import dashboards
from vivit.reporting.dashboards import make_dashboards, report_ids, to_json
from vivit.sweeps import Sweep, read_sweeps
from vivit.tasks.build import build_network
from vivit.tasks.clip_settings import data_record, to_plain
from vivit.tasks.results_json import run_metadata

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",  # the library's own validators
    "ignore::DeprecationWarning",
)
REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
RECORDS = sorted((REPOSITORY / "docs" / "results").glob("*/*.json"))
SWEEPS = tuple(read_sweeps().values())
BY_SWEEP = pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
GROUPS = {"model", "size", "experiment", "data", "views", "scale"}


def report_spec(sweep: Sweep) -> dict[str, Any]:
    from vivit.reporting.wandb_reports import build_report

    return json.loads(to_json(build_report(sweep, "vivit")))


def panels(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for grid in grids(spec):
        yield from grid["panelBankSectionConfig"]["panels"]


def grids(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in spec["spec"]["blocks"] if block["type"] == "panel-grid"]


def columns(spec: dict[str, Any], section: str) -> set[str]:
    shown = [name for grid in grids(spec) for runs in grid["runSets"] for name in runs["runFeed"]["columnOrder"]]
    return {name.removeprefix(f"{section}:") for name in shown if name.startswith(f"{section}:")}


def metrics(spec: dict[str, Any]) -> set[str]:
    """Return the names of all metrics in a report."""
    named = {name for panel in panels(spec) for name in panel["config"].get("metrics", ())}
    return named | columns(spec, "summary")


def settings(spec: dict[str, Any]) -> set[str]:
    """Return the keys of a run's configuration in a report, as runs log them."""
    named = {panel["config"]["groupBy"] for panel in panels(spec)} | columns(spec, "config")
    return {re.sub(r"\.value(?=\.|$)", "", name, count=1) for name in named}


@pytest.fixture(scope="module")
def run(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of three steps that logs to W&B offline, with a regulariser that has a schedule."""
    logs = tmp_path_factory.mktemp("logs")
    process = subprocess.run(
        [
            *(sys.executable, "src/train.py", "sweep=attention_order", "row=time_space", "seed=2"),
            *(f"data.root={small_motion}", "debug=limit", "data.num_workers=0", f"paths.logs={logs}"),
            *("logger=wandb", "logger.wandb.offline=true", "trainer.log_every_n_steps=1"),
            "callbacks.regularisation.mixup={_target_: vivit.training.regularisation.Linear, start: 0, end: 0.3}",
        ],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    (folder,) = (logs / "train" / "multiruns" / "attention_order").glob("*_*")
    return folder


def is_logged(key: str, config: Any) -> bool:
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def test_dashboards_are_those_of_the_configured_sweeps() -> None:
    assert {sweep.name for sweep in SWEEPS} == {file.stem for file in (CONFIGS / "sweep").glob("[!_]*.yaml")}


@BY_SWEEP
def test_report_has_the_runs_of_its_sweep_and_the_numbers_of_the_paper(sweep: Sweep) -> None:
    spec = report_spec(sweep)
    for grid in grids(spec):
        (runs,) = grid["runSets"]
        (only,) = runs["filters"]["filters"]
        assert (only["key"]["name"], only["op"], only["value"]) == ("group", "=", sweep.name)
    text = next(block["content"] for block in spec["spec"]["blocks"] if block["type"] == "markdown-block")
    assert sweep.caption in text
    for row in sweep.rows:
        for number in row.printed.values():
            assert (f"{number:,}" if isinstance(number, int) else f"{number:,.1f}") in text
    assert any(panel["viewType"] == "Bar Chart" for panel in panels(spec))


@BY_SWEEP
def test_report_is_read_back_by_the_library(sweep: Sweep) -> None:
    from wandb_workspaces.reports.v2 import internal
    from wandb_workspaces.reports.v2.interface import Report

    spec = report_spec(sweep)
    again = Report._from_model(internal.ReportViewspec.model_validate(spec))
    assert json.loads(to_json(again))["spec"]["blocks"] == spec["spec"]["blocks"]
    assert (again.title, again.project) == (spec["displayName"], "vivit")


def test_report_metrics_are_logged_by_runs(run: Path) -> None:
    """By a run of today, and by all runs that left a record, which may be older than some metrics of speed."""
    (seeds,) = (sweep for sweep in SWEEPS if sweep.name == "seeds")
    assert metrics(report_spec(seeds)) <= json.loads((run / "results.json").read_text())["metrics"].keys()
    assert RECORDS
    for file in RECORDS:
        sweep = next(sweep for sweep in SWEEPS if sweep.name == file.parent.name)
        logged = json.loads(file.read_text())["metrics"].keys()
        assert metrics(report_spec(sweep)) - {"speed/matrix_share"} <= logged, file.name


def test_report_curve_of_strengths_matches_those_of_a_run(run: Path) -> None:
    measured = json.loads((run / "results.json").read_text())["metrics"]
    expressions = {panel["config"].get("metricRegex") for panel in panels(report_spec(SWEEPS[0]))} - {None}
    (strengths,) = expressions
    assert [name for name in measured if re.fullmatch(strengths, name)] == ["strength/mixup"]


@BY_SWEEP
def test_report_groups_by_keys_that_jobs_log(sweep: Sweep, run: Path, composed: Callable[..., DictConfig]) -> None:
    """Metadata and configuration of a job of this sweep, as `train` logs them; another job's log has the same keys."""
    real = json.loads((run / "run_metadata.json").read_text())
    row = sweep.rows[-1]
    overrides = [f"sweep={sweep.name}", f"row={row.name}", *sweep.job_overrides(row, "laptop")]
    cfg = composed(*overrides)
    cfg.paths.run = "logs"
    own = identity(sweep, row, "laptop", overrides, None)
    job = Job(Path("job"), dict.fromkeys(GROUPS), overrides, sweep.name, identity=own)
    about = run_metadata(cfg, job, Trainer(accelerator="cpu", logger=False, enable_checkpointing=False))
    with torch.device("meta"):
        logged = about | model_record(build_network(cfg, 8)) | data_record(to_plain(cfg.data))
    assert logged.keys() <= real.keys()
    assert logged["config_groups"].keys() <= real["config_groups"].keys()
    unfrozen = {"config.frozen"} if cfg.model.frozen is None else set()  # which records have where it is set
    assert {key for key in settings(report_spec(sweep)) if not is_logged(key, logged)} <= unfrozen


def test_run_logs_its_setting_seed_and_groups(run: Path) -> None:
    real = json.loads((run / "run_metadata.json").read_text())
    assert real["run_group"].startswith("time_space ")
    assert "seed" not in real["run_group"]
    assert real["row"] == "time_space"
    assert (real["seed"], real["config_groups"]["model"]) == (2, "factorised_self_attention")


def test_run_group_has_neither_seed_nor_paths() -> None:
    def group(*overrides: str) -> str:
        return Job(Path("job"), {}, list(overrides), None).group

    assert (
        group("+loss.mixup=1", "data=motion", "seed=3", "sweep=x", "data.num_workers=1") == "loss.mixup=1 data=motion"
    )
    assert group("seed=3", "paths.logs=/tmp", "records=docs/results") == "default"
    assert group("seeds=3", "data.num_workers_of_mine=2") == "seeds=3 data.num_workers_of_mine=2"


def test_dashboards_are_files_by_default(tmp_path: Path) -> None:
    paths = list(make_dashboards(["seeds", "tokens"], tmp_path, project="vivit"))
    assert paths == [str(tmp_path / "seeds.json"), str(tmp_path / "tokens.json")]
    assert json.loads((tmp_path / "seeds.json").read_text())["project"] == {"name": "vivit", "entityName": ""}
    assert list(make_dashboards("seeds", tmp_path, project="vivit")) == paths[:1]


def test_dashboards_of_an_unknown_sweep_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        make_dashboards(["seeds", "sedes"], tmp_path, project="vivit")
    assert (error.value.key, error.value.value) == ("sweeps", "sedes")
    assert "choose from input_encoding, " in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_dashboards_without_the_extra_name_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vivit.reporting.wandb_reports", raising=False)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.expr", None)
    with pytest.raises(UserError, match=r"wandb-workspaces, which is not installed"):
        make_dashboards(["seeds"], tmp_path, project="vivit")


def test_report_package_is_imported_without_the_extra() -> None:
    code = "import sys; sys.modules['wandb_workspaces'] = None; import vivit.reporting, vivit.reporting.dashboards"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=120)


def test_pushed_reports_replace_those_of_the_same_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb_workspaces.reports.v2.interface import Report

    seeds = next(sweep for sweep in SWEEPS if sweep.name == "seeds")
    ids = {f"{seeds.title} (sweep={seeds.name})": "id"}
    calls = []

    def save(report: Report) -> None:
        calls.append((report.title, report.id, report.entity, report.project))

    monkeypatch.setattr(Report, "save", save)
    monkeypatch.setattr(Report, "url", property(lambda report: f"at {report.title}"))
    monkeypatch.setattr(dashboards, "report_ids", lambda entity, project: ids)
    urls = list(make_dashboards(None, tmp_path, project="mine", entity="us", push=True))
    assert len(calls) == len(set(calls)) == len(SWEEPS)
    assert urls == [f"at {title}" for title, *_ in calls]
    assert {title: id_ for title, id_, *_ in calls if id_} == ids
    assert {(entity, project) for *_, entity, project in calls} == {("us", "mine")}
    assert list(tmp_path.iterdir()) == []


def test_report_ids_are_found_by_title_and_a_new_project_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = {"us/mine": [SimpleNamespace(display_name="The main job (sweep=seeds)", id="id")]}
    api = SimpleNamespace(projects=lambda entity: [SimpleNamespace(name="mine")], reports=reports.__getitem__)
    monkeypatch.setattr(dashboards, "_connect", lambda: api)
    assert report_ids("us", "mine") == {"The main job (sweep=seeds)": "id"}
    assert report_ids("us", "new") == {}


@pytest.mark.parametrize(
    ("override", "named"), [("push=true", "push=true: nobody is logged in"), ("sweeps=[sedes]", "sweeps=sedes")]
)
def test_dashboards_command_ends_with_one_line(tmp_path: Path, override: str, named: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NETRC": str(tmp_path / "nobody")}
    process = subprocess.run(
        [sys.executable, "src/dashboards.py", override, "entity=us", f"logs={tmp_path}"],
        cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert f"error: {named}" in process.stderr
    assert "Traceback" not in process.stderr
