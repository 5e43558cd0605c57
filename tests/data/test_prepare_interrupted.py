"""A run of prepare.py that is ended goes away with its workers, and the next one goes on from what is whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.films import film

from vivit.data.datasets import VideoFolder
from vivit.data.index import shared_work
from vivit.data.index.index import read_index, transcoded_dir
from vivit.data.index.prepare import prepare
from vivit.errors import ConfigError

pytestmark = pytest.mark.slow


REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """Return a data set of 24 videos, of which a copy takes a while."""
    for number in range(24):
        path = tmp_path / f"train/{'ab'[number % 2]}/{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        film(path, np.random.default_rng(number).integers(0, 256, (30, 96, 128, 3), np.uint8))
    return tmp_path


def run(root, **options):
    return prepare(VideoFolder(root=root), splits=["train"], num_workers=2, **options)


def start(root, *options: str):
    """Start a run in a session of its own, and wait until it has made some copies."""
    command = [sys.executable, "src/prepare.py", "data=folder", f"data.root={root}", "splits=[train]", "copies=96"]
    process = subprocess.Popen(
        [*command, "num_workers=2", f"hydra.run.dir={root}/run", *options], cwd=REPOSITORY, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return process


def copies(root):
    return {path.name: path.stat().st_mtime_ns for path in transcoded_dir(root / "prepared", 96).rglob("*.mp4")}


def group(process):
    """Processes of the session that a run was started in."""
    results = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    return results.stdout.split()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_prepare_workers_end_with_a_signalled_process(root, number):
    process = start(root, "crf=0", "gop=1")
    until = time.monotonic() + 60
    while len(copies(root)) < 5 and time.monotonic() < until:
        time.sleep(0.02)
    made = copies(root)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=20)
    until = time.monotonic() + 10
    while group(process) and time.monotonic() < until:
        time.sleep(0.1)
    assert not group(process)
    assert 5 <= len(made) < 24
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "interrupted" in output
        assert "Traceback" not in output
        rows = read_index(transcoded_dir(root / "prepared", 96))["path"].to_pylist()
        assert rows, "what is finished is written"
    made = copies(root)
    assert run(root, copies=96)["copies"] == 24
    assert {name: copies(root)[name] for name in made} == made


def test_prepare_writes_finished_rows_when_interrupted(root, monkeypatch):
    """Rows below the thousandth file too, whatever ends the run, and claims are given back."""
    monkeypatch.setattr(shared_work.ProgressBar, "update", interrupt_after(7))
    with pytest.raises(KeyboardInterrupt):
        run(root)
    assert len(read_index(root / "prepared")) == 7
    assert not (root / "prepared" / "claims").exists()


def interrupt_after(count):
    calls = []

    def update(self, n=1):
        calls.append(n)
        if len(calls) == count:
            raise KeyboardInterrupt

    return update


def test_prepare_writes_finished_rows_every_minute(root, monkeypatch):
    monkeypatch.setattr(shared_work, "PERIOD", 0.0)
    run(root)
    assert len([*(root / "prepared" / "index").glob("*.arrow")]) == 24


def test_prepare_reuses_complete_copies_without_a_row(root):
    assert run(root, copies=64)["copies"] == 24
    folder = transcoded_dir(root / "prepared", 64)
    for piece in (folder / "index").glob("*.arrow"):
        piece.unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    paths = sorted(before)
    paths[0].write_bytes(paths[0].read_bytes()[:-400])
    film(root / "train/a/0.mp4", np.zeros((12, 96, 128, 3), np.uint8))
    assert run(root, copies=64)["copies"] == 24
    unchanged = [path for path, stamp in before.items() if path.stat().st_mtime_ns == stamp]
    assert set(paths) - set(unchanged) == {paths[0], folder / "train/a/0.mp4.mp4"}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"copies": 0}, "copies"),
        ({"copies": -3}, "copies"),
        ({"copies": 2}, "copies"),
        ({"gop": 0}, "gop"),
        ({"crf": 99}, "crf"),
        ({"num_shards": 0}, "num_shards"),
        ({"num_workers": 0}, "num_workers"),
        ({"num_workers": "abc"}, "num_workers"),
        ({"copies": "abc"}, "copies"),
        ({"copies": 25.5}, "copies"),
        ({"gop": "x"}, "gop"),
        ({"crf": "x"}, "crf"),
        ({"num_shards": None}, "num_shards"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_prepare_impossible_options_are_refused_first(tmp_path, options, key):
    (tmp_path / "train/a").mkdir(parents=True)
    with pytest.raises(ConfigError) as error:
        prepare(VideoFolder(root=tmp_path), splits=["train"], **{"num_workers": 1} | options)
    assert (error.value.key, error.value.value) == (key, options[key])
