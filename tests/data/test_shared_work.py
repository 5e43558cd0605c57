"""Preparing by several runs: each file is done once, a slow or dead run blocks none, a summary says what is left."""

import csv
import json
import multiprocessing
import os
import platform
import time
from functools import partial

import pytest
from tests.data.test_prepare import rows, write_video

from vivit.data.datasets import VideoFolder
from vivit.data.index import claims as claiming
from vivit.data.index import prepare as preparing
from vivit.data.index import tars
from vivit.data.index.claims import Claims, buckets_of
from vivit.data.index.job_array import share_of_work
from vivit.data.index.prepare import prepare
from vivit.data.index.probe import probe
from vivit.errors import ConfigError

NUMBER = 12


@pytest.fixture
def root(tmp_path):
    for number in range(NUMBER):
        (tmp_path / "train/a").mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / f"train/a/{number}.mp4", range(0, 400, 40))
    return tmp_path


def run(root, **options):
    return prepare(VideoFolder(root=root), splits=["train"], num_workers=1, look_alike=False, **options)


def report(root):
    with (root / "prepared" / "report.csv").open() as text:
        return dict(list(csv.reader(text))[1:])


def noted_probe(log, root, path, **options):
    """Note the file that is examined."""
    time.sleep(0.1)
    with open(log, "a") as file:
        file.write(f"{path}\n")
    return probe(root, path, **options)


def slow_run(root, shard, log):
    preparing.probe = partial(noted_probe, log)
    run(root, shard_index=shard, num_shards=2)


def test_two_runs_at_once_examine_each_file_once_and_one_goes_on_for_the_other(root, tmp_path):
    context = multiprocessing.get_context("fork")
    logs = [tmp_path / f"{shard}.log" for shard in range(2)]
    processes = [context.Process(target=slow_run, args=[root, shard, logs[shard]]) for shard in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    examined = [log.read_text().split() for log in logs]
    assert all(examined), "each had a share"
    assert sorted(examined[0] + examined[1]) == sorted(f"train/a/{number}.mp4" for number in range(NUMBER))
    assert len(rows(root / "prepared")) == NUMBER
    assert report(root) == {}
    assert not (root / "prepared" / "claims").exists()


def test_what_a_run_that_is_slow_or_gone_has_taken(root, monkeypatch):
    folder = root / "prepared" / "claims"
    folder.mkdir(parents=True)
    (bucket, files), *_ = buckets_of([f"train/a/{number}.mp4" for number in range(NUMBER)]).items()
    claim = folder / f"{bucket:04d}.claim"

    def taken_by(machine, process, started, age=0.0):
        folder.mkdir(exist_ok=True)
        claim.write_text(json.dumps({"host": machine, "pid": process, "started": started}))
        os.utime(claim, (time.time() - age,) * 2)

    taken_by("elsewhere", 7, "1")
    counts = run(root, shard_index=1, num_shards=2)
    assert counts["pending"] == len(files), "the run does all else, and waits for nobody"
    assert report(root) == dict.fromkeys(files, "not done yet: process 7 on elsewhere works at it")
    taken_by("elsewhere", 7, "1", age=claiming.STALE + 60)
    assert "pending" not in run(root, shard_index=1, num_shards=2), "without a sign of life"
    assert report(root) == {}
    for piece in (root / "prepared" / "index").iterdir():
        piece.unlink()
    for process, started in ((os.getpid(), "before this process"), (2**22 - 1, "5")):
        taken_by(platform.node(), process, started)
        assert "pending" not in run(root), "processes of this machine that have ended"
    assert len(rows(root / "prepared")) == NUMBER


def test_a_claim_is_one_process_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(claiming, "HEARTBEAT", 0.02)
    one, other = Claims(tmp_path / "claims"), Claims(tmp_path / "claims")
    with one.alive():
        assert one.take(3)
        assert not other.take(3)
        assert other.holder(3) == f"process {os.getpid()} on {platform.node()}"
        os.utime(tmp_path / "claims" / "0003.claim", (1, 1))
        time.sleep(0.2)
        assert (tmp_path / "claims" / "0003.claim").stat().st_mtime > 1, "a sign of life"
        one.release([3])
        assert other.take(3)
        other.release([3])
    assert not (tmp_path / "claims").exists()


def test_a_claim_that_was_taken_over_meanwhile_stays_with_who_did(tmp_path, monkeypatch):
    claim, one, other = tmp_path / "0001.claim", Claims(tmp_path), Claims(tmp_path)
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "1"}))
    os.utime(claim, (0, 0))
    remove = other._remove

    def late_remove(file, stale):
        assert one.take(1)
        return remove(file, stale)

    monkeypatch.setattr(other, "_remove", late_remove)
    assert not other.take(1)
    assert other.holder(1) == f"process {os.getpid()} on {platform.node()}"
    assert [*tmp_path.iterdir()] == [claim]
    claim.write_text(taken_over := json.dumps({"host": "elsewhere", "pid": 8, "started": "1"}))
    one.release([1])
    assert claim.read_text() == taken_over, "a run that was slow gives back no claim of another"


def test_share_of_a_job_array():
    array = {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "10"}
    assert share_of_work(None, None, array) == (2, 4)
    assert share_of_work(None, None, array | {"SLURM_ARRAY_TASK_STEP": "2"}) == (1, 4)
    assert share_of_work(None, None, {}) == (0, 1)
    assert share_of_work(1, 3, array) == (1, 3)
    job_of_multirun = array | {"SUBMITIT_EXECUTOR": "slurm"}
    assert share_of_work(None, None, job_of_multirun) == (0, 1), "its array holds the jobs of a multirun"
    assert share_of_work(1, 3, job_of_multirun) == (1, 3)
    with pytest.raises(ConfigError, match="num_shards"):
        share_of_work(1, None, array)


def test_a_file_without_a_copy_is_none_that_is_not_done_yet(root, monkeypatch):
    monkeypatch.setattr(preparing, "transcode_one", failing_copy)
    counts = run(root, copies=16)
    assert (counts["copies"], counts["without_copy"]) == (0, NUMBER)
    assert "pending" not in counts
    assert set(report(root).values()) == {"no copy: too odd"}


def failing_copy(source, folder, path, **options):
    return {"path": path, "bytes": 0, "decoded": False, "problem": "too odd"}


@pytest.mark.parametrize("copies", [None, 16])
def test_two_runs_that_finish_together_pack_a_tar_file_once(root, monkeypatch, copies):
    pack, others = preparing.pack, []
    options = {"tar_size": 100, "num_shards": 2, "copies": copies}

    def late_pack(*args: object, **keys: object):
        """Let another run pack all between the last look of this one at the index and its claim."""
        if not others:
            others.append(None)
            others.append(run(root, shard_index=1, **options))
        return pack(*args, **keys)

    monkeypatch.setattr(preparing, "pack", late_pack)
    assert run(root, shard_index=0, **options)["in_tar_files"] == others[1]["in_tar_files"] == NUMBER
    assert len([*(root / "prepared").rglob("*.tar")]) == 1
    assert not [*(root / "prepared").rglob("tar_claims")]


def test_copies_that_a_run_left_beside_their_tar_file_are_deleted(root, monkeypatch):
    target = root / "prepared" / "short16"
    monkeypatch.setattr(tars, "_remove_packed", lambda *args: None)
    run(root, copies=16, tar_size=100)
    assert len([*target.rglob("*.mp4")]) == NUMBER
    monkeypatch.undo()
    assert run(root, copies=16, tar_size=100)["in_tar_files"] == NUMBER
    assert not [*target.rglob("*.mp4")]
