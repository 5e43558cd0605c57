"""A command imports what it uses: none waits for a library of another."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from films import HEADS, film, network, noise
from omegaconf import DictConfig

from vivit.inference.load import LoadedModel
from vivit.tasks.clip_settings import data_record, to_plain
from vivit.tasks.weight_formats import write_vivit

REPOSITORY = Path(__file__).parents[1]
CODE = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    sys.stderr.write("\\n" + " ".join({module.split(".")[0] for module in sys.modules}))
"""
TRAINING = {"lightning", "torchmetrics", "tensorboard", "wandb"}
HEAVY = {*TRAINING, "torch", "torchvision", "av", "numpy", "pandas", "pyarrow", "scipy", "matplotlib"}

pytestmark = pytest.mark.slow


def imported(*words: str) -> set[str]:
    """Run a command, and return the libraries that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("option", ["--help", "--cfg=job"])
@pytest.mark.parametrize("command", sorted(file.name for file in (REPOSITORY / "src").glob("*.py")))
def test_questions_about_a_command_are_answered_at_once(command: str, option: str) -> None:
    assert not imported(f"src/{command}", *option.split("=")) & HEAVY


@pytest.mark.parametrize("task", ["predict", "prepare", "convert", "export", "demo"])
def test_task_without_training_imports_nothing_of_it(task: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"import vivit.tasks.{task}")
    libraries = imported(str(tmp_path / "script.py"))
    assert "torch" in libraries
    assert not libraries & {*TRAINING, "pandas", "torchvision"}


def test_prediction_imports_nothing_of_training(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    checkpoint, video, folder = tmp_path / "net.ckpt", tmp_path / "clip.mp4", tmp_path / "run"
    cfg = composed("data=motion_verb_noun", "data.frames=4", "data.root=/gone")
    write_vivit(LoadedModel(network(), "", HEADS, **data_record(to_plain(cfg.data))), checkpoint)
    film(video, noise(24, 36))
    libraries = imported("src/predict.py", f"ckpt_path={checkpoint}", f"video={video}", f"hydra.run.dir={folder}")
    assert (folder / "predictions.json").is_file()
    assert not libraries & {*TRAINING, "matplotlib", "pandas", "torchvision"}


def test_report_imports_no_torch(tmp_path: Path) -> None:
    libraries = imported("src/report.py", f"logs={tmp_path}", f"hydra.run.dir={tmp_path / 'report'}")
    assert (tmp_path / "report" / "index.html").is_file()
    assert not libraries & {*TRAINING, "torch", "torchvision", "av"}
