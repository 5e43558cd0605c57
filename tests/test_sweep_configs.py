"""Every sweep, at every scale that it has, is a grid of jobs that compose and build."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.preflight import check_scale
from vivit.launch.resolvers import job_name
from vivit.models.flops import count_flops
from vivit.reporting.load_runs import RunRecord
from vivit.reporting.paper import SWEEPS as ANSWERED
from vivit.reporting.paper import Row
from vivit.reporting.sweep_results import sweep_results
from vivit.tasks.build import build_network
from vivit.tasks.config_checks import check_keys

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
SWEEPS = sorted(file.stem for file in (CONFIGS / "sweep").glob("*.yaml"))
PAPER = [file.stem.removesuffix("_paper") for file in sorted((CONFIGS / "sweep_scale").glob("*_paper.yaml"))]
SCALES = [(sweep, "laptop") for sweep in SWEEPS] + [(sweep, "paper") for sweep in PAPER]
GIVEN = {"laptop": [], "paper": ["data.root=/videos"]}
"""What a user says beside sweep and scale."""
TABLES = {sweep.name: sweep for sweep in ANSWERED}
PRINTED = [(sweep.name, row) for sweep in ANSWERED for row in sweep.rows if "gflops" in row.paper]
Compose = Callable[..., DictConfig]


def grid(cfg: DictConfig, *typed: str) -> list[list[str]]:
    """Overrides of every job of a sweep, as Hydra's sweeper makes them."""
    said = [f"{key}={values}" for key, values in cfg.hydra.sweeper.params.items()]
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides([*said, *typed]), None)
    return jobs


@pytest.mark.slow
@pytest.mark.parametrize(("sweep", "scale"), SCALES)
def test_every_job_composes_and_builds(sweep: str, scale: str, composed: Compose) -> None:
    typed = [f"sweep={sweep}", f"scale={scale}", *GIVEN[scale]]
    cfg = composed(*typed, hydra=True)
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert Path(cfg.hydra.sweep.dir).name == sweep
    names = set()
    rows = [job for job in grid(cfg) if not any(o.startswith("seed=") and o != "seed=1" for o in job)]
    for job in rows:
        cfg = composed(*typed, *job, hydra=True)
        names.add(job_name(_root_=cfg))
        cfg.paths.run = "logs"
        check_keys(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), "train")
        with torch.device("meta"):
            build_network(cfg, 7)
        clip = {"frames": cfg.data.frames, "stride": cfg.data.stride}
        instantiate(cfg.augment, _convert_="all")(**clip, resize=cfg.data.resize, crop=tuple(cfg.data.crop))
    assert len(names) == len(rows)


@pytest.mark.parametrize(("sweep", "scale"), SCALES)
def test_every_job_has_its_row_in_the_report(sweep: str, scale: str, composed: Compose) -> None:
    typed = [f"sweep={sweep}", f"scale={scale}", *GIVEN[scale]]
    jobs = grid(composed(*typed, hydra=True), *typed)
    runs = [RunRecord(Path(f"job {i}"), "running", None, {}, sweep, tuple(job)) for i, job in enumerate(jobs)]
    (answer,) = [found for found in sweep_results(TABLES[sweep], runs) if any(cell.unfinished for cell in found.rows)]
    assert (answer.scale, answer.extra, answer.unplaced) == (scale, (), ())
    assert len(answer.rows) == len(TABLES[sweep].rows), "no row but the paper's"
    seeds = TABLES[sweep].seeds if scale == "laptop" else 1
    assert [len(cell.unfinished) for cell in answer.rows] == [seeds] * len(answer.rows)


@pytest.mark.slow
@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row[0]} {row[1].label}")
def test_costs_at_the_paper_s_scale_are_what_it_prints(row: tuple[str, Row], composed: Compose) -> None:
    """FLOPs within 0.05 %; parameters to the printed digit, which the paper rounds in one row and cuts in another."""
    sweep, printed = row
    typed = [f"sweep={sweep}", "scale=paper", *GIVEN["paper"]]
    jobs = grid(composed(*typed, hydra=True))
    wanted = {f"{key}={value}" for key, value in printed.overrides.items()}
    cfg = composed(*typed, *next(job for job in jobs if wanted <= set(job)))
    with torch.device("meta"):
        network = build_network(cfg, 400)
    found = count_flops(network, frames=cfg.data.frames, height=cfg.data.crop[0], width=cfg.data.crop[1])
    assert found.paper_gflops == pytest.approx(printed.paper["gflops"], rel=5e-4)
    if "params" in printed.paper:
        millions = found.params / 1e6
        assert printed.paper["params"] in (round(millions, 1), math.floor(10 * millions) / 10)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_says_what_it_answers(sweep: str) -> None:
    header = (CONFIGS / "sweep" / f"{sweep}.yaml").read_text().splitlines()[:2]
    assert header[0] == "# @package _global_"
    assert header[1].startswith("# ")
    if sweep not in ("seeds", "time_order", "precision"):
        assert header[1].startswith(("# Table ", "# Figure ", "# Section "))


def test_a_sweep_is_narrowed_on_the_command_line(composed: Compose) -> None:
    cfg = composed("sweep=model_variants", hydra=True)
    assert len(grid(cfg)) == 15
    assert grid(cfg, "model=average_pool", "seed=2") == [["model=average_pool", "seed=2"]]


def test_a_row_of_table_4_has_all_that_stands_above_it(composed: Compose) -> None:
    def row(name: str) -> tuple:
        cfg = composed("sweep=regularisation", f"row=regularisation/{name}", "data=motion_verb_noun")
        colours = cfg.augment.color_transform._target_.rpartition(".")[2]
        start = cfg.weights._target_.rpartition(".")[2]
        return start, cfg.model.stochastic_depth, colours, cfg.loss.label_smoothing, cfg.loss.mixup

    assert row("crop_flip_jitter") == ("load_image_weights", 0, "ColorJitter", 0, 0)
    assert row("initialised") == ("load_video_weights", 0, "ColorJitter", 0, 0)
    assert row("stochastic_depth") == ("load_video_weights", 0.2, "ColorJitter", 0, 0)
    assert row("randaugment") == ("load_video_weights", 0.2, "RandAugment", 0, 0)
    assert row("label_smoothing") == ("load_video_weights", 0.2, "RandAugment", 0.2, 0)
    assert row("mixup") == ("load_video_weights", 0.2, "RandAugment", 0.2, 0.1)


def told(choices: dict[str, str | None]) -> DictConfig:
    source = SimpleNamespace(path=str(CONFIGS), provider="main")
    runtime = {"choices": choices, "config_sources": [vars(source)]}
    return OmegaConf.create({"hydra": {"runtime": runtime}})


def test_a_scale_that_a_sweep_has_not_is_refused() -> None:
    check_scale(told({"sweep": None, "scale": "laptop"}))
    check_scale(told({"sweep": "seeds", "scale": "laptop"}))
    for sweep in ("seeds", None):
        with pytest.raises(ConfigError) as refused:
            check_scale(told({"sweep": sweep, "scale": "paper"}))
        assert (refused.value.key, refused.value.value) == ("scale", "paper")
