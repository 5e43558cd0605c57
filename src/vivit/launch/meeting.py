"""Where the ranks of a run meet: an address, and a port that no other run of the machine has."""

import os
import socket
from pathlib import Path

from vivit.launch.published import clear_published, publish, wait_for_published
from vivit.ranks import rank_group, restarts

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"
"""Variable of torchrun's: ranks meet where its own process listens, which remembers those that were killed."""


def meet(folder: Path) -> None:
    """Set ``MASTER_ADDR`` and ``MASTER_PORT`` in this rank as in all others of its start.

    The first rank takes a free port and writes it into the run's folder. What the launcher or the user has set stays,
    but for the port of ranks that torchrun starts again, or may on several machines. With torch 2.14 they would wait
    there for those before them.
    """
    group = rank_group()
    count, most = restarts()
    starts_again = group is not None and (count or (group.nodes > 1 and most))  # machines count each for itself
    if group is not None and starts_again and os.environ.get(AGENT_STORE) == str(True):
        os.environ[AGENT_STORE] = str(False)
        for name in (PORT, *((ADDRESS,) if group.rank else ())):  # the first rank may be on another machine than before
            os.environ.pop(name, None)
    if group is None or {ADDRESS, PORT} <= os.environ.keys():
        return
    if group.rank == 0:
        clear_published(folder, group.start)
        address = os.environ.get(ADDRESS) or ("127.0.0.1" if group.nodes == 1 else socket.gethostname())
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
