"""Which process of a run this is, by the variables of torchrun, srun and submitit; and the name of its job."""

import os
import re
import socket
from dataclasses import dataclass

from vivit.run_folder import start_of_process

SHELLS = ("bash", "sh", "zsh", "fish", "csh", "tcsh", "interactive")
"""Names of SLURM jobs that are shells: a command typed there is a run of its own, whatever tasks the job has."""
FIRST_SPECIAL_STEP = 2**32 - 16
"""From this number on steps of SLURM are no srun: the script of a job, a shell of salloc, and others."""
INTERACTIVE_STEP = str(2**32 - 6)
"""The step of SLURM in which the shell of salloc runs, where a cluster puts it on a node of the job."""
BY_HAND = ("RANK", "LOCAL_RANK", "NODE_RANK")
"""Variables that number the processes that Lightning starts, or a user."""
UNNAMED = re.compile(r"none|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|")
"""Names of runs that nobody chose: torchrun's default, and what it draws on one machine."""


@dataclass(frozen=True)
class RankGroup:
    """The processes that a launcher has started for one run, one a device, and this one's place among them.

    ``start`` is the same in all of them, and no other start's; but torchrun's on one machine is that of its restarts
    too. ``local_rank`` counts on this node, ``rank`` on all.
    """

    launcher: str
    start: str
    rank: int
    local_rank: int
    node: int
    ranks: int
    nodes: int

    @property
    def per_node(self) -> int:
        """Processes on each node."""
        return self.ranks // self.nodes


def rank_group() -> RankGroup | None:
    """Return the processes that a launcher has started, this one among them; None where it starts its ranks itself.

    A single task of srun or submitit does so, and so does every command in a shell of SLURM's.
    """
    env = os.environ.get
    if "TORCHELASTIC_RUN_ID" in os.environ and (ranks := _integer("WORLD_SIZE")):
        nodes = _integer("GROUP_WORLD_SIZE", ranks // (_integer("LOCAL_WORLD_SIZE") or ranks))
        place = (_integer("RANK"), _integer("LOCAL_RANK"), _integer("GROUP_RANK"))
        return RankGroup("torchrun", _start_of_torchrun(nodes), *place, ranks, nodes)
    if (ranks := _integer("SUBMITIT_LOCAL_NTASKS")) > 1:
        start = f"{socket.gethostname()}-{env('SUBMITIT_LOCAL_JOB_ID')}"
        place = (_integer("SUBMITIT_LOCAL_GLOBALID"), _integer("SUBMITIT_LOCAL_LOCALID"), 0)
        return RankGroup("submitit", _file_name(start), *place, ranks, 1)
    step = env("SLURM_STEP_ID", "")
    ranks = _integer("SLURM_STEP_NUM_TASKS", _integer("SLURM_NTASKS", 1))
    if in_slurm_job() and step.isdecimal() and int(step) < FIRST_SPECIAL_STEP and ranks > 1:
        start = "-".join(env(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
        nodes = _integer("SLURM_STEP_NUM_NODES", _integer("SLURM_NNODES", 1))
        place = (_integer("SLURM_PROCID"), _integer("SLURM_LOCALID"), _integer("SLURM_NODEID"))
        return RankGroup("srun", _file_name(start), *place, ranks, nodes)
    return None


def is_rank_zero() -> bool:
    """Return whether this process is the first of those that work on a run; the others leave the folder alone."""
    group = rank_group()
    if group is not None:
        return group.rank == 0
    return all(os.environ.get(name, "0") == "0" for name in BY_HAND)


def in_slurm_job() -> bool:
    """Return whether a script of SLURM's or srun has started this process, rather than a user in a shell of SLURM's."""
    env = os.environ
    shell = env.get("SLURM_JOB_NAME") in SHELLS or env.get("SLURM_STEP_ID") == INTERACTIVE_STEP
    return "SLURM_JOB_ID" in env and "SLURM_PROCID" in env and not shell


def named_run() -> str | None:
    """Return the name that a job gives its run, the same on every rank and after every restart; None without a job."""
    env = os.environ.get
    run_id = env("TORCHELASTIC_RUN_ID", "")
    if not UNNAMED.fullmatch(run_id):
        return _file_name(run_id)
    if not in_slurm_job():
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return _file_name(f"slurm-{env('SLURM_ARRAY_JOB_ID')}_{env('SLURM_ARRAY_TASK_ID')}")
    return _file_name(f"slurm-{env('SLURM_JOB_ID')}")


def restarts() -> tuple[int, int]:
    """Return how often torchrun has started this run again, and how often it will at most; (0, 0) without torchrun."""
    return _integer("TORCHELASTIC_RESTART_COUNT"), _integer("TORCHELASTIC_MAX_RESTARTS")


def _start_of_torchrun(nodes: int) -> str:
    """Return a name by the process that starts the ranks of one machine; of several by torchrun's name of the run.

    Machines count restarts each for itself, and meet at another address after one: neither may be in the name then.
    """
    if nodes == 1:
        parent = os.getppid()
        return _file_name(f"{socket.gethostname()}-{parent}-{start_of_process(parent)}")
    names = ("TORCHELASTIC_RUN_ID", *(() if restarts()[1] else ("MASTER_ADDR", "MASTER_PORT")))
    return _file_name("-".join(os.environ.get(name, "") for name in names))


def _integer(name: str, default: int = 0) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else default


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name).lstrip(".")
