"""A model and a data set of another package, from training to an exported file, by commands as a user types them."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from films import film, noise
from forked import REPOSITORY, Command, start
from networks import image_vit

pytestmark = pytest.mark.slow

PLUGINS = "plugins=[mylab.video]"
CLIP = ("size=tiny", "data.frames=4", "data.stride=2", "data.resize=36", "data.crop=[32,32]")
SMALL = ("data.batch_size=4", "data.num_workers=0", "trainer.max_epochs=2", "optim.warmup_epochs=0", "trainer=cpu")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's own: their package, their videos, and an image ViT to start from."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(
        Path(__file__).parent / "extension" / "mylab", folder / "mylab", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "videos").mkdir()
    lists: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for number in range(16):
        name = f"{number}.mp4"
        film(folder / "videos" / name, noise(24, 36 + 2 * (number % 2)))
        split = "train" if number < 8 else ("val" if number < 12 else "test")
        lists[split].append({"file": name, "label": ("wave", "nod")[number % 2]})
    lists["train"][0] |= {"start": 0.2, "end": 0.8}
    (folder / "videos" / "labels.json").write_text(json.dumps(lists))
    torch.save(image_vit(64, 8, 2), folder / "vit.pt")
    return folder


@pytest.fixture(scope="module")
def command(lab: Path) -> Callable[..., Command]:
    """Start a command in that folder."""

    def command(script: str, run: str, *words: str) -> Command:
        paths = (f"hydra.run.dir={lab / run}", f"paths.logs={lab / 'logs'}")
        return start(lab / f"{run}.txt", str(REPOSITORY / "src" / script), *words, *paths, folder=lab)

    return command


@pytest.fixture(scope="module")
def trained(lab: Path, command: Callable[..., Command]) -> Path:
    """A run that was killed behind its first step, and went on."""
    words = (PLUGINS, "model=time_first", "data=clips_json", f"data.root={lab / 'videos'}", *CLIP, *SMALL)
    image = ("weights=image", f"weights.source={lab / 'vit.pt'}", "callbacks.checkpoint.every_n_train_steps=1")
    process = command("train.py", "run", *words, *image)
    process.wait_for((lab / "run" / "checkpoints" / "last.ckpt").is_file, ended=True)
    if process.process.is_alive():
        process.process.kill()
    process.wait()
    again = start(lab / "again.txt", str(REPOSITORY / "src" / "train.py"), f"resume={lab / 'run'}", folder=lab)
    assert again.wait() == 0, again.said
    return lab / "run"


def test_training_goes_on_after_a_kill(trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    assert results["model"] == "time_first"
    assert results["gmac"] > 0
    assert results["paper_gflops"] > results["gmac"]
    assert results["videos"] == 4
    assert results["config"]["plugins"] == ["mylab.video"]


def test_weights_do_not_depend_on_how_workers_are_started(lab: Path) -> None:
    """A worker that is no fork of the command has neither imported the plugin nor read the data set."""
    weights = []
    for method in ("fork", "forkserver"):
        words = (PLUGINS, "model=time_first", "data=clips_json", f"data.root={lab / 'videos'}", *CLIP, *SMALL)
        words = (*words, "data.num_workers=2", "test=no", f"hydra.run.dir={lab / method}", f"paths.logs={lab / 'logs'}")
        script = str(REPOSITORY / "src" / "train.py")
        process = start(lab / f"{method}.txt", script, *words, folder=lab, workers=method)
        assert process.wait() == 0, process.said
        weights.append(torch.load(lab / method / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_image_weights_start_the_encoder_and_leave_the_rest(lab: Path, trained: Path) -> None:
    log = (trained / "train.log").read_text()
    assert "fresh     time (12 tensors)" in log


def test_checkpoint_is_evaluated_with_views(trained: Path, command: Callable[..., Command], lab: Path) -> None:
    process = command(
        "eval.py", "eval", PLUGINS, f"ckpt_path={trained}/checkpoints/best.ckpt", "views=4x1", "num_workers=0"
    )
    assert process.wait() == 0, process.said
    assert json.loads((lab / "eval" / "results.json").read_text())["views"] == "4x1"


def test_video_is_predicted_and_explained(trained: Path, command: Callable[..., Command], lab: Path) -> None:
    words = (f"ckpt_path={trained}/checkpoints/best.ckpt", f"video={lab}/videos/3.mp4", "explain=true", "num_workers=0")
    process = command("predict.py", "predict", PLUGINS, *words)
    assert process.wait() == 0, process.said
    (prediction,) = json.loads((lab / "predict" / "predictions.json").read_text())["predictions"]
    assert {row["class"] for row in prediction["classes"]["label"]} == {"wave", "nod"}
    assert sum(moment["share"] for moment in prediction["attention"]["moments"]) == pytest.approx(1, abs=1e-3)
    assert (lab / "predict" / "attention.png").stat().st_size > 1000


def test_network_is_exported(trained: Path, command: Callable[..., Command], lab: Path) -> None:
    pytest.importorskip("onnxruntime")
    process = command(
        "export.py", "export", PLUGINS, f"ckpt_path={trained}/checkpoints/best.ckpt", f"target={lab}/net.onnx"
    )
    assert process.wait() == 0, process.said
    assert json.loads((lab / "export" / "results.json").read_text())["check"]["difference"] < 1e-4


def test_checkpoint_without_its_plugin_names_it(trained: Path, command: Callable[..., Command], lab: Path) -> None:
    process = command(
        "predict.py", "without", f"ckpt_path={trained}/checkpoints/best.ckpt", f"video={lab}/videos/3.mp4"
    )
    assert process.wait() == 1
    assert "model=time_first: there is no such model; set plugins=[mylab.video]" in process.said


def test_resume_where_the_plugin_is_not_found_leaves_a_finished_run_as_it_is(trained: Path, lab: Path) -> None:
    process = start(lab / "elsewhere.txt", "src/train.py", f"resume={trained}")
    assert process.wait() == 1
    assert "plugins=mylab.video: there is no such module" in process.said
    assert json.loads((trained / "status.json").read_text())["status"] == "done"
    assert not (trained / "error.txt").exists()


def test_plugin_that_does_not_exist_is_one_line(command: Callable[..., Command]) -> None:
    process = command("train.py", "absent", "plugins=[mylab.audio]")
    assert process.wait() == 1
    assert process.said.startswith("error: plugins=mylab.audio: there is no such module")


@pytest.mark.parametrize("kind", ["ranks", "sweep"])
def test_two_ranks_and_sweeps_import_the_plugin(kind: str, command: Callable[..., Command], lab: Path) -> None:
    words = (PLUGINS, "model=time_first", "data=clips_json", f"data.root={lab / 'videos'}", *CLIP, *SMALL)
    more = ("trainer=ddp_cpu", "trainer.devices=2") if kind == "ranks" else ("model.temporal_depth=1,2",)
    start = () if kind == "ranks" else ("-m",)
    process = command(
        "train.py", kind, *start, *words, "trainer.max_epochs=1", "test=false", *more, f"hydra.sweep.dir={lab / kind}"
    )
    assert process.wait() == 0, process.said
    finished = [json.loads(file.read_text()) for file in (lab / kind).rglob("results.json")]
    assert len(finished) == (1 if kind == "ranks" else 2)
    assert {results["model"] for results in finished} == {"time_first"}


def test_page_of_the_documents_has_the_code_that_runs_here() -> None:
    page = (REPOSITORY / "docs" / "extend.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    code = (Path(__file__).parent / "extension" / "mylab" / "video.py").read_text()
    assert [line for block in blocks for line in block.splitlines() if line] == [
        line for line in code.splitlines()[2:] if line
    ]
    for file in sorted((Path(__file__).parent / "extension" / "mylab" / "configs").rglob("*.yaml")):
        assert f"```yaml\n{file.read_text()}```" in page
