"""The cases of ``bench=gpu``, the most important first, and what the rows so far make of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

SPATIOTEMPORAL = "spatiotemporal"
"""Model 1, whose attention is over all tokens, so that its backend matters most."""
NOT_RUN = "not run: "
"""Begins what a row has under ``failed`` where its case was not tried."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StepCase:
    """What is trained, and how: ``batch`` clips on each of ``devices`` devices; None: the fastest number so far.

    ``attention`` names a backend of torch's attention; with "auto" torch decides. ``parallel`` is none, ddp or fsdp.
    """

    model: str
    size: str
    compiled: bool = False
    attention: str = "auto"
    parallel: str = "none"
    devices: int = 1
    batch: int | None = None


def plan_cases(
    models: Sequence[str],
    sizes: Sequence[str],
    batch: int,
    most_clips: int,
    attention: Sequence[str],
    parallel: Sequence[str],
    devices: int,
) -> list[StepCase]:
    """Return all cases.

    All models of the first size as they are, then compiled; batches that double up to ``most_clips``; the fastest of
    them compiled. Then larger sizes, each backend of ``attention`` for Model 1, DDP with the first size and FSDP with
    the last on all ``devices``, and larger sizes compiled, which take longest.
    """

    def each(size: str, **options: Any) -> Iterator[StepCase]:
        yield from (StepCase(model=model, size=size, **({"batch": batch} | options)) for model in models)

    first, *larger = sizes
    cases = [*each(first), *each(first, compiled=True)]
    more = batch * 2
    while more <= most_clips:
        cases += each(first, batch=more)
        more *= 2
    cases += each(first, compiled=True, batch=None)
    for size in larger:
        cases += each(size)
    if SPATIOTEMPORAL in models:
        shared = StepCase(model=SPATIOTEMPORAL, size=first, batch=batch)
        cases += [replace(shared, attention=backend) for backend in attention]
    for way in parallel:
        cases += each(sizes[-1] if way == "fsdp" else first, parallel=way, devices=devices)
    for size in larger:
        cases += each(size, compiled=True)
    return cases


def resolve_case(case: StepCase, rows: Sequence[Row]) -> StepCase | None:
    """Return a case with a number of clips, by the rows so far; None where it would measure nothing new.

    That is a batch larger than one that failed, and the fastest batch where it was compiled before.
    """
    plain = {"model": case.model, "size": case.size, "compiled": False, "attention": "auto", "parallel": "none"}
    batches = [row for row in rows if plain.items() <= row.items()]
    if case.batch is None:
        if not (measured := [row for row in batches if row["failed"] is None]):
            return case
        fastest = replace(case, batch=max(measured, key=lambda row: row["clips_per_second"])["batch"])
        return None if any(asdict(fastest).items() <= row.items() for row in rows) else fastest
    doubled = plain.items() <= asdict(case).items() and any(row["batch"] < case.batch for row in batches)
    return None if doubled and any(was_tried(row) and row["failed"] for row in batches) else case


def was_tried(row: Mapping[str, Any]) -> bool:
    """Return whether the case of a row was begun."""
    return row["failed"] is None or not row["failed"].startswith(NOT_RUN)


def halve(case: StepCase, row: Mapping[str, Any], batch: int) -> StepCase | None:
    """Return a case with half its clips where memory ran out with at most ``batch`` of them; None elsewhere."""
    out_of_memory = "OutOfMemoryError" in (row["failed"] or "")
    return replace(case, batch=case.batch // 2) if out_of_memory and case.batch and 1 < case.batch <= batch else None
