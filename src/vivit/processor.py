"""Who made this machine's processor, and what it is called."""

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
MAKERS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}


def processor_maker() -> str:
    """Return "intel", "amd", or "other": also of a system that does not say."""
    return MAKERS.get(_cpu_info().get("vendor_id", ""), "other")


def processor_name() -> str:
    """Return the processor's name as the system has it; of one that has none, its architecture."""
    return _cpu_info().get("model name") or platform.machine()


@cache
def _cpu_info() -> Mapping[str, str]:
    """Return what Linux says about the first processor; nothing elsewhere."""
    try:
        first, _, _ = CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
