"""What a data set looks like: the page that `prepare.py` writes."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from omegaconf import DictConfig

from vivit.cores import allowed_cores
from vivit.data.datasets import VideoDataset
from vivit.data.index.prepare_checks import check_writable
from vivit.data.index.sources import Sources
from vivit.data.overview import ClipPlan, Finding, VideoFacts, load_facts
from vivit.data.overview.advice import FPS, FRAMES, Setting, settings_for
from vivit.data.overview.page import Command, Costs, render_overview
from vivit.data.overview.sheets import class_sheets
from vivit.entry_points import typed
from vivit.errors import UserError
from vivit.io import atomic_write, write_json
from vivit.launch import Job
from vivit.tasks.data_report import clip_plan, findings_before_training, log_report, readable_splits

log = logging.getLogger(__name__)

PAGE, FINDINGS = "index.html", "findings.json"
REPLACED_BY = {"data.fps": ["data.fps", "data.stride"], "views": ["views"]}
"""What is typed in place of a setting, by its key, where that is not the key alone."""
FROZEN = ("weights=dinov2_small", "size=small", "tokeniser.tubelet.0=1")
PROBES = ("target=features", "probes=[logistic,linear,attentive]")


def advised_plan(cfg: DictConfig, job: Job) -> ClipPlan:
    """Return how ``experiment=finetune`` cuts clips, which the page advises, beside what is typed to ``prepare.py``."""
    data = cfg.data
    typed_stride = bool(job.cli_overrides("data.stride"))
    return ClipPlan(
        frames=data.frames if job.cli_overrides("data.frames") else FRAMES,
        stride=data.stride if typed_stride else None,
        fps=None if typed_stride else data.fps if job.cli_overrides("data.fps") else FPS,
        resize=data.resize,
        crop=(data.crop[0], data.crop[1]),
        reads_copies=data.dataset.get("copies") is not None,
        balance=data.get("balance") or 0.0,
    )


def plan_of_page(cfg: DictConfig, job: Job, run: DictConfig | None) -> ClipPlan:
    """Return the clips that the page is about: those of a ``run``, where one is configured."""
    return advised_plan(cfg, job) if run is None else replace(clip_plan(run), whole_network=True)


def write_overview(
    cfg: DictConfig, job: Job, dataset: VideoDataset, run: DictConfig | None, logged: Sequence[Finding] = ()
) -> list[Finding]:
    """Write the page about an indexed data set and its findings, log those that are not ``logged``, return all.

    With the configuration of a ``run`` findings are about its clips, and the page says what it takes on this machine.
    """
    facts = load_facts(dataset, list(readable_splits(dataset)))
    plan = plan_of_page(cfg, job, run)
    findings = findings_before_training(cfg if run is None else run, dataset, facts, plan)
    log_report(job.folder, facts, findings, logged=logged)
    folder, root = check_writable(dataset.prepared_folder), dataset.root
    write_json(folder / FINDINGS, {"findings": [asdict(finding) for finding in findings]})
    settings = [
        setting
        for setting in settings_for(facts, findings, cfg.data.resize)
        if not job.cli_overrides(*REPLACED_BY.get(key := setting.override.partition("=")[0], [key]))
    ]
    page = render_overview(
        root.absolute().name,
        facts,
        findings,
        list(_commands(job, facts.splits, findings, settings)),
        settings,
        class_sheets(facts, root, cfg.num_workers or len(allowed_cores()), Sources(dataset, dataset.splits).stored),
        None if run is None else _costs(run, facts),
    )
    with atomic_write(folder / PAGE) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    log.info("%s shows classes, lengths, rates, samples and what to set", folder / PAGE)
    return findings


def _costs(run: DictConfig, facts: VideoFacts) -> Costs:
    """Return what a run takes, or why that cannot be measured; the page has all else."""
    from vivit.tasks.run_costs import measure_costs  # here, for it imports Lightning

    try:
        return measure_costs(run, facts)
    except Exception as error:  # whatever a run may end in: the index and the page are there all the same
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        log.warning("costs are not measured: %s", reason)
        return Costs(f"Not measured: {reason}", [])


def _commands(
    job: Job, splits: Sequence[str], findings: Sequence[Finding], settings: Sequence[Setting]
) -> Iterator[Command]:
    """Yield what to type: what was typed, with the settings that fit the data set."""
    kinds = {finding.kind for finding in findings}
    set_here = [setting.override for setting in settings]
    data = [*job.cli_overrides("plugins"), *job.cli_overrides("data")]
    if copies := [override for override in set_here if override.startswith("data.dataset.copies=")]:
        side = copies[0].partition("=")[2]
        yield Command(_command("prepare", [*data, f"copies={side}"]), "First make copies that are decoded faster.")
    if "few_videos" in kinds:
        rate = [override for override in set_here if override.startswith("data.fps=")]
        if not rate and not job.cli_overrides("data.fps", "data.stride"):
            rate = [f"data.fps={FPS}"]
        frames = [] if job.cli_overrides("data.frames") else [f"data.frames={FRAMES}"]
        folds = [] if "test" in splits else ["folds=5"]
        yield Command(
            _command("features", [*FROZEN, *data, *copies, *rate, *frames, *PROBES, *folds]),
            "In minutes: probes on frozen features say what image weights alone are worth.",
        )
    yield Command(
        _command("train", ["experiment=finetune", *data, *job.cli_overrides("views"), *set_here]),
        "Fine-tuning; `experiment=finetune` names the weights that it starts from, and where to get them.",
    )


def _command(name: str, overrides: Sequence[str]) -> str:
    return " \\\n    ".join([typed(name), *map(shlex.quote, overrides)])
