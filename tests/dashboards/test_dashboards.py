"""Dashboards without the service: they parse, and all that they name is what runs log."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.launch import Job
from vivit.launch.resolvers import run_group
from vivit.reporting.paper import SWEEPS, Sweep
from vivit.tasks.results_json import run_metadata

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",  # the library's own validators
    "ignore::DeprecationWarning",
)
REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
RECORDS = sorted((REPOSITORY / "docs" / "results").glob("*/*.json"))
BY_SWEEP = pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
GROUPS = {"model", "size", "row", "experiment", "data", "views", "scale"}


def spec(sweep: Sweep) -> dict[str, Any]:
    from vivit.dashboards.dashboard import dashboard
    from vivit.dashboards.service import as_json

    return json.loads(as_json(dashboard(sweep, "vivit")))


def panels(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for grid in grids(found):
        yield from grid["panelBankSectionConfig"]["panels"]


def grids(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in found["spec"]["blocks"] if block["type"] == "panel-grid"]


def columns(found: dict[str, Any], section: str) -> set[str]:
    shown = [name for grid in grids(found) for runs in grid["runSets"] for name in runs["runFeed"]["columnOrder"]]
    return {name.removeprefix(f"{section}:") for name in shown if name.startswith(f"{section}:")}


def metrics(found: dict[str, Any]) -> set[str]:
    """All that a dashboard takes for the name of something measured."""
    named = {name for panel in panels(found) for name in panel["config"].get("metrics", ())}
    return named | columns(found, "summary")


def settings(found: dict[str, Any]) -> set[str]:
    """Places in a run's configuration, without the envelope that the service puts around the first name."""
    named = {panel["config"]["groupBy"] for panel in panels(found)} | columns(found, "config")
    return {re.sub(r"\.value(?=\.|$)", "", name, count=1) for name in named}


@pytest.fixture(scope="module")
def run(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of three steps that logs to W&B offline, with a regulariser that has a schedule."""
    logs = tmp_path_factory.mktemp("logs")
    said = subprocess.run(
        [
            *(sys.executable, "src/train.py", "sweep=attention_order", "model.order=time_space", "seed=2"),
            *(f"data.root={small_motion}", "debug=limit", "data.workers=0", f"paths.logs={logs}"),
            *("logger=wandb", "logger.wandb.offline=true", "trainer.log_every_n_steps=1"),
            "callbacks.strengths.mixup={_target_: vivit.training.regularisation.Linear, start: 0, end: 0.3}",
        ],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    (folder,) = (logs / "train" / "multiruns" / "attention_order").glob("*_*")
    return folder


def logged(place: str, known: Any) -> bool:
    for name in place.split("."):
        if not isinstance(known, dict) or name not in known:
            return False
        known = known[name]
    return True


def test_every_sweep_has_a_dashboard_and_no_other() -> None:
    assert {sweep.name for sweep in SWEEPS} == {file.stem for file in (CONFIGS / "sweep").glob("*.yaml")}


@BY_SWEEP
def test_it_shows_the_runs_of_its_sweep_and_says_what_the_paper_found(sweep: Sweep) -> None:
    found = spec(sweep)
    for grid in grids(found):
        (runs,) = grid["runSets"]
        (only,) = runs["filters"]["filters"]
        assert (only["key"]["name"], only["op"], only["value"]) == ("group", "=", sweep.name)
    text = next(block["content"] for block in found["spec"]["blocks"] if block["type"] == "markdown-block")
    assert sweep.caption in text
    for row in sweep.rows:
        for number in row.paper.values():
            assert (f"{number:,}" if isinstance(number, int) else f"{number:,.1f}") in text
    assert any(panel["viewType"] == "Bar Chart" for panel in panels(found))


@BY_SWEEP
def test_the_library_reads_it_again(sweep: Sweep) -> None:
    from wandb_workspaces.reports.v2 import internal
    from wandb_workspaces.reports.v2.interface import Report

    from vivit.dashboards.service import as_json

    found = spec(sweep)
    again = Report._from_model(internal.ReportViewspec.model_validate(found))
    assert json.loads(as_json(again))["spec"]["blocks"] == found["spec"]["blocks"]
    assert (again.title, again.project) == (found["displayName"], "vivit")


@BY_SWEEP
def test_its_metrics_are_those_of_runs(sweep: Sweep) -> None:
    of = [file for file in RECORDS if (file.parent.name == "regularisation") == (sweep.name == "regularisation")]
    assert of
    for file in of:
        assert metrics(spec(sweep)) <= json.loads(file.read_text())["metrics"].keys(), file.name


def test_the_curve_of_strengths_finds_those_of_a_run(run: Path) -> None:
    measured = json.loads((run / "results.json").read_text())["metrics"]
    expressions = {panel["config"].get("metricRegex") for panel in panels(spec(SWEEPS[0]))} - {None}
    (strengths,) = expressions
    assert [name for name in measured if re.fullmatch(strengths, name)] == ["strength/mixup"]


@BY_SWEEP
def test_what_it_groups_by_is_what_its_jobs_log(sweep: Sweep, run: Path, composed: Callable[..., DictConfig]) -> None:
    """Identity and record of a job of this sweep, as `train` logs them; another job's real log has the same parts."""
    real = json.loads((run / "provenance.json").read_text())
    row = sweep.rows[-1].overrides_at("laptop")
    said = [f"{key}={value}" for key, value in row.items()]
    cfg = composed(f"sweep={sweep.name}", *said)
    cfg.paths.run = "logs"
    about = run_metadata(cfg, Job(Path("job"), {key: row.get(key) for key in GROUPS}, said, sweep.name))
    known = about | {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    assert known.keys() <= real.keys()
    assert known["chosen"].keys() <= real["chosen"].keys()
    assert [place for place in settings(spec(sweep)) if not logged(place, known)] == []


def test_a_run_tells_what_it_is(run: Path) -> None:
    real = json.loads((run / "provenance.json").read_text())
    assert real["setting"].startswith("model.order=time_space ")
    assert "seed" not in real["setting"]
    assert (real["seed"], real["chosen"]["model"]) == (2, "factorised_self_attention")


def test_a_setting_is_a_job_without_seed_and_surroundings() -> None:
    said = ["+row=regularisation/mixup", "data=motion_verb_noun", "seed=3", "sweep=x", "data.workers=1"]
    assert run_group(said) == "row=regularisation/mixup data=motion_verb_noun"
    assert run_group(["seed=3", "sweep=seeds", "paths.logs=/tmp", "records=docs/results"]) == "default"
    assert run_group(["seeds=3", "data.workers_of_mine=2"]) == "seeds=3 data.workers_of_mine=2"


def test_dashboards_are_files_by_default(tmp_path: Path) -> None:
    from vivit.dashboards import make_dashboards

    places = list(make_dashboards(["seeds", "tokens"], tmp_path, project="vivit"))
    assert places == [str(tmp_path / "seeds.json"), str(tmp_path / "tokens.json")]
    assert json.loads((tmp_path / "seeds.json").read_text())["project"] == {"name": "vivit", "entityName": ""}
    assert list(make_dashboards("seeds", tmp_path, project="vivit")) == places[:1]
    with pytest.raises(SystemExit, match=r"sweeps has 'sedes', which is none of input_encoding, "):
        list(make_dashboards(["seeds", "sedes"], tmp_path, project="vivit"))


def test_pushed_ones_are_saved_once_each_in_the_place_of_their_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb_workspaces.reports.v2.interface import Report

    from vivit.dashboards import make_dashboards, service

    titles = [sweep.title for sweep in SWEEPS]
    old = next(sweep for sweep in SWEEPS if sweep.name == "seeds")
    there = {f"{old.title} (sweep={old.name})": "kept"}
    calls = []

    def save(report: Report) -> None:
        calls.append((report.title, report.id, report.entity, report.project))

    monkeypatch.setattr(Report, "save", save)
    monkeypatch.setattr(Report, "url", property(lambda report: f"at {report.title}"))
    monkeypatch.setattr(service, "saved", lambda entity, project: there)
    places = list(make_dashboards(None, tmp_path, project="mine", entity="us", push=True))
    assert len(calls) == len(set(calls)) == len(titles)
    assert places == [f"at {title}" for title, *_ in calls]
    assert {title: key for title, key, *_ in calls if key} == there
    assert {tuple(where) for *_, where in [(c[:2], c[2:]) for c in calls]} == {("us", "mine")}
    assert list(tmp_path.iterdir()) == []


def test_saved_ones_are_known_by_their_titles_and_a_new_project_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from vivit.dashboards import service

    reports = {"us/mine": [SimpleNamespace(display_name="The main job (sweep=seeds)", id="kept")]}
    api = SimpleNamespace(projects=lambda entity: [SimpleNamespace(name="mine")], reports=reports.__getitem__)
    monkeypatch.setattr(service, "_service", lambda: api)
    assert service.saved("us", "mine") == {"The main job (sweep=seeds)": "kept"}
    assert service.saved("us", "new") == {}


def test_without_an_account_one_sentence_says_so(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NETRC": str(tmp_path / "nobody")}
    said = subprocess.run(
        [sys.executable, "src/dashboards.py", "push=true", "entity=us", f"logs={tmp_path}"],
        cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert "nobody is logged in to Weights & Biases" in said.stderr
    assert "Traceback" not in said.stderr
