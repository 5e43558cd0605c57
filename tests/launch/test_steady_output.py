"""What a command prints can be lost, and never ends it."""

import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import forking

from vivit.launch.steady_output import steady_output, steady_stream


def stream(number: int, encoding: str = "utf-8", errors: str = "strict", **how: bool) -> io.TextIOWrapper:
    """Open a stream on a descriptor as Python does at its start."""
    raw = io.FileIO(number, "wb", closefd=False)
    buffer = raw if how.get("write_through") else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors=errors, **how)  # type: ignore[type-var]


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


@pytest.mark.parametrize("how", [{}, {"line_buffering": True}, {"write_through": True}], ids=str)
def test_what_can_be_read_arrives_as_it_is(how: dict[str, bool], pipe: tuple[int, int]) -> None:
    there, here = pipe
    ours = steady_stream(stream(here, **how), here)
    assert (ours.line_buffering, ours.write_through) == (how.get("line_buffering", False), "write_through" in how)
    print("5 €", file=ours)
    ours.writelines(["a\n", "b"])
    ours.flush()
    assert os.read(there, 100).decode() == "5 €\na\nb"


def test_a_pipe_that_nobody_reads_takes_all(pipe: tuple[int, int]) -> None:
    there, here = pipe
    raw, ours = stream(here), steady_stream(stream(here), here)
    os.close(there)
    for _ in range(3):
        print("x" * 100_000, file=ours, flush=True)
    print("by a library, past our stream", file=raw, flush=True)
    assert os.fstat(here).st_rdev == Path(os.devnull).stat().st_rdev, "the descriptor leads nowhere from now on"
    ours.close()


def lost_terminal() -> int:
    ours, theirs = os.openpty()
    os.close(ours)
    return theirs


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full, and tells of a lost terminal in its own way")
@pytest.mark.parametrize("outlet", [lost_terminal, full_disk])
def test_no_error_of_the_system_comes_through(outlet: Callable[[], int]) -> None:
    number = outlet()
    with pytest.raises(OSError, match=r"Input/output|No space"):
        os.write(number, b"x")
    ours = steady_stream(stream(number), number)
    for _ in range(3):
        print("x" * 100_000, file=ours, flush=True)
    ours.close()
    os.close(number)


def test_a_full_pipe_is_waited_for(pipe: tuple[int, int]) -> None:
    """Some that start a command read its output without blocking, and then neither does it write."""
    there, here = pipe
    os.set_blocking(here, False)
    ours, read = steady_stream(stream(here), here), bytearray()

    def reads() -> None:
        while len(read) < 500_001:
            read.extend(os.read(there, 1 << 16))

    reader = threading.Thread(target=reads, daemon=True)
    reader.start()
    print("x" * 500_000, file=ours, flush=True)
    reader.join(10)
    assert bytes(read) == b"x" * 500_000 + b"\n"


@pytest.mark.parametrize(
    ("encoding", "errors", "shown"),
    [
        ("ascii", "strict", b"5 ? ??"),
        ("latin-1", "strict", b"5 ? ??"),
        ("utf-8", "strict", "5 € 一?".encode()),
        ("utf-8", "surrogateescape", "5 € 一".encode() + b"\xff"),
        ("ascii", "surrogateescape", b"5 ? ??"),
        ("ascii", "backslashreplace", b"5 \\u20ac \\u4e00\\udcff"),
    ],
)
def test_letters_that_an_output_lacks_are_replaced(
    encoding: str, errors: str, shown: bytes, pipe: tuple[int, int]
) -> None:
    """Also half of a file's name that is no text; who has asked for another replacement gets that."""
    there, here = pipe
    ours = steady_stream(stream(here, encoding, errors), here)
    print("5 € 一\udcff", end="", file=ours, flush=True)
    assert os.read(there, 100) == shown


def test_what_stands_in_the_place_of_the_terminal_is_left_alone() -> None:
    text = io.StringIO()
    assert steady_stream(text, 1) is text


def closed(folder: Path, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        os.close(number)
    sys.stdout = None if 1 in numbers else sys.stdout
    sys.stderr = None if 2 in numbers else sys.stderr
    steady_output()
    print("nobody")
    print("nobody", file=sys.stderr, flush=True)
    with (folder / "file").open("w") as file:
        assert file.fileno() > 2
        os.write(1, b"a library")
    (folder / "done").touch()


@pytest.mark.parametrize("numbers", [(1,), (1, 2), (0, 1, 2)], ids=str)
def test_a_file_never_takes_the_place_of_a_closed_output(numbers: tuple[int, ...], tmp_path: Path) -> None:
    process = forking().Process(target=closed, args=(tmp_path, numbers))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "done").exists()
    assert (tmp_path / "file").read_text() == ""
