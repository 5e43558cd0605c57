"""What a launcher has started, or will, is what the trainer expects; or one sentence says what to set."""

import os
import socket
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.launcher_checks import check_launcher, check_queue, check_restarts, check_slurm, fix_ranks
from vivit.launch.meeting import meet
from vivit.launch.option_errors import explain_option
from vivit.launch.resolvers import register_resolvers
from vivit.launch.user_errors import format_error
from vivit.ranks import rank_group

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}
SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_NNODES": "2"}
ALONE = SRUN | {"SLURM_NTASKS": "1", "SLURM_NNODES": "1"}
SHELL = SRUN | {"SLURM_JOB_NAME": "interactive"}
TASKS = {"SUBMITIT_LOCAL_NTASKS": "2"}


def environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in [*os.environ]:
        if name.startswith(
            ("RANK", "LOCAL_", "GROUP_", "NODE_RANK", "WORLD_SIZE", "TORCHELASTIC", "SLURM", "SUBMITIT")
        ):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("started", "devices", "nodes", "key"),
    [
        ({}, 8, 1, None),
        ({}, "auto", 1, None),
        ({}, 8, 2, "trainer.num_nodes"),
        ({"NODE_RANK": "1"}, 8, 2, None),
        (TORCHRUN, 2, 2, None),
        (TORCHRUN, [0, 1], 2, None),
        (TORCHRUN, 2, 1, "trainer.num_nodes"),
        (TORCHRUN, 4, 1, "trainer.devices"),
        (TORCHRUN, 1, 1, "trainer.devices"),
        (TORCHRUN, "auto", 2, "trainer.devices"),
        (TORCHRUN, -1, 2, "trainer.devices"),
        (SRUN, 2, 2, None),
        (SRUN, 4, 1, "trainer.devices"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1"}, 2, 1, None),
        (SRUN | {"SLURM_NTASKS": "3"}, 2, 2, "trainer.devices"),
        (ALONE, 8, 1, None),
        (ALONE, 8, 4, "trainer.num_nodes"),
        (SHELL, 2, 1, None),
        (SHELL | {"SLURM_PROCID": "1"}, 2, 1, "SLURM_JOB_NAME"),
        (TASKS, 2, 1, None),
        (TASKS, 1, 1, "trainer.devices"),
    ],
)
def test_ranks_are_those_that_the_trainer_expects(
    started: dict[str, str], devices: object, nodes: int, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, started)
    config = OmegaConf.create({"trainer": {"devices": devices, "num_nodes": nodes}})
    check_launcher(config, "prepare")
    if key is None:
        check_launcher(config, "train")
        return
    with pytest.raises(ConfigError) as error:
        check_launcher(config, "train")
    assert error.value.key == key
    assert "\n" not in str(error.value)


def test_a_variable_of_torchrun_alone_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, {"TORCHELASTIC_RUN_ID": "none"})
    assert rank_group() is None


@pytest.mark.parametrize("launcher", ["SlurmLauncher", "LocalLauncher"])
def test_a_queue_is_asked_for_where_there_is_one(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"hydra_plugins.hydra_submitit_launcher.submitit_launcher.{launcher}"
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": target}}})
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check_slurm(config)
    monkeypatch.setenv("PATH", "")
    if launcher == "LocalLauncher":
        check_slurm(config)
    else:
        with pytest.raises(ConfigError, match="no srun on this machine; start the command on a machine of the cluster"):
            check_slurm(config)


def test_the_remedy_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says to set is accepted."""
    for started in (TORCHRUN, SRUN, TASKS):
        environment(monkeypatch, started)
        with pytest.raises(ConfigError) as error:
            check_launcher(OmegaConf.create({"trainer": {"devices": 7, "num_nodes": 1}}), "train")
        said = [word.split("=") for word in str(error.value).replace(",", "").split() if word.startswith("trainer.")]
        config = OmegaConf.create({"trainer": {key.removeprefix("trainer."): int(value) for key, value in said[1:]}})
        check_launcher(config, "train")


def queue(devices: object, machines: int, **launcher: int) -> DictConfig:
    trainer = {"devices": devices, "num_nodes": machines}
    return OmegaConf.create({"trainer": trainer, "hydra": {"job": {"config_name": "train"}, "launcher": launcher}})


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (queue(8, 1, tasks_per_node=8, nodes=1, gpus_per_node=8), None),
        (queue(8, 1, tasks_per_node=1, nodes=1), None),
        (queue(8, 4, tasks_per_node=8, nodes=4), None),
        (queue(8, 4, tasks_per_node=1, nodes=4), "hydra.launcher.tasks_per_node"),
        (queue(8, 4, tasks_per_node=1, nodes=1), "hydra.launcher.tasks_per_node"),
        (queue(1, 1, tasks_per_node=8, nodes=1), "hydra.launcher.tasks_per_node"),
        (queue(8, 1, tasks_per_node=8, nodes=1, gpus_per_node=4), "hydra.launcher.gpus_per_node"),
        (queue(8, 1), None),
        (queue(8, 2), "trainer.num_nodes"),
    ],
)
def test_jobs_of_a_queue_have_the_ranks_that_the_trainer_expects(
    config: DictConfig, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, {})
    if key is None:
        check_queue(config)
        return
    with pytest.raises(ConfigError) as error:
        check_queue(config)
    assert error.value.key == key


def test_a_run_on_several_machines_that_is_started_again_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    again = {"TORCHELASTIC_MAX_RESTARTS": "3"}
    for started in (TORCHRUN, TORCHRUN | again | {"TORCHELASTIC_RUN_ID": "mine"}):
        environment(monkeypatch, started)
        check_restarts()
    environment(monkeypatch, TORCHRUN | again | {"WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"})
    check_restarts()
    environment(monkeypatch, TORCHRUN | again)
    with pytest.raises(ConfigError, match="--rdzv-id"):
        check_restarts()


def test_what_torchrun_has_started_becomes_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is resumed elsewhere has its own."""
    register_resolvers()
    trainer = {"devices": "${started_by_torchrun:per_node}", "num_nodes": "${started_by_torchrun:nodes}"}
    environment(monkeypatch, TORCHRUN)
    config = OmegaConf.create({"trainer": dict(trainer)})
    fix_ranks(config)
    assert OmegaConf.to_container(config, resolve=False) == {"trainer": {"devices": 2, "num_nodes": 2}}
    environment(monkeypatch, SRUN)
    with pytest.raises(Exception, match="torchrun has not started") as error:
        fix_ranks(OmegaConf.create({"trainer": dict(trainer)}))
    assert format_error(error.value).startswith(
        "cluster=torchrun: torchrun has not started this command; type torchrun"
    )


def test_what_the_extra_slurm_brings_is_named_where_it_is_missing() -> None:
    assert "pip install hydra-submitit-launcher" in explain_option("hydra/launcher", "submitit_slurm", ["basic"])
    assert "did you mean" in explain_option("hydra/launcher", "submitit_slur", ["basic", "submitit_slurm"])


def test_ranks_meet_on_a_port_of_their_own_or_on_the_one_that_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second run at once, a second step of one job, has another; what was published for it is not read."""

    def met(folder: Path, **variables: str) -> tuple[str, str]:
        environment(monkeypatch, SRUN | {"SLURM_NNODES": "1"} | variables)
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.setenv(name, variables.get(name, ""))
            if name not in variables:
                monkeypatch.delenv(name)
        meet(folder)
        return os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]

    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    ranks = [met(folders[0], SLURM_PROCID=rank) for rank in ("0", "1", "2")]
    assert len(set(ranks)) == 1
    with socket.socket() as server:
        server.bind(("", int(ranks[0][1])))
        server.listen()
        assert met(folders[1], SLURM_STEP_ID="1")[1] != ranks[0][1], "that one is taken"
    assert met(folders[1], MASTER_PORT="4711", MASTER_ADDR="here") == ("here", "4711")
    assert met(folders[1], MASTER_PORT="4711") == ("127.0.0.1", "4711")
    again = {"TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_USE_AGENT_STORE": "True", "RANK": "0"}
    restarted = met(folders[1], **TORCHRUN, **again, MASTER_PORT="4711", MASTER_ADDR="here")
    assert restarted[0] == "here"
    assert restarted[1] != "4711", "where torchrun remembers the ranks that were killed"
    assert os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "False"
