"""Whether the frames of a data set fit: into ``data.cache_gb``, and into what is free."""

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from vivit.errors import ConfigError

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux has the limits of a container or a job."""


def gigabytes(size: int | float) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e9:.3g} GB"


def check_budget(sizes: Mapping[str, float], cache_gb: float, *, estimated: bool = False) -> None:
    """Raise ``ConfigError`` where the frames of some splits, in bytes, exceed the budget."""
    total = sum(sizes.values(), 0.0)
    if total > cache_gb * 1e9:
        parts = " and ".join(f"{gigabytes(size)} of {name}" for name, size in sizes.items())
        raise ConfigError(
            "data.cache_gb",
            cache_gb,
            f"decoded frames take {'about ' if estimated else ''}{gigabytes(total)} ({parts})",
            f"set at least {_rounded_up(total)} (in eval.py cache_gb), or data.cache=none",
        )


def check_free_space(needed: int, mode: str, folder: Path) -> None:
    """Raise ``ConfigError`` where less memory, or less of the disk of ``folder``, is free than is ``needed``."""
    if mode == "memory":
        free, where, remedy = free_memory(), "memory", "set data.cache=disk or none"
    else:
        free, where, remedy = shutil.disk_usage(folder).free, f"the disk of {folder}", "set another data.cache_dir"
    if needed > free:
        problem = f"decoded frames take {gigabytes(needed)}, and {gigabytes(free)} of {where} are free"
        raise ConfigError("data.cache", mode, problem, remedy)


def free_memory() -> int:
    """Return the bytes of memory that this machine, or the container that this process is in, has to spare."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max" is no number: without a limit
        return free
    return min(free, limit - used)


def _rounded_up(size: float) -> float:
    """Return gigabytes in two digits, no less than a number of bytes."""
    digits = 1 - math.floor(math.log10(size / 1e9))
    return round(math.ceil(size / 1e9 * 10.0**digits) / 10.0**digits, max(digits, 0))


def reserve(file: Path, size: int) -> None:
    """Make a file as large as that, with all of its space. Raises ``OSError`` where there is too little."""
    with file.open("wb") as target:
        target.truncate(size)
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(target.fileno(), 0, size)
