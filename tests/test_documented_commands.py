"""Every command that README and documents print runs: on a few small films, with tiny networks, a few steps.

Commands for GPUs, clusters, cameras and services are composed (``--cfg job``), those of make are planned (``make -n``).
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from films import film
from forked import REPOSITORY, start
from published_folders import epic_kitchens, kinetics, moments, something, write_csv
from transformers import (
    Dinov2Config,
    Dinov2Model,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    ViTConfig,
    ViTModel,
)

import vivit
from vivit.checkpoints import save_huggingface, save_scenic

pytestmark = pytest.mark.slow

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PAGES += sorted((REPOSITORY / "docs" / "datasets").glob("*.md"))
GENERATED = {"tree.md", "configuration.md", "claims.md"}
PROGRAMS = "make|curl|git|conda|pip|ffmpeg|source|torchrun|sbatch|srun|sky|docker"
COMMAND = re.compile(rf"^(?:    )?((?:{PROGRAMS}) .*|python src/.*|(?:[A-Z]+=\S+ )+.*)$", re.MULTILINE)
COMPOSED = (
    "trainer=ddp",
    "trainer=gpu",
    "trainer=fsdp",
    "submitit",
    "webcam:",
    "src/demo.py",
    "src/dashboards.py",
    "cluster=",
)
"""What needs a GPU, a cluster, a camera or a service: such commands are composed."""
ELSEWHERE = {
    "plugins=[mylab.video]": ("test_plugins.py", '"plugins=[mylab.video]"'),
    "--help": ("launch/test_help_text.py", '"--help"'),
    "video=-": ("inference/test_live.py", 'LiveVideo("-")'),
    "https://host": ("data/test_storage.py", "https://host"),
    "data=tar": ("data/test_storage.py", "TarFiles"),
    "submission=epic_kitchens": ("test_eval.py", "submission=epic_kitchens"),
    "source=checkpoint": ("test_convert.py", '"checkpoint"'),
    "source=kinetics_400": ("test_convert.py", "checkpoint_0"),
    "bench.variants=[ours,compiled]": ("benchmarks/test_step_bench.py", '"compiled"'),
    "bench=gpu": ("benchmarks/test_gpu_bench.py", '"bench=gpu"'),
    "vivit.benchmarks.gpu": ("benchmarks/test_gpu_bench.py", '"vivit.benchmarks.gpu"'),
}
"""What other tests run, by a part of the command: the test's file, and what it has of it."""
SMALL = ("data.num_workers=0", "data.crop=[56,56]", "data.resize=56", "data.frames=4", "size=tiny", "debug=limit")
SMALL += ("callbacks.progress=null", "data.batch_size=2")


CLASSES = {"data=kinetics400": 2, "data=moments": 339}
"""Numbers of classes of the data sets in miniature, where they are checked."""


def commands() -> list[str]:
    """Return every command of the pages once, in their order, lines joined."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.name not in GENERATED]
    shell = [re.sub(r"```(?:text|python|json|yaml|bibtex).*?```", "", text, flags=re.DOTALL) for text in texts]
    lines = [line for text in shell for line in COMMAND.findall(text.replace("\\\n", " "))]
    return list({tuple(words_of(line)): " ".join(line.split()) for line in reversed(lines)}.values())[::-1]


def python_blocks(page: str) -> list[str]:
    """Return the blocks of Python of a page, those that are indented as those in fences."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    fenced = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return fenced + [
        re.sub("^    ", "", block, flags=re.MULTILINE)
        for block in re.findall(r"(?:^    (?:from|import) .*\n(?:    .*\n)*)", text, re.MULTILINE)
    ]


def words_of(command: str) -> list[str]:
    """Return the words of a command, as a shell reads them, without its comment."""
    return shlex.split(command, comments=True)


@dataclass
class Bench:
    """Small films and networks that stand for what a user has."""

    root: Path

    def __post_init__(self) -> None:
        self.films = [self._film(number) for number in range(12)]
        for number, path in enumerate(self.films):
            split = ("train", "train", "val", "test")[number % 4]
            _place(path, self.root / "folder" / split / ("wave", "jump")[number // 4 % 2] / path.name)
        self._lists()
        for name, make in {"kinetics": kinetics, "moments": moments, "ssv2": something, "epic": epic_kitchens}.items():
            make(self.root / name, self.films)

    def _film(self, number: int) -> Path:
        frames = np.random.default_rng(number).integers(0, 255, (24, 64, 64, 3), np.uint8)
        (self.root / "films").mkdir(exist_ok=True)
        return Path(film(self.root / "films" / f"{number}.mp4", frames))

    def _lists(self) -> None:
        names = [("wave", "jump")[number // 4 % 2] for number in range(12)]
        splits = [("train", "train", "val", "test")[number % 4] for number in range(12)]
        rows = list(zip(self.films, names, splits, range(12), strict=True))
        write_csv(self.root / "csv" / "videos.csv", [("path", "label", "split"), *(row[:3] for row in rows)])
        folds = [(path, label, number) for path, label, _, number in rows]
        write_csv(self.root / "folds" / "videos.csv", [("path", "label", "group"), *folds])
        tags = [(path, f"{label};walk" if number % 3 else label, split) for path, label, split, number in rows]
        write_csv(self.root / "tags" / "videos.csv", [("path", "label", "split"), *tags])
        columns = [(path, number % 2, label == "wave", 1, split) for path, label, split, number in rows]
        marks = [(path, *(int(mark) for mark in marks), split) for path, *marks, split in columns]
        write_csv(self.root / "columns" / "videos.csv", [("path", "walk", "wave", "jump", "split"), *marks])
        write_csv(self.root / "groups.csv", [("path", "group"), *((path.name, number) for path, *_, number in rows)])
        shutil.copy(self.root / "csv" / "videos.csv", self.root / "list.csv")

    def networks(self) -> None:
        """Write tiny image and video models as Hugging Face does."""
        tiny = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        Dinov2Model(Dinov2Config(**tiny, image_size=56, patch_size=14)).save_pretrained(self.root / "dinov2")
        vit = ViTConfig(**tiny, intermediate_size=256, image_size=56, patch_size=8)
        ViTModel(vit, add_pooling_layer=False).save_pretrained(self.root / "vit")
        video = VideoMAEConfig(**tiny, intermediate_size=256, image_size=56, patch_size=8, num_frames=4, tubelet_size=2)
        VideoMAEForVideoClassification(video).save_pretrained(self.root / "videomae")


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.networks()
    words = ("src/train.py", "data=folder", f"data.root={bench.root}/folder", *SMALL)
    run(bench, [*words, f"hydra.run.dir={bench.root}/run"])
    return bench


def run(bench: Bench, words: Sequence[str]) -> str:
    """Run a command and return what it printed."""
    command = start(bench.root / "output.txt", *words)
    code = command.wait()
    assert code == 0, f"{shlex.join(words)}\n{command.said[-3000:]}"
    return command.said


def small(bench: Bench, words: list[str], number: int) -> list[str]:
    """Return a command with stand-ins for what a user has, and with little to do."""
    root, text = bench.root, " ".join(words)
    kind = next(
        (name for name in ("csv_folds", "csv", "kinetics", "epic", "moments", "ssv2") if f"data={name}" in text),
        "folder",
    )
    kind = {"csv_folds": "folds"}.get(kind, kind)
    kind = "tags" if "separator" in text else "columns" if "class_columns" in text else kind
    run_folder = f"{root}/run"
    stand_ins = {
        "data.root": f"{root}/{kind}",
        "ckpt_path": run_folder,
        "resume": run_folder,
        "video": str(bench.films[0]),
        "size": "tiny",
        "groups": f"{root}/groups.csv",
    }
    sources = {
        "weights=dinov2": "dinov2",
        "weights=image": "vit",
        "weights=videomae": "videomae",
        "weights=video": "run",
    }
    source = next((f"{root}/{folder}" for key, folder in sources.items() if key in words), f"{root}/dinov2")
    out = []
    for word in words:
        key, equals, value = word.partition("=")
        if key == "ckpt_path" and value == "auto":
            out.append(word)
        elif key in stand_ins and equals:
            out.append(f"{key}={stand_ins[key]}")
        elif key == "weights.source":
            out.append(f"{key}={source}")
        elif key == "target":
            probed = value == "features" and not {"dense=true", "weights=dinov2"} & {*words}
            out.append(f"{key}={root}/features" if probed else f"{key}={root}/{number}_{value}")
        elif key in ("hydra.run.dir", "hydra.sweep.dir"):
            out.append(f"{key}={root}/{number}_{Path(value).name}")
        elif word != "...":
            out.append(word)
    return [*out, *shrink(out, root, source)]


def shrink(words: list[str], root: Path, source: str) -> Iterator[str]:
    """Yield what a command has to be told in addition, so that it has little to do."""
    command = words[0]
    if command == "src/report.py":
        yield f"logs={root}/logs"
    elif not any(word.startswith("resume=") for word in words):
        yield f"paths.logs={root}/logs"
    if (data := next((word for word in words if word.startswith("data=")), "data=folder")) in CLASSES:
        yield f"data.dataset.num_classes={CLASSES[data]}"
    if command == "src/train.py" and not any(word.startswith("resume=") for word in words):
        text = " ".join(words)
        keys = {word.partition("=")[0] for word in words}
        yield from (word for word in SMALL if word.partition("=")[0] not in keys - {"data.crop", "data.frames", "size"})
        if "sweep=" in text:
            yield from ("row=average_pool", "seed=2") if "row=" not in text else ()
        if "experiment=finetune" in words and "weights=null" not in words:
            yield f"weights.source={source}"
        if "weights=video" in words:
            yield "model=factorised_encoder"
    if command == "src/features.py" and any(word.startswith("weights=") for word in words):
        yield from ("data.crop=[56,56]", "data.resize=56", "num_workers=0")
    if "bench=step" in words:
        yield from ("bench.size=tiny", "bench.frames=4", "bench.image_size=32", "bench.models=[spatiotemporal]")
    if command == "src/prepare.py" and any("cost." in word for word in words):
        yield "cost.size=tiny"


@pytest.mark.parametrize("command", commands())
def test_a_documented_command_does_what_it_says(command: str, bench: Bench, request: pytest.FixtureRequest) -> None:
    words = words_of(command)
    elsewhere = next((test for part, test in ELSEWHERE.items() if part in command), None)
    if elsewhere is not None:
        file, line = elsewhere
        assert line in (REPOSITORY / "tests" / file).read_text(encoding="utf-8")
    elif words[0] == "make":
        planned = subprocess.run(
            ["make", "-n", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert planned.returncode == 0, planned.stderr
    elif words[0] != "python":
        scripts = [word for word in words if word.startswith(("deploy/", "src/"))]
        assert all((REPOSITORY / script).is_file() for script in scripts)
    elif any(part in command for part in COMPOSED):
        words = [word for word in words[1:] if word not in ("-m", "...")]
        said = run(bench, [*(word.replace("=...", "=x") for word in words), "--cfg", "job"])
        assert ": " in said
        assert "error" not in said
    else:
        number = request.node.callspec.indices["command"]
        run(bench, small(bench, words[1:], number))


def test_the_python_of_the_documents_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On networks of two small layers and clips of four frames."""
    monkeypatch.chdir(bench.root)
    shutil.copy(bench.root / "run" / "checkpoints" / "best.ckpt", "best.ckpt")
    sizes = {"size": "tiny", "num_classes": 3, "frames": 4, "image_size": 32}
    save_huggingface(vivit.create_model("spatiotemporal", **sizes), "vivit-b-16x2-kinetics400")
    save_scenic(vivit.create_model("factorised_encoder", **sizes), "checkpoint")
    for name in ("a.mp4", "b.mp4", "clip.mp4"):
        shutil.copy(bench.films[0], name)
    frames = np.zeros((24, 64, 64, 3), np.uint8)
    there = {"clips": torch.zeros(1, 3, 4, 32, 32), "frames": frames}
    (block,) = python_blocks("python.md")
    for large, little in {'size="base"': 'size="tiny", image_size=32', "frames=32": "frames=4", "224": "32"}.items():
        assert large in block
        block = block.replace(large, little)
    exec(compile(block, "docs/python.md", "exec"), there)
    assert there["logits"].shape == (1, 400)
    assert there["first"].shape == (64, 64, 3)
    assert len(there["tenth"]) == 3
    (block,) = python_blocks("features.md")
    run(bench, ["src/features.py", f"ckpt_path={bench.root}/run", f"target={bench.root}/features"])
    exec(compile(block, "docs/features.md", "exec"), there)
    assert there["video"].shape == (6, 64)
