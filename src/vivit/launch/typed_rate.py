"""``data.stride`` and ``data.fps``: the one that is typed replaces the other where a file of configurations sets it."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, flag_override

from vivit.launch.job import Job
from vivit.overrides import override_key

RATES = {"data.stride": "fps", "data.fps": "stride"}
"""Keys that decide which frames a clip has, each with the key of ``data`` that it replaces."""


def prefer_typed_rate(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Set ``data.fps`` to null where ``data.stride`` alone is typed, and the other way round.

    ``overrides`` are those that are typed. Where both are, both stay, which ``check_rate`` refuses.
    """
    typed = {override_key(text) for text in overrides} & RATES.keys()
    if len(typed) != 1 or OmegaConf.select(cfg, key := typed.pop()) is None:
        return
    if RATES[key] in cfg.data:
        with flag_override(cfg, ["readonly"], [False]):
            cfg.data[RATES[key]] = None


def typed_overrides(job: Job) -> Sequence[str]:
    """Return the overrides of a job that are typed; of a row of a sweep without those that its file lists."""
    return job.overrides if job.identity is None else job.identity.extra
