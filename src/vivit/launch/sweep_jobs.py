"""The jobs of a sweep: each row with each seed, and with what is typed beside ``sweep=``."""

import itertools
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.types import Override

from vivit.errors import ConfigError
from vivit.launch.job_identity import identity
from vivit.overrides import override_key, override_value, split_override
from vivit.sweeps import SCALES, Row, Sweep


def sweep_jobs(sweep: Sweep, typed: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: each row with each seed, and with what is typed beside ``sweep=``.

    ``row=`` selects rows, and so does a key that rows set, with a value that some of them have. Raises ConfigError
    where no row is left, and for jobs that would share a folder.
    """
    choices = {override.get_key_element(): _values(override) for override in typed}
    scale = _value(choices.pop("scale", [SCALES[0]]))
    choices.pop("sweep", None)
    typed_seeds = choices.pop("seed", None)
    rows = _select_rows(sweep, scale, choices)
    axes = [[f"{key}={value}" for value in values] for key, values in choices.items()]
    head = [f"sweep={sweep.name}", *([] if scale == SCALES[0] else [f"scale={scale}"])]
    jobs = []
    for row, extra in itertools.product(rows, itertools.product(*axes)):
        fixed = [text for text in sweep.job_overrides(row, scale) if override_key(text) not in choices]
        seeds = sweep.seeds_of(row, scale) if typed_seeds is None else typed_seeds
        jobs += [[*head, f"row={row.name}", *fixed, *extra, f"seed={seed}"] for seed in seeds]
    _check_names(sweep, scale, jobs)
    return jobs


def _select_rows(sweep: Sweep, scale: str, choices: dict[str, list[str]]) -> list[Row]:
    """Return the rows that are typed; what selects rows is taken out of ``choices``."""
    rows = list(sweep.rows)
    names = choices.pop("row", None)
    for name in names or ():
        if sweep.row(name) is None:
            raise ConfigError("row", name, f"is no row of sweep={sweep.name}", f"set one of {', '.join(_names(rows))}")
    if names is not None:
        rows = [row for row in rows if row.name in names]
    varied = {override_key(text) for row in sweep.rows for text in row.overrides[scale]}
    for key in [key for key in choices if key in varied]:
        values = [f"{key}={value}" for value in choices.pop(key)]
        left = [row for row in rows if set(values) & set(row.overrides[scale])]
        if missing := [text for text in values if not any(text in row.overrides[scale] for row in rows)]:
            raise ConfigError(
                *split_override(missing[0]),
                f"is in no row of sweep={sweep.name}, whose rows set {key}",
                f"select rows by row={','.join(_names(rows))}, or add a row to its file",
            )
        rows = left
    return rows


def _check_names(sweep: Sweep, scale: str, jobs: Iterable[Sequence[str]]) -> None:
    """Raise ConfigError for two jobs of one name."""
    names: dict[str, Sequence[str]] = {}
    for job in jobs:
        row = sweep.row(override_value(job, "row"))
        assert row is not None
        name = identity(sweep, row, scale, job, None).name
        if name in names:
            differing = next((text for text in job if text not in names[name]), job[-1])
            raise ConfigError(
                *split_override(differing),
                "does not decide a job's result, so that jobs which differ in it alone would share a folder",
                "set one value, and another by a command with another hydra.sweep.dir",
            )
        names[name] = job


def _names(rows: Iterable[Row]) -> list[str]:
    return [row.name for row in rows]


def _values(override: Override) -> list[str]:
    """Return the values of an override, of which a job gets one."""
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    return [str(override.get_value_element_as_str())]


def _value(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise ConfigError("scale", ",".join(values), "is one for all jobs of a sweep", "start a command for each")
    return values[0]
