"""Commands as a user types them, in processes of their own that have the libraries loaded already.

A command's imports cost more than what the tests have it do. A server process pays for them once and forks.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
LIBRARIES = ["hydra._internal.hydra", "lightning.pytorch.loggers", "vivit.launch"]
TASKS = ("train", "evaluate", "predict", "features", "prepare", "convert", "export", "demo")
LIBRARIES += [f"vivit.tasks.{name}" for name in TASKS]
PATIENCE = 300
"""Seconds that a command may take."""


@dataclass
class Command:
    """A command under way, and what it has said so far."""

    process: ForkServerProcess
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait(self) -> int:
        """Wait for the end; give the exit code, below zero for a signal."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"still at work after {PATIENCE} s:\n{self.said[-3000:]}"
        return self.process.exitcode

    def wait_for(self, what: Callable[[], Any], *, ended: bool = False) -> Any:
        """Wait until ``what`` gives something true, and give that; the command may have ``ended`` by then, or not."""
        end = time.monotonic() + PATIENCE
        while not (found := what()):
            assert ended or self.process.is_alive(), f"the command ended before {what}:\n{self.said[-3000:]}"
            assert time.monotonic() < end, f"not within {PATIENCE} s:\n{self.said[-3000:]}"
            time.sleep(0.02)
        return found


def forking() -> ForkServerContext:
    """Give what starts processes that have the libraries loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def start(
    output: Path,
    *words: str,
    environment: Mapping[str, str] | None = None,
    folder: Path = REPOSITORY,
    workers: str | None = None,
    piped: Path | None = None,
) -> Command:
    """Start ``python words...`` in a folder, in a session of its own; all that it says goes into a file.

    ``workers`` is how it starts its workers; None: as this Python does by default. A file that is ``piped`` comes
    through its standard input, as ``cat`` sends it.
    """
    process = forking().Process(target=_run, args=(output, words, dict(environment or {}), folder, workers, piped))
    process.start()
    return Command(process, output)


def _run(
    output: Path,
    words: tuple[str, ...],
    environment: dict[str, str],
    folder: Path,
    workers: str | None,
    piped: Path | None,
) -> None:
    multiprocessing.set_start_method(workers, force=True)
    os.chdir(folder)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # which the server blocks where the tests' own loaders started it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which whoever runs the tests may ignore, as nohup does
    os.environ.update({"OMP_NUM_THREADS": "1"} | environment)
    sys.path.insert(0, str(REPOSITORY / "src"))
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if piped is not None:
        sender = subprocess.Popen(["cat", piped], stdout=subprocess.PIPE)  # it ends with this process
        os.dup2(sender.stdout.fileno(), 0)
        sender.stdout.close()
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    module = words[0] == "-m"
    sys.argv = list(words[module:])
    with contextlib.suppress(BrokenPipeError):
        if module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
