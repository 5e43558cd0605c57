"""Where the ranks of a run meet: an address, and a port that no other run of the machine has."""

import os
import socket
from pathlib import Path

from vivit.launch.published import clear_published, publish, wait_for_published
from vivit.ranks import rank_group

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"


def meet(folder: Path) -> None:
    """Set ``MASTER_ADDR`` and ``MASTER_PORT`` in this rank as in all others of its start.

    The first rank takes a free port and writes it into the run's folder. What the launcher or the user has set stays.
    """
    group = rank_group()
    if group is None or {ADDRESS, PORT} <= os.environ.keys():
        return
    if group.rank == 0:
        clear_published(folder, group.start)
        address = "127.0.0.1" if group.nodes == 1 else socket.gethostname()
        publish(folder, group.start, {ADDRESS: address, PORT: str(free_port())}, while_useful=lambda: False)
    for name, value in wait_for_published(folder, group.start, "port").items():
        if name in (ADDRESS, PORT):
            os.environ.setdefault(name, value)


def free_port() -> int:
    """Return a port that nothing on this machine listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
