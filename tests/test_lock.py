"""What is installed: pyproject.toml's ranges, the lock files and conda's environment agree, and hashes decide."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
LOCK, BENCH_LOCK = "requirements.lock", "requirements-bench.lock"
ENTRY = re.compile(
    r"^([\w.-]+)==(\S+)(?: ; ([^\n]+))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)


def read_lock(file: str) -> dict[str, re.Match[str]]:
    """Return the entries of a lock file, by name."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    return {match[1]: match for match in ENTRY.finditer(text)}


def requirements() -> list[tuple[str, str]]:
    """Return every requirement of pyproject.toml with the lock file that has to contain it."""
    extras = PROJECT["optional-dependencies"]
    installed = [*PROJECT["dependencies"], *(text for extra in extras if extra != "bench" for text in extras[extra])]
    return [*((text, LOCK) for text in installed), *((text, BENCH_LOCK) for text in extras["bench"])]


@pytest.mark.parametrize("file", [LOCK, BENCH_LOCK])
def test_a_lock_is_versions_with_hashes_and_nothing_else(file: str) -> None:
    """No address either: where packages come from is a matter of the machine, what they contain is not."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    assert ENTRY.sub("", COMMENT.sub("", text)) == ""
    assert not re.search(r"https?:|file:|//", text)


@pytest.mark.parametrize(("requirement", "file"), requirements())
def test_every_requirement_has_one_version_for_all_machines(requirement: str, file: str) -> None:
    wanted, locked = Requirement(requirement), read_lock(file)
    name = canonicalize_name(wanted.name)
    assert wanted.specifier.contains(locked[name][2])
    assert locked[name][3] is None
    assert {specifier.operator for specifier in wanted.specifier} <= {">=", "<", "!="}, "a range"


@pytest.mark.parametrize("requirement", [text for text, file in requirements() if file == LOCK])
def test_what_is_installed_is_what_is_locked(requirement: str) -> None:
    name = Requirement(requirement).name
    assert version(name) == read_lock(LOCK)[canonicalize_name(name)][2], "make install"


def test_malicious_releases_are_outside_of_the_range() -> None:
    (lightning,) = (Requirement(text) for text in PROJECT["dependencies"] if text.startswith("lightning"))
    assert not [release for release in ("2.6.2", "2.6.3") if lightning.specifier.contains(release)]


def test_pythons_agree() -> None:
    """The lock is made for the oldest; conda's is one of those that the project names."""
    names = [name.rpartition(" :: ")[2] for name in PROJECT["classifiers"] if " :: Python :: 3." in name]
    assert PROJECT["requires-python"] == f">={names[0]}"
    assert f"--python-version {names[0]} " in MAKEFILE
    packages = yaml.safe_load((REPOSITORY / "environment.yaml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = (entry.partition("=")[2] for entry in packages if str(entry).startswith("python"))
    assert python in names
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


def test_conda_installs_from_the_lock_alone() -> None:
    """All other versions are the lock's; pip has no hash of the project, which comes in a command of its own."""
    text = (REPOSITORY / "environment.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["dependencies"][1:] == ["pip", {"pip": [f"--requirement {LOCK}"]}]
    assert "pip install --no-deps --editable ." in text


def make(folder: Path, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the repository's Makefile in a folder; one that runs these tests has variables of its own."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "--file", str(REPOSITORY / "Makefile"), f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True, check=check)


@pytest.mark.parametrize(("extras", "files"), [("dev", [LOCK]), ("bench", [LOCK, BENCH_LOCK])])
def test_make_installs_nothing_without_a_hash_but_the_project(extras: str, files: list[str], tmp_path: Path) -> None:
    for name in (*files, "pyproject.toml", "setup.py"):
        (tmp_path / name).touch()
    lines = make(tmp_path, "--dry-run", "install", f"EXTRAS={extras}").stdout.splitlines()
    build_tools, dependencies, project = (line for line in lines if "pip install" in line)
    assert "--require-hashes" in build_tools
    assert "--require-hashes" in dependencies
    assert re.findall(r"--requirement (\S+)", dependencies) == files
    assert project.endswith("--no-deps --no-build-isolation --editable .")
    steps = [line for line in lines if re.match(r'echo "\d of 4', line)]
    assert [line[6] for line in steps] == list("1234"), "each step is printed before it begins"
    assert lines.index(steps[2]) == lines.index(dependencies) - 1
    assert re.match('echo "Installed. Next: source .venv/bin/activate; python src/train.py', lines[-1])


def write_wheel(folder: Path, name: str) -> str:
    """Write a package of one empty module; return its hash."""
    file, information = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("tampered", [None, "setuptools", "tiny"])
def test_a_file_of_another_hash_is_refused(tampered: str | None, tmp_path: Path) -> None:
    """By the Makefile itself, in an environment that it makes, from a folder instead of an index."""
    hashes = {name: write_wheel(tmp_path, name) for name in ("setuptools", "tiny")}
    if tampered is not None:
        with zipfile.ZipFile(tmp_path / f"{tampered}-1.0-py3-none-any.whl", "a") as archive:
            archive.writestr("stolen.py", "")
    lock = "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n    # via us\n" for name, digest in hashes.items())
    for name, text in {LOCK: lock, "pyproject.toml": "", "setup.py": ""}.items():
        (tmp_path / name).write_text(text)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_NO_CACHE_DIR": "1"}
    done = make(tmp_path, "install", "EXTRAS=dev", check=False, **offline)
    (site,) = (tmp_path / ".venv").glob("lib/*/site-packages")
    assert (site / "tiny.py").is_file() == (tampered is None), done.stderr
    assert ("DO NOT MATCH THE HASHES" in done.stderr) == (tampered is not None)
    assert not (site / "stolen.py").exists()


def test_a_sweep_prints_its_hours_then_runs_side_by_side(tmp_path: Path) -> None:
    text = make(tmp_path, "--dry-run", "--old-file=install", "sweep", "SWEEPS=pooling  tokens", "JOBS=3").stdout
    hours, first, rest = (text.index(part) for part in ("remaining=true jobs=3", "pretrain={}", "sweep={}"))
    assert hours < first < rest
    assert "'sweeps=[pooling,tokens]'" in text
    assert "xargs -P 3" in text
    assert "hydra.sweeper.jobs=3" in text
    alone = make(tmp_path, "--dry-run", "--old-file=install", "sweep", "SWEEPS=pooling", "JOBS=1").stdout
    assert "callbacks.progress=null" not in alone


def test_sweeps_go_on_where_one_has_jobs_that_fail(tmp_path: Path) -> None:
    """With a Python that only writes down what it is started with, and fails for one of them."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/started\ncase "$*" in *sweep=tokens*) exit 1;; esac\n')
    python.chmod(0o755)
    arguments = ("--old-file=install", "sweep", f"BIN={tmp_path}", "SWEEPS=tokens pooling seeds", "JOBS=1")
    done = make(tmp_path, *arguments, check=False)
    started = (tmp_path / "started").read_text()
    assert done.returncode != 0
    assert "jobs that failed" in done.stdout
    order = ("remaining=true", "pretrain=image_vit", "pretrain=vivit", "sweep=tokens", "sweep=pooling", "sweep=seeds")
    places = [started.index(part) for part in order]
    assert places == sorted(places)
    assert make(tmp_path, *arguments[:3], "SWEEPS=pooling seeds", "JOBS=2").returncode == 0


def test_one_version_stands_everywhere() -> None:
    """The changelog's newest release, the package and the citation."""
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    newest, date = re.findall(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE)[0]
    assert PROJECT["version"] == newest == citation["version"]
    assert citation["date-released"] == date
