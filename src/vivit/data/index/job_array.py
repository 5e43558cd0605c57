"""Which share of the work a job of a SLURM array has."""

from collections.abc import Mapping

from vivit.errors import ConfigError


def share_of_work(shard_index: int | None, num_shards: int | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of a run and how many there are: as configured, else those of a job array, else 0 of 1.

    An array of submitit holds the jobs of a multirun, each with work of its own, and is no share of one. Raises
    ``ConfigError`` where one of both is configured and the other is not.
    """
    if (shard_index is None) != (num_shards is None):
        missing = "shard_index" if shard_index is None else "num_shards"
        raise ConfigError(missing, None, "is not set, and the other of both is", "set both, or none")
    if shard_index is not None and num_shards is not None:
        return shard_index, num_shards
    if any(name.startswith("SUBMITIT_") for name in environment):
        return 0, 1
    task, count = environment.get("SLURM_ARRAY_TASK_ID", ""), environment.get("SLURM_ARRAY_TASK_COUNT", "")
    if not (task.isdecimal() and count.isdecimal() and int(count) > 0):
        return 0, 1
    first, step = environment.get("SLURM_ARRAY_TASK_MIN", "0"), environment.get("SLURM_ARRAY_TASK_STEP", "1")
    position = (int(task) - int(first)) // max(1, int(step))
    return position % int(count), int(count)  # of an array such as 1,5,9 it is only where a run begins
