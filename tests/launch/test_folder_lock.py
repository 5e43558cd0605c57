"""A folder has one owner at a time; one that is dead blocks nobody."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from forked import forking

from vivit.launch.folder_lock import LOCK_FILE, FolderInUseError, lock_folder, release_folder
from vivit.run_folder import this_process


def keep(folder: Path, without_locks: bool) -> None:
    if without_locks:
        fcntl.lockf = no_locks
    lock_folder(folder)
    (folder / "taken").touch()
    time.sleep(60)


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=[False, True], ids=["a disk with locks", "a disk without"])
def other(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Another process that owns the folder."""
    process = forking().Process(target=keep, args=(tmp_path, request.param), daemon=True)
    process.start()
    while not (tmp_path / "taken").exists():
        assert process.is_alive()
        time.sleep(0.01)
    if request.param:
        monkeypatch.setattr(fcntl, "lockf", no_locks)
    yield process
    process.kill()
    process.join()
    release_folder(tmp_path)


@pytest.mark.slow
def test_a_second_owner_is_refused_by_name_until_the_first_is_gone(other: ForkServerProcess, tmp_path: Path) -> None:
    name = rf"{tmp_path}: is in use by process {other.pid} on {re.escape(socket.gethostname())}, since 20.*; let it end"
    with pytest.raises(FolderInUseError, match=name):
        lock_folder(tmp_path)
    os.kill(other.pid, signal.SIGSTOP)
    with pytest.raises(FolderInUseError, match=name):
        lock_folder(tmp_path)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == other.pid
    lock_folder(tmp_path)
    lock_folder(tmp_path)
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_what_was_given_back_is_free(tmp_path: Path) -> None:
    lock_folder(tmp_path)
    release_folder(tmp_path)
    release_folder(tmp_path)
    process = forking().Process(target=lock_folder, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def left(folder: Path, **others: object) -> None:
    me = {
        **this_process(),
        "since": "2026-01-01",
    }
    (folder / LOCK_FILE).write_text(json.dumps(me | others))


@pytest.mark.parametrize(
    ("said", "blocks"),
    [
        ({}, True),
        ({"started": "another boot 17"}, False),
        ({"pid": 2**22 + 1}, False),
        ({"host": "elsewhere", "pid": 2**22 + 1}, True),
    ],
    ids=["this very process", "a number used again", "nobody", "another machine"],
)
def test_without_locks_what_an_owner_wrote_decides(
    said: dict[str, object], blocks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "lockf", no_locks)
    left(tmp_path, **said)
    if blocks:
        with pytest.raises(FolderInUseError, match=rf"if it is gone: delete {tmp_path / LOCK_FILE}"):
            lock_folder(tmp_path)
    else:
        lock_folder(tmp_path)
        release_folder(tmp_path)
        assert (tmp_path / LOCK_FILE).read_text() == ""


@pytest.mark.parametrize("text", ["", "{", "17", '{"host": "elsewhere"}'])
def test_with_locks_no_text_blocks(text: str, tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    lock_folder(tmp_path)
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    release_folder(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text() == ""
