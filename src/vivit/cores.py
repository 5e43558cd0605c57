"""The cores that this process may use."""

import os


def allowed_cores() -> set[int]:
    """Return the numbers of the cores that the system lets this process use; of all where it binds none."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
