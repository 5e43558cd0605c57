"""Every command that README and documents print runs: on a few small films, with tiny networks, a few steps.

Commands for GPUs, clusters, cameras and services are composed (``--cfg job``), those of make are planned (``make -n``).
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import REPOSITORY, start
from user_files import UserFiles

import vivit
from vivit.benchmarks.storage_server import serving
from vivit.checkpoints import save_huggingface

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
COMPILED = "bench.variants=[ours,compiled]"
"""Needs a C++ compiler and minutes; its steps are counted in benchmarks/test_step_bench.py."""
SMALL = ("data.num_workers=0", "data.crop=[56,56]", "data.resize=56", "data.frames=4", "size=tiny", "debug=limit")
SMALL += ("callbacks.progress=null", "data.batch_size=2")
FORCED = {"data.crop", "data.frames", "data.batch_size", "size"}
"""Keys of ``SMALL`` that go before what a command has of them."""
LITTLE_GPU = ("sizes=[tiny]", "frames=4", "image_size=32", "batch=2", "most_clips=2", "repeats=1", "compiler=eager")
LITTLE_GPU += ("attention=[]", "parallel=[]")
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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserFiles]:
    files = UserFiles(tmp_path_factory.mktemp("user"))
    files.networks()
    words = ("src/train.py", "data=folder", f"data.root={files.root}/folder", *SMALL)
    run(files, [*words, f"hydra.run.dir={files.root}/run"])
    with serving(files.root / "web") as server:
        files.address = server.address
        yield files


def run(files: UserFiles, words: Sequence[str], folder: Path = REPOSITORY, piped: Path | None = None) -> str:
    """Run a command and return what it printed."""
    command = start(files.root / "output.txt", *words, folder=folder, piped=piped)
    code = command.wait()
    assert code == 0, f"{shlex.join(words)}\n{command.said[-3000:]}"
    return command.said


ROOTS = {
    "csv_folds": "folds", "csv": "csv", "kinetics": "kinetics", "epic": "epic", "moments": "moments", "ssv2": "ssv2",
    "tar": "tars", "clips_json": "mylab",
}  # fmt: skip
"""Folder of the files of a data set, by how its option begins; of others it is ``folder``."""
SOURCES = {"weights=dinov2": "dinov2", "weights=image": "vit", "weights=videomae": "videomae", "weights=video": "run"}


def small(files: UserFiles, words: list[str], number: int) -> list[str]:
    """Return a command with stand-ins for what a user has, and with little to do."""
    root, text = files.root, " ".join(words)
    kind = next((folder for name, folder in ROOTS.items() if f"data={name}" in text), "folder")
    kind = "tags" if "separator" in text else "columns" if "class_columns" in text else kind
    stand_ins = {
        "data.root": files.address if "https://" in text else f"{root}/{kind}",
        "data.dataset.index_dir": f"{root}/index_{kind}",
        "ckpt_path": f"{root}/epic.ckpt" if "submission=" in text else f"{root}/run",
        "resume": f"{root}/run",
        "video": str(files.films[0]),
        "size": "tiny",
        "groups": f"{root}/groups.csv",
        "source": f"{root}/checkpoint",
        "frames": "4",
        "height": "32",
        "width": "32",
    }
    source = next((f"{root}/{folder}" for key, folder in SOURCES.items() if key in words), f"{root}/dinov2")
    out = []
    for word in words:
        key, equals, value = word.partition("=")
        if word in ("ckpt_path=auto", "video=-"):
            out.append(word)
        elif key in stand_ins and equals:
            out.append(f"{key}={stand_ins[key]}")
        elif key == "weights.source":
            out.append(f"{key}={source}")
        elif key == "target":
            probed = value == "features" and not {"dense=true", "weights=dinov2"} & {*words}
            out.append(f"{key}={root}/features" if probed else f"{key}={root}/{number}_{Path(value).name}")
        elif key in ("hydra.run.dir", "hydra.sweep.dir"):
            out.append(f"{key}={root}/{number}_{Path(value).name}")
        elif word != "...":
            out.append(word)
    return [*out, *shrink(out, root, source)]


def shrink(words: list[str], root: Path, source: str) -> Iterator[str]:
    """Yield what a command has to be told in addition, so that it has little to do."""
    command = words[0]
    if "vivit.benchmarks.gpu" in words:
        yield from LITTLE_GPU
    if "--help" in words or command == "-m":
        return
    if command == "src/report.py":
        yield f"logs={root}/logs"
    elif not any(word.startswith("resume=") for word in words):
        yield f"paths.logs={root}/logs"
    if (data := next((word for word in words if word.startswith("data=")), "data=folder")) in CLASSES:
        yield f"data.dataset.num_classes={CLASSES[data]}"
    if command == "src/train.py" and not any(word.startswith("resume=") for word in words):
        text = " ".join(words)
        keys = {word.partition("=")[0] for word in words}
        yield from (word for word in SMALL if word.partition("=")[0] not in keys - FORCED)
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
    if "bench=gpu" in words:
        yield from (f"bench.{setting}" for setting in LITTLE_GPU)
    if command == "src/prepare.py" and any("cost." in word for word in words):
        yield "cost.size=tiny"


@pytest.mark.parametrize("command", commands())
def test_a_documented_command_does_what_it_says(command: str, files: UserFiles, request: pytest.FixtureRequest) -> None:
    words = words_of(command)
    if words[0] == "make":
        planned = subprocess.run(
            ["make", "-n", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert planned.returncode == 0, planned.stderr
    elif "python" not in words:
        scripts = [word for word in words if word.startswith(("deploy/", "src/"))]
        assert all((REPOSITORY / script).is_file() for script in scripts)
    elif any(part in command for part in (*COMPOSED, COMPILED)):
        words = [word for word in words[1:] if word not in ("-m", "...")]
        said = run(files, [*(word.replace("=...", "=x") for word in words), "--cfg", "job"])
        assert ": " in said
        assert "error" not in said
    else:
        number = request.node.callspec.indices["command"]
        words = small(files, words[words.index("python") + 1 :], number)
        piped = files.root / "stream.ts" if "video=-" in words else None
        if "plugins=[mylab.video]" in words:
            run(files, [str(REPOSITORY / words[0]), *words[1:]], folder=files.root / "lab")
        else:
            run(files, words, piped=piped)


def test_the_python_of_the_documents_runs(files: UserFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """On networks of two small layers and clips of four frames."""
    monkeypatch.chdir(files.root)
    shutil.copy(files.root / "run" / "checkpoints" / "best.ckpt", "best.ckpt")
    sizes = {"size": "tiny", "num_classes": 3, "frames": 4, "image_size": 32}
    save_huggingface(vivit.create_model("spatiotemporal", **sizes), "vivit-b-16x2-kinetics400")
    for name in ("a.mp4", "b.mp4", "clip.mp4"):
        shutil.copy(files.films[0], name)
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
    run(files, ["src/features.py", f"ckpt_path={files.root}/run", f"target={files.root}/features"])
    exec(compile(block, "docs/features.md", "exec"), there)
    assert there["video"].shape == (6, 64)
