"""Every sweep, at every scale that it has, is a list of jobs that compose and build, and whose records are found."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError
from vivit.launch.job import Job
from vivit.launch.job_identity import configured_sweep, identity, job_identity, plain_config
from vivit.launch.preflight import check_run, check_scale
from vivit.launch.records import read_record
from vivit.launch.resolvers import job_name
from vivit.launch.sweep_jobs import sweep_jobs
from vivit.models.flops import count_flops
from vivit.reporting.load_runs import RunRecord
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import Row, Sweep, parse_sweep, read_sweeps
from vivit.tasks.build import build_network
from vivit.tasks.config_checks import check_keys

RESULTS = Path(__file__).parents[1] / "docs" / "results"
SWEEPS = read_sweeps()
SCALES = [(sweep.name, scale) for sweep in SWEEPS.values() for scale in sweep.seeds]
TYPED = {"laptop": [], "paper": ["scale=paper", "data.root=/videos"]}
"""What a user types beside the sweep."""
PRINTED = [(sweep.name, row) for sweep in SWEEPS.values() for row in sweep.rows if "gflops" in row.printed]
Compose = Callable[..., DictConfig]


def jobs(sweep: Sweep, *typed: str) -> list[list[str]]:
    """Overrides of every job of a sweep, as its sweeper makes them."""
    return sweep_jobs(sweep, OverridesParser.create().parse_overrides([f"sweep={sweep.name}", *typed]))


def test_the_sweeps_are_those_of_the_files() -> None:
    assert set(SWEEPS) == {file.stem for file in (CONFIGS / "sweep").glob("[!_]*.yaml")}
    assert [sweep.title.partition(":")[0] for sweep in SWEEPS.values()][:8] == [
        *(f"Table {n}" for n in range(1, 6)),
        *(f"Figure {n}" for n in (7, 8, 9)),
    ]


@pytest.mark.parametrize("name", SWEEPS)
def test_hydra_and_the_report_read_the_same(name: str, composed: Compose) -> None:
    cfg = composed(f"sweep={name}", hydra=True)
    assert configured_sweep(cfg.hydra) == SWEEPS[name]
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert Path(cfg.hydra.sweep.dir).name == name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_every_job_composes_and_builds(name: str, scale: str, composed: Compose) -> None:
    sweep = SWEEPS[name]
    for job in jobs(sweep, *TYPED[scale], "seed=1"):
        cfg = composed(*job, hydra=True)
        cfg.paths.run = "logs"
        check_keys(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), "train")
        with torch.device("meta"):
            build_network(cfg, 7)
        clip = {"frames": cfg.data.frames, "stride": cfg.data.stride}
        instantiate(cfg.augment, _convert_="all")(**clip, resize=cfg.data.resize, crop=tuple(cfg.data.crop))


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_every_job_has_its_row_in_the_report(name: str, scale: str) -> None:
    sweep, runs = SWEEPS[name], []
    for job in jobs(sweep, *TYPED[scale]):
        row = sweep.row(next(text.removeprefix("row=") for text in job if text.startswith("row=")))
        assert row is not None
        about = identity(sweep, row, scale, job, None)
        assert about.extra == ()
        runs.append(RunRecord(Path(about.name), "running", None, {}, name, tuple(job), job=about.plain()))
    assert len({run.folder for run in runs}) == len(runs)
    answer = next(found for found in sweep_results(sweep, runs) if found.scale == scale)
    assert (answer.extra, answer.unplaced) == ((), ())
    assert [len(cell.unfinished) for cell in answer.rows] == [len(sweep.seeds_of(row, scale)) for row in sweep.rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_record_is_found_by_a_job(name: str, composed: Compose) -> None:
    """Or `skip_recorded=true` would run it again, and its numbers would be of another configuration than this one."""
    recorded, matched = {file.stem for file in (RESULTS / name).glob("*.json")}, set()
    for job in jobs(SWEEPS[name]):
        cfg = composed(*job, f"records={RESULTS}", "skip_recorded=true", hydra=True)
        cfg.hydra.overrides.task = job
        about = job_identity(cfg, cfg.hydra)
        assert about is not None
        record = read_record(cfg, Job(Path(job_name(_root_=cfg)), {}, job, name, identity=about))
        assert (record is not None) == (about.name in recorded)
        if record is not None:
            assert (record["row"], record["seed"], record["run_name"]) == (about.row, cfg.seed, about.name)
            matched.add(about.name)
    assert matched == recorded


@pytest.mark.slow
@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row[0]} {row[1].name}")
def test_costs_at_the_paper_s_scale_are_what_it_prints(row: tuple[str, Row], composed: Compose) -> None:
    """FLOPs within 0.05 %; parameters to the printed digit, which the paper rounds in one row and cuts in another."""
    sweep, printed = row
    (job,) = jobs(SWEEPS[sweep], *TYPED["paper"], f"row={printed.name}")
    cfg = composed(*job)
    with torch.device("meta"):
        network = build_network(cfg, 400)
    found = count_flops(network, frames=cfg.data.frames, height=cfg.data.crop[0], width=cfg.data.crop[1])
    assert found.paper_gflops == pytest.approx(printed.printed["gflops"], rel=5e-4)
    if "params" in printed.printed:
        millions = found.params / 1e6
        assert printed.printed["params"] in (round(millions, 1), math.floor(10 * millions) / 10)


def test_a_sweep_is_narrowed_by_rows_by_what_rows_set_and_by_seeds() -> None:
    sweep = SWEEPS["model_variants"]
    assert len(jobs(sweep)) == 25
    (job,) = jobs(sweep, "row=average_pool", "seed=2")
    assert job == ["sweep=model_variants", "row=average_pool", "trainer.max_epochs=15", "model=average_pool", "seed=2"]
    assert jobs(sweep, "model=average_pool", "seed=2") == [job]
    assert len(jobs(sweep, "row=average_pool,spatiotemporal", "seed=7,8")) == 4
    assert len(jobs(SWEEPS["tokens"], "model=spatiotemporal", "tokeniser.tubelet.0=8,2", "seed=1")) == 2
    assert jobs(sweep, "trainer.max_epochs=1,2", "row=average_pool", "seed=1") == [
        ["sweep=model_variants", "row=average_pool", "model=average_pool", f"trainer.max_epochs={n}", "seed=1"]
        for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        ("row=nobody", "row", "nobody"),
        ("model=nobody", "model", "nobody"),
        ("scale=laptop,paper", "scale", "laptop,paper"),
        ("data.num_workers=0,1", "data.num_workers", "1"),
        ("trainer=cpu,gpu", "trainer", "gpu"),
    ],
)
def test_what_leaves_no_row_or_no_folder_of_its_own_is_refused(typed: str, key: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        jobs(SWEEPS["model_variants"], typed)
    assert (refused.value.key, refused.value.value) == (key, value)


def test_one_line_adds_a_row(composed: Compose) -> None:
    """Its jobs come beside those of the others, whose names and records stay what they are."""
    content = yaml.safe_load((CONFIGS / "sweep" / "temporal_depth.yaml").read_text())
    before = jobs(parse_sweep("temporal_depth", content))
    content["rows"] |= yaml.safe_load("2_layers: {label: 2 layers, overrides: [model.temporal_depth=2]}")
    after = jobs(parse_sweep("temporal_depth", content))
    added = [job for job in after if job not in before]
    assert [job for job in after if job in before] == before
    assert [job[1] for job in added] == ["row=2_layers"] * 5
    assert composed(*(text for text in added[0] if not text.startswith("sweep="))).model.temporal_depth == 2


def test_a_row_has_seeds_of_its_own_at_laptop_scale() -> None:
    """The sweeper runs them, and the report misses them."""
    content = {"title": "Mine", "laptop": {"seeds": 3}, "paper": {}, "rows": {"a": {"label": "A", "seeds": 5}}}
    content["rows"]["b"] = {"label": "B"}
    sweep = parse_sweep("mine", content)
    assert [job[-1] for job in jobs(sweep, "row=a")] == [f"seed={n}" for n in (1, 2, 3, 4, 5)]
    assert [job[-1] for job in jobs(sweep, "row=b")] == [f"seed={n}" for n in (1, 2, 3)]
    assert [job[-1] for job in jobs(sweep, "row=a", "scale=paper")] == ["seed=1"]
    assert len(jobs(sweep, "seed=1,2")) == 4
    (answer,) = sweep_results(sweep, [])
    assert answer.missing == 8
    one = RunRecord(Path("b"), "failed", "no disk", {}, "mine", ("seed=1",), job={"row": "b", "scale": "laptop"})
    (answer,) = sweep_results(sweep, [one])
    assert answer.missing == 8
    done = RunRecord(Path("a"), "done", None, {"seed": 2, "row": "a", "metrics": {}, "params": 1, "gmac": 1,
                     "paper_gflops": 1}, "mine", ("seed=2",))  # fmt: skip
    (answer,) = sweep_results(sweep, [one, done])
    assert answer.table().notes == (
        "A: seeds 1, 3, 4, 5 not run",
        "B, seed 1: failed, no disk",
        "B: seeds 2, 3 not run",
    )


def test_a_key_that_is_new_changes_no_name(composed: Compose) -> None:
    """A name has what was typed, not what there is."""
    job = [*jobs(SWEEPS["pooling"])[0], "+trainer.limit_val_batches=2"]
    cfg = composed(*job, hydra=True)
    cfg.hydra.overrides.task = job
    assert job_name(_root_=cfg) == "cls_trainer.limit_val_batches-2_seed-1"
    cfg.hydra.overrides.task = job[:-1]
    assert job_name(_root_=cfg) == "cls_seed-1"
    assert "limit_val_batches" in plain_config(cfg)["trainer"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"rows": None}, "sweep=mine"),
        ({"laptop": None}, "sweep=mine"),
        ({"epochs": 4}, "sweep=mine"),
        ({"laptop": {"seed": 3}}, "sweep=mine: laptop"),
        ({"laptop": {"seeds": "3"}}, "sweep=mine: laptop.seeds"),
        ({"laptop": {"seeds": 0}}, "sweep=mine: laptop.seeds"),
        ({"overrides": "model.pool=cls"}, "sweep=mine"),
        ({"rows": ["a"]}, "sweep=mine: rows"),
        ({"rows": {"a": {"label": "A", "laptop": {"seed": 1}}}}, "sweep=mine: rows.a"),
        ({"rows": {"a": {"overrides": ["seed=1"]}}}, "sweep=mine: rows.a"),
        ({"rows": {"a": {"label": "A", "override": []}}}, "sweep=mine: rows.a"),
        ({"rows": {"a": {"label": "A", "seeds": 0}}}, "sweep=mine: rows.a.seeds"),
        ({"laptop": None, "paper": {}, "rows": {"a": {"label": "A", "seeds": 5}}}, "sweep=mine: rows.a.seeds"),
        ({"findings": []}, "sweep=mine"),
        ({"claims": [{"text": "t", "row": "b", "equals": 50, "margin": 1}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "better_than": "b"}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a"}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "same_as": "a"}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "equals": 50}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "equals": 50, "better_than": "a"}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "better_than": "a", "margin": 1}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "same_as": "a", "margin": "1"}]}, "sweep=mine: claims.margin"),
        ({"claims": [{"text": "t", "row": "a", "better_than": "a", "printed": [1]}]}, "sweep=mine: claims.printed"),
        ({"claims": [{"text": "t", "row": "a", "better_than_views": 1}]}, "sweep=mine: claims"),
        ({"claims": [{"text": "t", "row": "a", "views": 4, "better_than_views": 0}]},
         "sweep=mine: claims.better_than_views"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_sweep_is_refused_by_its_key(change: dict, key: str) -> None:
    content = {"title": "Mine", "laptop": {"seeds": 1}, "rows": {"a": {"label": "A"}}}
    assert parse_sweep("mine", content).seeds == {"laptop": 1}
    with pytest.raises(ConfigError) as refused:
        parse_sweep("mine", content | change)
    assert refused.value.key == key


def test_a_row_of_table_4_has_all_that_stands_above_it(composed: Compose) -> None:
    def row(name: str) -> tuple:
        (job,) = jobs(SWEEPS["regularisation"], f"row={name}", "seed=1")
        cfg = composed(*job)
        colours = cfg.augment.color_transform._target_.rpartition(".")[2]
        start = cfg.weights._target_.rpartition(".")[2]
        return start, cfg.model.stochastic_depth, colours, cfg.loss.label_smoothing, cfg.loss.mixup

    assert row("crop_flip_jitter") == ("load_image_weights", 0, "ColorJitter", 0, 0)
    assert row("initialised") == ("load_video_weights", 0, "ColorJitter", 0, 0)
    assert row("stochastic_depth") == ("load_video_weights", 0.2, "ColorJitter", 0, 0)
    assert row("randaugment") == ("load_video_weights", 0.2, "RandAugment", 0, 0)
    assert row("label_smoothing") == ("load_video_weights", 0.2, "RandAugment", 0.2, 0)
    assert row("mixup") == ("load_video_weights", 0.2, "RandAugment", 0.2, 0.1)


def test_a_sweep_at_the_paper_s_scale_alone_has_a_table_and_a_command() -> None:
    sweep = parse_sweep("mine", {"title": "Mine", "paper": {"seeds": 2}, "rows": {"a": {"label": "A"}}})
    (answer,) = sweep_results(sweep, [])
    assert (answer.scale, answer.is_default, answer.missing) == ("paper", True, 2)
    assert answer.command.endswith("sweep=mine scale=paper")


def test_a_scale_that_a_sweep_has_not_and_a_row_of_no_sweep_are_refused(composed: Compose) -> None:
    check_scale(composed(hydra=True))
    check_scale(composed("sweep=seeds", hydra=True))
    for typed, key in (
        (["sweep=seeds", "scale=paper"], "scale"),
        (["scale=paper"], "scale"),
        (["row=main"], "row"),
    ):
        with pytest.raises(ConfigError) as refused:
            check_scale(composed(*typed, hydra=True))
        assert refused.value.key == key
    with pytest.raises(ConfigError) as refused:
        check_run(composed("sweep=seeds", "hydra.mode=RUN", hydra=True))
    assert (refused.value.key, refused.value.value) == ("sweep", "seeds")
