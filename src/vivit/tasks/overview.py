"""What a data set looks like: findings before a run starts, and the page that `prepare.py` writes."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from vivit.cores import allowed_cores
from vivit.data.datasets import Split, VideoDataset
from vivit.data.overview import ClipPlan, Finding, VideoFacts, list_findings, load_facts
from vivit.data.overview.advice import Setting, settings_for
from vivit.data.overview.page import Command, describe, render_overview
from vivit.data.overview.sheets import class_sheets
from vivit.entry_points import typed
from vivit.errors import UserError
from vivit.io import atomic_write, write_json
from vivit.launch import Job
from vivit.run_folder import is_rank_zero

log = logging.getLogger(__name__)

PAGE, FINDINGS = "index.html", "findings.json"
RUN_FILE = "data.txt"
"""What a run folder says of the data set."""
LOGGED_ELSEWHERE = ("unusable", "no_test", "rate_above_file")
"""Findings that a run logs by itself, also where no index tells them."""
FROZEN = ("weights=dinov2_small", "size=small", "tokeniser.tubelet.0=1")
PROBES = ("target=features", "probes=[logistic,linear,attentive]")


def report_findings(cfg: DictConfig, job: Job, dataset: VideoDataset) -> None:
    """Log what is wrong with a data set before training starts, and write it into the run folder; one rank does."""
    if not is_rank_zero():
        return
    facts = load_facts(dataset, list(_readable_splits(dataset)), look_on_disk=False)
    findings = list_findings(facts, clip_plan(cfg))
    log_findings(facts, [finding for finding in findings if finding.kind not in LOGGED_ELSEWHERE])
    lines = [describe(facts), *(str(finding) for finding in findings)]
    (job.folder / RUN_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")


def _readable_splits(dataset: VideoDataset) -> Iterator[Split]:
    """Yield the splits that can be read; a run that needs another says what is wrong with it."""
    for split in dataset.splits:
        with suppress(UserError):
            dataset.videos(split)
            yield split


def log_findings(facts: VideoFacts, findings: Sequence[Finding]) -> None:
    """Log the size of a data set, and every finding."""
    log.info("%s", describe(facts))
    for finding in findings:
        log.log(logging.WARNING if finding.is_warning else logging.INFO, "%s", finding)


def clip_plan(cfg: DictConfig) -> ClipPlan:
    """Return how a configuration cuts clips and draws classes; one without a model, as of ``prepare.py``, may train."""
    data, loss = cfg.data, cfg.get("loss") or {}
    return ClipPlan(
        frames=data.frames,
        stride=data.get("stride"),
        fps=data.get("fps"),
        resize=data.resize,
        balance=data.get("balance") or 0.0,
        weighted=bool(loss.get("class_weights") or loss.get("logit_adjustment")),
        whole_network="model" not in cfg or bool(cfg.get("weights") and cfg.model.get("frozen") is None),
    )


def write_overview(
    cfg: DictConfig, job: Job, dataset: VideoDataset, splits: Sequence[Split] | None, run: DictConfig | None
) -> list[Finding]:
    """Write the page about an indexed data set and its findings, log these, and return them.

    With the configuration of a ``run`` the page says what that takes on this machine.
    """
    facts = load_facts(dataset, splits)
    findings = list_findings(facts, clip_plan(cfg))
    log_findings(facts, findings)
    folder, root = dataset.prepared_folder, Path(dataset.root)
    write_json(folder / FINDINGS, {"findings": [asdict(finding) for finding in findings]})
    settings = settings_for(facts, findings)
    sheets = class_sheets(facts, root, cfg.num_workers or len(allowed_cores()))
    commands = list(_commands(job, facts.splits, findings, settings))
    costs = None
    if run is not None:
        from vivit.tasks.run_costs import measure_costs  # here, for it imports Lightning

        costs = measure_costs(run, facts)
    page = render_overview(root.absolute().name, facts, findings, commands, settings, sheets, costs)
    with atomic_write(folder / PAGE) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    log.info("%s shows classes, lengths, rates, samples and what to set", folder / PAGE)
    return findings


def _commands(
    job: Job, splits: Sequence[str], findings: Sequence[Finding], settings: Sequence[Setting]
) -> Iterator[Command]:
    """Yield what to type: the data set as it was typed, with the settings that fit it."""
    data = [*job.cli_overrides("plugins"), *job.cli_overrides("data")]
    settings = [setting for setting in settings if not job.cli_overrides(setting.override.partition("=")[0])]
    if any(finding.kind == "few_videos" for finding in findings):
        rate = [setting.override for setting in settings if setting.override.startswith("data.fps=")] or ["data.fps=4"]
        folds = [] if "test" in splits else ["folds=5"]
        yield Command(
            _command("features", [*FROZEN, *data, *rate, "data.frames=8", *PROBES, *folds]),
            "First, in minutes: probes on frozen features say what image weights alone are worth.",
        )
    yield Command(
        _command("train", ["experiment=finetune", *data, *(setting.override for setting in settings)]),
        "Then fine-tune; `experiment=finetune` names the weights that it starts from, and where to get them.",
    )


def _command(name: str, overrides: Sequence[str]) -> str:
    return " \\\n    ".join([typed(name), *map(shlex.quote, overrides)])
