"""Workers that are no forks of the main process but of a server, as Python starts them from 3.14 on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEADER = """
import multiprocessing, os, signal, sys, time
from pathlib import Path

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import Motion
from vivit.data.index.prepare import prepare
from vivit.data.loader import EvalLoader, WorkerConfig
from vivit.data.samplers import DistributedEvalBatchSampler
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.worker_processes import worker_pool
from vivit.structures import DecodeFailure

class Modules(ClipDataset):
    def __getitems__(self, keys):
        return [DecodeFailure(key.row, " ".join(sys.modules)) for key in keys]

def loader(kind=ClipDataset):
    data = Motion(root=Path(sys.argv[1]))
    views = MultiViewSampler(frames=4, stride=2, resize=36, crop=(24, 32))
    clips = kind(data.videos("train"), views, data.flip_labels, 0)
    return EvalLoader(clips, DistributedEvalBatchSampler(len(clips), 2), WorkerConfig(2, timeout=600), {})

if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")
"""
LOADER = """
    batches = iter(clips := loader())
    print(len(next(batches).videos), flush=True)
"""
POOL = """
    with worker_pool(2) as pool:
        print(pool.submit(len, "a").result(), flush=True)
"""

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(tmp_path: Path, small_motion: Path) -> Iterator[Start]:
    """Start a script in a session of its own, which ends with the test."""
    processes: list[subprocess.Popen] = []

    def start(code: str, header: str = HEADER) -> subprocess.Popen:
        script = tmp_path / "script.py"
        script.write_text(header + code)
        command = [sys.executable, str(script), str(small_motion), str(tmp_path)]
        processes.append(subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        for member in members(process):
            os.kill(member, signal.SIGKILL)
        process.communicate()


def members(process: subprocess.Popen) -> list[int]:
    """Return the processes of a session, the finished ones left out."""
    ps = ["ps", "-o", "pid=,stat=", "-s", str(process.pid)]
    lines = subprocess.run(ps, capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if not line.split()[1].startswith("Z")]


def output(process: subprocess.Popen) -> list[str]:
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0, text
    return text.splitlines()


def test_loader_workers_import_what_reading_takes(start: Start) -> None:
    (modules,) = output(start("    print(next(loader(Modules).batches()).bad[0].why)"))
    assert {"torch", "av", "vivit.data.loader"} <= set(modules.split())
    assert not {"lightning", "torchmetrics", "hydra", "omegaconf", "matplotlib", "pandas"} & set(modules.split())


def test_server_has_imported_what_workers_need(start: Start) -> None:
    """The script itself, and the work, a built-in function, import nothing."""
    code = """
if __name__ == "__main__":
    import multiprocessing
    from vivit.data.worker_processes import worker_pool

    multiprocessing.set_start_method("forkserver")
    with worker_pool(1) as pool:
        print(*pool.submit(eval, "[*__import__('sys').modules]").result())
"""
    (modules,) = output(start(code, header=""))
    assert {"torch", "av", "vivit.data.loader", "vivit.data.datasets.motion.generation"} <= set(modules.split())


def test_loader_goes_on_after_signals_to_the_group(start: Start) -> None:
    code = """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
        os.killpg(0, number)
    time.sleep(1)
    print(sum(len(batch.videos) for batch in batches))
"""
    assert output(start(LOADER + code)) == ["2", "46"]


def test_lost_worker_is_noticed_long_before_the_time_limit(start: Start) -> None:
    code = """
    os.kill(clips._iterator._workers[0].pid, signal.SIGKILL)
    time.sleep(1)  # a batch that is received at the same moment fails by itself
    began = time.monotonic()
    try:
        list(batches)
    except RuntimeError as error:
        print(time.monotonic() - began, error)
"""
    _, message = output(start(LOADER + code))
    seconds, text = message.split(maxsplit=1)
    assert float(seconds) < 60
    assert text.startswith("DataLoader worker")


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_worker_that_dies_raises_where_its_batch_is_needed_alone_and_delays_no_exit(
    method: str, start: Start
) -> None:
    """Whatever the main process does then, such as writing a checkpoint, it completes."""
    code = """
    os.kill(clips._iterator._workers[0].pid, signal.SIGKILL)
    time.sleep(3)
    print("completed", signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, flush=True)
    clips._iterator._shutdown_workers()  # as Lightning does
    sys.exit(3)
"""
    process = start(LOADER + code, header=HEADER.replace("forkserver", method))
    assert process.wait(timeout=60) == 3
    assert process.stdout is not None
    assert process.stdout.read().split() == ["2", "completed", "True"]


@pytest.mark.parametrize("begin", [LOADER, POOL], ids=["loader", "pool"])
def test_workers_end_with_a_killed_process(start: Start, begin: str) -> None:
    process = start(begin + ("    " if begin is LOADER else "        ") + "time.sleep(200)\n")
    assert process.stdout is not None
    assert process.stdout.readline()
    assert len(members(process)) > 3, "the process, its server, what tracks their semaphores, workers"
    process.kill()
    end = time.monotonic() + 60
    while members(process) and time.monotonic() < end:
        time.sleep(0.1)
    assert not members(process)


def test_workers_end_with_a_script_whose_loader_is_alive(start: Start) -> None:
    """They outlive a SIGTERM, which Python sends them at its end, by half a minute."""
    process = start(LOADER)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.wait(20)


def test_prepare_reads_every_file(start: Start) -> None:
    code = """
    data = Motion(root=Path(sys.argv[1]), index_dir=Path(sys.argv[2]))
    print(prepare(data, splits=["val"], num_workers=2, look_alike=False))
"""
    (counts,) = output(start(code))
    assert eval(counts) == {"files": 16, "missing": 0, "unusable": 0, "irregular": 0, "rotated": 0}
