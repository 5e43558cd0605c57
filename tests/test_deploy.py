"""What deploy/ starts runs with: each file is well formed, and its command composes to what it starts ranks for."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig

from vivit.launch.launcher_checks import check_launcher, check_queue, fix_ranks

Compose = Callable[..., DictConfig]
REPOSITORY = Path(__file__).parents[1]
DEPLOY = REPOSITORY / "deploy"


def torchrun(monkeypatch: pytest.MonkeyPatch, nodes: int, per_node: int) -> None:
    """Set what torchrun sets in the first rank."""
    said = {"RUN_ID": "mine", "RESTART_COUNT": 0, "MAX_RESTARTS": 3}
    variables = {f"TORCHELASTIC_{name}": value for name, value in said.items()}
    variables |= {"WORLD_SIZE": nodes * per_node, "LOCAL_WORLD_SIZE": per_node, "GROUP_WORLD_SIZE": nodes, "RANK": 0}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def overrides(command: str) -> list[str]:
    """Give the overrides of a line of a shell."""
    return [word for word in shlex.split(command) if re.match(r"[\w./]+=", word) and "$" not in word]


def started(config: DictConfig) -> tuple[int, int]:
    """Check that a configuration fits what has started it; give its devices and nodes."""
    check_launcher(config, "train")
    fix_ranks(config)
    return config.trainer.devices, config.trainer.num_nodes


def shells() -> dict[str, str]:
    """Give every script here, those in other files too."""
    job = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))[1]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {
        "torchrun.sh": (DEPLOY / "torchrun.sh").read_text(),
        "slurm.sbatch": (DEPLOY / "slurm.sbatch").read_text(),
        "skypilot.yaml": yaml.safe_load((DEPLOY / "skypilot.yaml").read_text())["run"],
        "kubernetes.yaml": shlex.join([*container["command"], *container["args"]]),
    }


@pytest.mark.parametrize("name", ["torchrun.sh", "slurm.sbatch", "skypilot.yaml", "kubernetes.yaml"])
def test_every_script_is_one(name: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=shells()[name], text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "deploy/torchrun.sh" in shells()[name] or "src/train.py" in shells()[name]
    assert {file.name for file in DEPLOY.iterdir()} == {*shells(), "Dockerfile"}


@pytest.mark.parametrize("name", ["skypilot.yaml", "kubernetes.yaml"])
def test_commands_of_clouds_train_on_the_ranks_that_they_start(
    name: str, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = list(yaml.safe_load_all((DEPLOY / name).read_text()))
    if name == "skypilot.yaml":
        (task,) = documents
        nodes, per_node = task["num_nodes"], int(task["resources"]["accelerators"].partition(":")[2])
        assert {"/logs", "/videos"} <= task["file_mounts"].keys()
    else:
        service, job = (document["metadata"] | document["spec"] for document in documents)
        pod = job["template"]["spec"]
        variables = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
        nodes, per_node = int(variables["NODES"]), pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        assert job["completions"] == job["parallelism"] == nodes
        assert int(variables["GPUS"]) == per_node
        assert variables["ENDPOINT"].partition(":")[0] == f"{job['name']}-0.{service['name']}"
        assert service["selector"] == {"job-name": job["name"]}
        assert pod["subdomain"] == service["name"]
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    torchrun(monkeypatch, nodes, per_node)
    config = composed("cluster=torchrun", *overrides(shells()[name]))
    assert started(config) == (nodes, per_node)[::-1] == (8, 2)
    assert (config.trainer.accelerator, config.data.root, config.data.dataset.name) == ("gpu", "/videos", "folder")


def test_the_script_of_slurm_asks_for_the_ranks_that_the_trainer_expects(composed: Compose) -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", shells()["slurm.sbatch"], re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert asked["signal"].startswith("USR1@")
    (command,) = re.findall(r"^srun (?:.*\\\n)*.*", shells()["slurm.sbatch"], re.MULTILINE)
    for name, value in {"SLURM_NTASKS_PER_NODE": asked["ntasks-per-node"], "SLURM_NNODES": asked["nodes"]}.items():
        command = command.replace(f'"${name}"', value)
    trainer = composed(*overrides(command)).trainer
    assert (trainer.devices, trainer.num_nodes, trainer.accelerator) == (8, 1, "gpu")


def test_the_image_holds_what_the_installation_and_the_commands_need() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.partition(" ")[::2] for line in text.splitlines() if line and not line.startswith("#")]
    instructions = [name for name, _ in lines]
    assert set(instructions) <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "CMD"}
    assert instructions[0] == "FROM"
    copied = [source for name, words in lines if name == "COPY" for source in words.split()[:-1]]
    assert all((REPOSITORY / source).exists() for source in copied)
    needed = {"Makefile", "requirements.lock", "pyproject.toml", "setup.py", "README.md", "configs", "src", "deploy"}
    assert needed <= set(copied)
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([a-z]+) ", " ".join(words for name, words in lines if name == "RUN"))) == {"install"}
    assert "install" in targets
    (command,) = [json.loads(words) for name, words in lines if name == "CMD"]
    assert (REPOSITORY / command[1]).is_file()
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert not {source.split("/")[0] for source in copied} & set(ignored)


@pytest.mark.parametrize(("cluster", "nodes"), [("slurm_1x8", 1), ("slurm_4x8", 4)])
def test_clusters_set_trainer_and_queue_together(cluster: str, nodes: int, composed: Compose) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="make install EXTRAS=slurm")
    for words, devices in (([], 8), (["trainer.devices=4"], 4)):
        config = composed(f"cluster={cluster}", *words, hydra=True)
        queue = config.hydra.launcher
        assert (config.trainer.devices, config.trainer.num_nodes) == (devices, nodes)
        assert (queue.tasks_per_node, queue.gpus_per_node, queue.nodes) == (devices, devices, nodes)
        assert config.hydra.mode.name == "MULTIRUN"
        assert config.hydra.runtime.choices["hydra/launcher"] == "submitit_slurm"
        config.hydra.job.config_name = "train"
        check_queue(config)
