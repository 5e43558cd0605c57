"""Checks that the processes which a launcher has started, or will start, are the ranks that the trainer expects."""

import os
from shutil import which
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from vivit.errors import ConfigError
from vivit.ranks import BY_HAND, SHELLS, RankGroup, named_run, rank_group, restarts

COMMANDS = ("train", "eval", "features")
"""Commands that build the trainer; others have its keys for those that refer to them."""
DOCUMENT = "docs/distributed.md"
MORE_TASKS = {
    "torchrun": "torchrun --nnodes={nodes} --nproc-per-node={devices}",
    "srun": "srun --nodes={nodes} --ntasks-per-node={devices}",
    "submitit": "hydra.launcher.tasks_per_node={devices}",
}
"""How each launcher starts the ranks of ``trainer.num_nodes`` nodes with ``trainer.devices`` each."""


def check_launcher(config: DictConfig, command: str | None) -> None:
    """Raise ConfigError where the processes of this start are not the ranks that a command's trainer expects."""
    if command not in COMMANDS:
        return
    group, trainer = rank_group(), config.trainer
    nodes = trainer.get("num_nodes", 1)
    if group is not None:
        check_group(group, count(trainer.get("devices", 1)), nodes)
    elif os.environ.get("SLURM_JOB_NAME") in SHELLS and os.environ.get("SLURM_PROCID", "0") != "0":
        raise ConfigError(
            "SLURM_JOB_NAME",
            os.environ["SLURM_JOB_NAME"],
            "is what jobs of shells are called, so that the tasks of srun are not taken for the ranks of a run",
            "start the shell with a name: salloc --job-name=vivit",
        )
    elif nodes != 1 and not any(name in os.environ for name in BY_HAND):
        raise ConfigError(
            "trainer.num_nodes",
            nodes,
            "nothing has started a process on the other nodes",
            f"start the command by torchrun or srun, or set cluster=slurm_4x8 ({DOCUMENT})",
        )


def check_group(group: RankGroup, devices: int | None, nodes: Any) -> None:
    """Raise ConfigError where the processes of a launcher are not ``devices`` on each of ``nodes``."""
    if (devices, nodes, group.ranks) == (group.per_node, group.nodes, group.per_node * group.nodes):
        return
    started = f"{group.launcher} has started {group.ranks} processes on {group.nodes} nodes"
    remedy = f"set trainer.devices={group.per_node} trainer.num_nodes={group.nodes}"
    if devices is None:
        raise ConfigError("trainer.devices", "auto", f"{started}, which a number has to match", remedy)
    start = MORE_TASKS[group.launcher].format(devices=devices, nodes=nodes)
    text = f"is not what was started: {started}, the trainer expects {devices} on each of {nodes}"
    key, value = ("trainer.devices", devices) if devices != group.per_node else ("trainer.num_nodes", nodes)
    raise ConfigError(key, value, text.replace(" 1 nodes", " 1 node"), f"{remedy}, or start {start}")


def check_restarts() -> None:
    """Raise ConfigError where torchrun may start a run on several machines again, which has no name to be found by."""
    group = rank_group()
    if group is None or group.nodes == 1 or not restarts()[1] or named_run() is not None:
        return
    raise ConfigError(
        "--rdzv-id",
        problem="torchrun may start this run on several machines again, whose ranks find each other by its name",
        remedy="set torchrun --rdzv-id=NAME, or --max-restarts=0",
    )


def check_queue(config: DictConfig) -> None:
    """Raise ConfigError where the jobs of a sweep would not have the ranks that the trainer expects.

    Of a queue with one task a job, the task starts the ranks of one node itself.
    """
    command, queue = config.hydra.job.config_name, config.hydra.launcher
    tasks = queue.get("tasks_per_node")
    if tasks is None or command not in COMMANDS:
        check_launcher(config, command)
        return
    devices, nodes = count(config.trainer.get("devices", 1)), config.trainer.get("num_nodes", 1)
    if (tasks, queue.nodes) != (devices, nodes) and (tasks, queue.nodes, nodes) != (1, 1, 1):
        raise ConfigError(
            "hydra.launcher.tasks_per_node",
            tasks,
            f"on hydra.launcher.nodes={queue.nodes} is not what the trainer expects, {devices} on each of {nodes}",
            "set cluster=slurm_1x8 or slurm_4x8, where trainer.devices and trainer.num_nodes set both",
        )
    gpus = queue.get("gpus_per_node")
    if gpus is not None and devices is not None and config.trainer.get("accelerator") != "cpu" and gpus < devices:
        raise ConfigError(
            "hydra.launcher.gpus_per_node", gpus, f"is less than trainer.devices={devices}", "set as many as devices"
        )


def check_slurm(config: DictConfig) -> None:
    """Raise ConfigError where jobs are to be put into SLURM's queue on a machine that has none."""
    if str(config.hydra.launcher.get("_target_")).endswith(".SlurmLauncher") and which("srun") is None:
        remedy = "start the command on a machine of the cluster, or set cluster=local"
        raise ConfigError("hydra/launcher", "submitit_slurm", "there is no srun on this machine", remedy)


def count(devices: Any) -> int | None:
    """Return the number of devices that a value of ``trainer.devices`` names; None where the machine decides."""
    if isinstance(devices, list | ListConfig):
        return len(devices)
    if isinstance(devices, str):
        return int(devices) if devices.isdecimal() else None
    return devices if devices > 0 else None


def fix_ranks(config: DictConfig) -> None:
    """Replace references to what torchrun has started by numbers, which a resume of the run then has too."""
    trainer = config.get("trainer")
    for key in ("devices", "num_nodes"):
        if isinstance(trainer, DictConfig) and key in trainer and OmegaConf.is_interpolation(trainer, key):
            with read_write(trainer):
                trainer[key] = trainer[key]
