"""The package as others install it: built from its source archive, without network, and run in an empty folder."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = ("configs", "src", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-index", "--no-deps")
SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
QUICK = ("debug=limit", "data.num_workers=0", "logger=none")

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive of a copy of what goes into it."""
    copy = tmp_path_factory.mktemp("copy")
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            copytree(REPOSITORY / name, copy / name, ignore=ignore_patterns("__pycache__", "*.egg-info"))
        else:
            (copy / name).write_bytes((REPOSITORY / name).read_bytes())
    subprocess.run([sys.executable, "-c", SDIST], cwd=copy, check=True, capture_output=True)
    (archive,) = (copy / "dist").glob("*.tar.gz")
    command = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(copy / "wheels"), str(archive)]
    subprocess.run(command, check=True)
    (built,) = (copy / "wheels").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a console command of the installed wheel in a folder, within somebody else's git repository."""
    root = tmp_path_factory.mktemp("installed")
    site = root / "site"
    subprocess.run([*PIP, "install", *OFFLINE, "--target", str(site), str(wheel)], check=True)
    identity = ("-c", "user.name=x", "-c", "user.email=x")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "theirs"], cwd=root, check=True)

    def run(command: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
        line = [str(site / "bin" / command), *arguments]
        return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def test_wheel_contains_the_package_and_nothing_else(wheel: Path) -> None:
    source = REPOSITORY / "src"
    files = [path for suffix in ("*.py", "*.j2") for path in source.glob(f"*/**/{suffix}")]
    expected = {path.relative_to(source).as_posix() for path in files}
    expected |= {f"vivit/{path.relative_to(REPOSITORY).as_posix()}" for path in REPOSITORY.glob("configs/**/*.yaml")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected


def test_wheel_has_the_commands(wheel: Path) -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        lines = archive.read(name).decode().split("\n")
    assert [line for line in lines if line] == [
        "[console_scripts]",
        *(f"{k} = {v}" for k, v in sorted(scripts.items())),
    ]


def test_a_build_leaves_out_what_an_earlier_one_left(tmp_path: Path) -> None:
    """``pip install .`` builds in the clone, where ``build/`` stays."""
    for name in ("configs/size", "src/vivit", "build/lib/vivit/configs/sweep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "setup.py").write_bytes((REPOSITORY / "setup.py").read_bytes())
    (tmp_path / "setup.cfg").write_text("[options]\npackages = vivit\npackage_dir =\n    = src\n")
    left = ("build/lib/old.py", "build/lib/vivit/configs/sweep/old.yaml")
    for name in ("src/vivit/__init__.py", "configs/size/tiny.yaml", *left):
        (tmp_path / name).touch()
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_py"], cwd=tmp_path, check=True)
    built = {path.relative_to(tmp_path / "build/lib").as_posix() for path in tmp_path.glob("build/**/*.*")}
    assert built == {"vivit/__init__.py", "vivit/configs/size/tiny.yaml"}


def test_an_installed_command_composes_what_the_clone_s_script_does(run: Run, tmp_path: Path) -> None:
    installed = run("vivit-train", "--cfg", "job", folder=tmp_path)
    assert installed.returncode == 0, installed.stderr
    clone = [sys.executable, str(REPOSITORY / "src" / "train.py"), "--cfg", "job"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    script = subprocess.run(clone, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert installed.stdout == script.stdout
    assert not list(tmp_path.iterdir())


def test_it_trains_predicts_and_reports_in_an_empty_folder(run: Run, tmp_path: Path, small_motion: Path) -> None:
    done = run("vivit-train", "model=factorised_encoder", f"data.root={small_motion}", *QUICK, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs" / "train" / "runs").iterdir()
    assert json.loads((folder / "results.json").read_text())["commit"] is None, "that of another repository"
    checkpoint, video = folder / "checkpoints" / "best.ckpt", next(small_motion.glob("test/*.mp4"))
    answer = run("vivit-predict", f"ckpt_path={checkpoint}", f"video={video}", "num_workers=0", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    report = run("vivit-report", folder=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "Runs in logs: 1 done" in report.stdout
    (page,) = (tmp_path / "logs" / "report").rglob("report.md")
    assert "vivit-train sweep=" in page.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "data"}, "and the frames that it decoded"


def test_a_queued_sweep_of_several_ranks_starts_them_from_the_package(
    run: Run, tmp_path: Path, small_motion: Path
) -> None:
    """The queue's process has another program's ``sys.argv``; Lightning repeats the job's in the second rank."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is in the extra slurm")
    words = ("sweep=seeds", "seed=1", "trainer=ddp_cpu", "hydra/launcher=submitit_local", "test=false")
    done = run("vivit-train", *words, f"data.root={small_motion}", *QUICK, folder=tmp_path)
    sweep = tmp_path / "logs" / "train" / "multiruns" / "seeds"
    output = "".join(file.read_text() for file in sweep.glob(".submitit/*/*_log.*"))
    assert done.returncode == 0, done.stderr + output
    (status,) = sweep.glob("*/status.json")
    assert json.loads(status.read_text())["status"] == "done"
    assert "MEMBER: 2/2" in output
