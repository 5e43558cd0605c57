"""Files that are complete or absent: of several writers, after a kill, of long names."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from vivit.io import atomic_write


def hidden(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.partial"))


def write(target: Path, text: str, begun, go_on) -> None:
    with atomic_write(target) as partial:
        partial.write_text(text * 1000)
        begun.set()
        go_on.wait()
        with partial.open("a") as file:
            file.write(text)


def test_two_writers_of_one_file_do_not_mix_and_the_last_to_end_counts(tmp_path):
    target = tmp_path / "result.json"
    with atomic_write(target) as one:
        one.write_text("one")
        with atomic_write(target) as other, other.open("w") as file:
            file.write("oth")
            one.write_text("one, longer")
            file.write("er")
        assert target.read_text() == "other"
        assert one.read_text() == "one, longer"
    assert target.read_text() == "one, longer"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_killed_writer_leaves_a_hidden_file_that_the_next_writes_over_and_no_live_one_loses_its_own(tmp_path):
    target, context = tmp_path / "last.ckpt", multiprocessing.get_context("fork")
    begun, go_on = context.Event(), context.Event()
    process = context.Process(target=write, args=(target, "a", begun, go_on))
    process.start()
    assert begun.wait(10)
    with atomic_write(target) as partial:  # while the other is at it
        partial.write_text("b")
        assert len(hidden(tmp_path)) == 2
    assert target.read_text() == "b"
    (left,) = hidden(tmp_path)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert left.stat().st_size == 1000
    assert target.read_text() == "b", "half a file took no name"
    with atomic_write(target) as partial:
        assert partial == left
        assert partial.read_text() == ""
    assert target.read_text() == "b", "nothing was written"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["a" * 250, "é" * 125])
def test_long_names_empty_files_and_failures(name, tmp_path):
    target = tmp_path / name
    with atomic_write(target) as partial:
        partial.write_text("")
    assert target.read_text() == ""
    with pytest.raises(ZeroDivisionError), atomic_write(target) as partial:
        partial.write_text("half")
        _ = 1 / 0
    assert target.read_text() == ""
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_disk_without_locks_gives_every_writer_a_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    with atomic_write(tmp_path / "a") as one, atomic_write(tmp_path / "a") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert (tmp_path / "a").read_text() == "1"
    assert hidden(tmp_path) == []
