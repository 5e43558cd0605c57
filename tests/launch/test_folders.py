"""Run folders that nobody shares, whose results nobody loses, and that every rank of a run has in common."""

import datetime
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from forked import forking
from hydra.core import utils as hydra_core
from omegaconf import DictConfig, OmegaConf

from vivit.launch import Preflight
from vivit.launch.find_folder import is_started_again
from vivit.launch.folder_lock import LOCK_FILE, lock_folder, release_folder
from vivit.launch.folders import create_new
from vivit.launch.meeting import meet
from vivit.launch.published import clear_published, publish, wait_for_published
from vivit.ranks import is_rank_zero, rank_group
from vivit.run_folder import write_status

Compose = Callable[..., DictConfig]
NEEDED = {
    "predict": ["ckpt_path=a", "video=b"],
    "demo": ["ckpt_path=a"],
    "export": ["ckpt_path=a", "target=b"],
    "features": ["ckpt_path=a", "target=b"],
    "convert": ["source=a", "target=b"],
}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
TWO_MACHINES = TORCHRUN | {"WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"}
SLURM = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
TWO_RANKS = "trainer.devices=2"


class Midnight(datetime.datetime):
    """A clock that stands."""

    second_now = 0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls(2026, 1, 1, second=cls.second_now)


@pytest.fixture
def begun(composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DictConfig]]:
    """Let Hydra begin a command, always in the same second; give its configuration, with the folder found for it."""
    monkeypatch.setattr(hydra_core, "datetime", Midnight)
    owned = []

    def begun(*words: str, name: str = "train", sweep: bool = False) -> DictConfig:
        logs = f"logs={tmp_path}" if name in ("report", "dashboards") else f"paths.logs={tmp_path}"
        single = [word for word in words if "," not in word]
        cfg = composed(logs, f"hydra.job.name={name}", *NEEDED.get(name, []), *single, name=name, hydra=True)
        cfg.hydra.overrides.task = [word for word in words if not word.startswith("hydra")]
        cfg.hydra.mode = "MULTIRUN" if sweep else "RUN"
        (Preflight().on_multirun_start if sweep else Preflight().on_run_start)(cfg)
        owned.extend(Path(cfg.hydra.sweep.dir if sweep else cfg.hydra.run.dir).glob(f"{LOCK_FILE}*"))
        return cfg

    yield begun
    for file in owned:
        release_folder(file.parent, file.name)


def test_folders_of_the_same_moment_are_each_somebody_s_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create_new, [tmp_path / "runs" / "now"] * 24))
    assert sorted(path.name for path in made) == sorted(["now", *(f"now_{n}" for n in range(2, 25))])
    assert all(path.is_dir() for path in made)


@pytest.mark.parametrize(
    "name", ["train", "eval", "predict", "demo", "export", "convert", "prepare", "benchmark", "report", "dashboards"]
)
def test_every_command_has_a_folder_of_its_own(name: str, begun: Compose, tmp_path: Path) -> None:
    found = [Path(begun(name=name).hydra.run.dir) for _ in range(3)]
    assert [path.name for path in found] == [f"2026-01-01_00-00-00{end}" for end in ("", "_2", "_3")]
    assert {path.parent for path in found} == {tmp_path / name / "runs"}


def test_sweeps_have_folders_of_their_own_and_their_jobs_know_them(begun: Compose) -> None:
    found = [begun("seed=1,2", sweep=True) for _ in range(2)]
    assert [Path(cfg.hydra.sweep.dir).name for cfg in found] == ["2026-01-01_00-00-00", "2026-01-01_00-00-00_2"]
    for cfg in found:
        assert cfg.hydra.overrides.hydra[-1] == f"hydra.sweep.dir='{cfg.hydra.sweep.dir}'"


def trained(folder: Path, state: str, *left: str, command: str = "train") -> None:
    """Leave what a command leaves, in a state."""
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save({"resume": None} if command == "train" else {"video": "x"}, folder / ".hydra" / "config.yaml")
    write_status(folder, state)  # type: ignore[arg-type]
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


@pytest.mark.parametrize(
    ("state", "left", "said"),
    [
        ("done", ["results.json", "checkpoints/best.ckpt"], "contains a training run that is done"),
        ("done", ["results.json"], "contains a training run that is done"),
        ("interrupted", ["checkpoints/last.ckpt"], "contains a training run that did not end"),
        ("failed", ["checkpoints/last.ckpt"], "contains a training run that did not end"),
        ("running", ["checkpoints/best.ckpt"], "contains a training run that did not end"),
        ("failed", ["error.txt"], None),
        ("interrupted", [], None),
    ],
)
def test_a_training_run_is_not_written_over(
    state: str, left: list[str], said: str | None, begun: Compose, tmp_path: Path
) -> None:
    """Nor does anything change in its folder, but for what says who works there."""
    folder = tmp_path / "mine"
    trained(folder, state, *left)
    before = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    if said is None:
        assert Path(begun(f"hydra.run.dir={folder}").hydra.run.dir) == folder
    else:
        for words in ([], ["ckpt_path=a.ckpt"], ["seed=2"]):
            with pytest.raises(SystemExit) as refused:
                begun(f"hydra.run.dir={folder}", *words)
            assert f"hydra.run.dir={folder}: {said}" in str(refused.value)
            assert f"resume={folder}" in str(refused.value)
    assert {file: file.read_text() for file in before} == before
    assert begun(f"hydra.run.dir={folder}", "ckpt_path=auto")
    release_folder(folder)


@pytest.mark.parametrize("name", ["eval", "predict", "export", "convert", "prepare", "benchmark", "report"])
def test_no_other_command_writes_into_a_training_run(name: str, begun: Compose, tmp_path: Path) -> None:
    trained(tmp_path / "mine", "done", "results.json")
    with pytest.raises(SystemExit, match=r"hydra\.run\.dir=.*mine: contains outputs of a training run"):
        begun(f"hydra.run.dir={tmp_path / 'mine'}", name=name)


@pytest.mark.parametrize("left", ["predictions.json", "results.json"])
@pytest.mark.parametrize("words", [["name=predict"], ["name=train", "ckpt_path=auto"]], ids=str)
def test_results_of_other_commands_are_not_written_over(
    words: list[str], left: str, begun: Compose, tmp_path: Path
) -> None:
    trained(tmp_path / "mine", "done", left, command="predict")
    name, *others = words
    with pytest.raises(SystemExit, match=r"hydra\.run\.dir=.*: contains outputs of an earlier command"):
        begun(f"hydra.run.dir={tmp_path / 'mine'}", *others, name=name.removeprefix("name="))


def test_a_job_of_a_sweep_goes_on_in_its_folder(begun: Compose, tmp_path: Path) -> None:
    trained(tmp_path / "sweep" / "job", "interrupted", "checkpoints/last.ckpt")
    begun(f"hydra.run.dir={tmp_path / 'sweep' / 'job'}", f"hydra.sweep.dir={tmp_path / 'sweep'}")


def test_a_sweep_is_refused_where_the_same_one_is_at_work(begun: Compose, tmp_path: Path) -> None:
    """One that differs is not: each job has its own owner."""
    busy = f"{LOCK_FILE}-"
    begun("seed=1,2", f"hydra.sweep.dir={tmp_path}", sweep=True)
    begun("seed=2,3", f"hydra.sweep.dir={tmp_path}", sweep=True)
    begun("seed=1,2", "data.num_workers=3", f"hydra.sweep.dir={tmp_path}", sweep=True)
    assert len(list(tmp_path.glob(f"{busy}*"))) == 2, "how fast it reads is no difference"


def held(folder: Path, ready: Path) -> None:
    lock_folder(folder)
    ready.touch()
    time.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["resume={}"], ["hydra.run.dir={}", "ckpt_path=auto"], ["hydra.run.dir={}"]], ids=str
)
def test_a_folder_at_work_is_refused_by_name(
    words: list[str], composed: Compose, begun: Compose, tmp_path: Path
) -> None:
    """Whatever is asked of it, and before Hydra writes there."""
    folder = tmp_path / "mine"
    trained(folder, "running", "checkpoints/last.ckpt")
    (folder / ".hydra" / "hydra.yaml").touch()
    owner = forking().Process(target=held, args=(folder, tmp_path / "ready"), daemon=True)
    owner.start()
    while not (tmp_path / "ready").exists():
        assert owner.is_alive()
        time.sleep(0.01)
    with pytest.raises(SystemExit, match=rf"{folder}: is in use by process {owner.pid} on "):
        begun(*(word.format(folder) for word in words))
    owner.kill()
    owner.join()
    if "resume" in words[0] or len(words) > 1:
        assert Path(begun(*(word.format(folder) for word in words)).hydra.run.dir) == folder


def test_jobs_run_where_their_paths_are_meant(begun: Compose) -> None:
    for sweep in (False, True):
        with pytest.raises(SystemExit, match=r"hydra\.job\.chdir=true: "):
            begun("hydra.job.chdir=true", sweep=sweep)


def test_a_word_that_is_neither_yes_nor_no_is_refused_before_there_is_a_folder(begun: Compose, tmp_path: Path) -> None:
    for sweep in (False, True):
        with pytest.raises(SystemExit, match="error: test=maybe: is neither true nor false; set test=true"):
            begun("test=maybe", sweep=sweep)
    assert not list(tmp_path.iterdir())
    assert begun("test=No").test is False


def environment(monkeypatch: pytest.MonkeyPatch, **said: str) -> None:
    for name in [*os.environ]:
        if name.startswith(
            ("RANK", "LOCAL_", "GROUP_", "NODE_RANK", "WORLD_SIZE", "TORCHELASTIC", "SLURM", "SUBMITIT")
        ):
            monkeypatch.delenv(name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("started_by", "rank", "folder"),
    [
        (TORCHRUN, "RANK", "2026-01-01_00-00-00"),
        (TORCHRUN | {"TORCHELASTIC_RUN_ID": "4f6c1d6e-0b7e-4f0e-9a3e-0123456789ab"}, "RANK", "2026-01-01_00-00-00"),
        (TORCHRUN | {"TORCHELASTIC_RUN_ID": "my/run"}, "RANK", "my-run"),
        (TWO_MACHINES | {"TORCHELASTIC_RUN_ID": "mine"}, "RANK", "mine"),
        (SLURM, "SLURM_PROCID", "slurm-7"),
        (SLURM | {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"}, "SLURM_PROCID", "slurm-5_2"),
        (SLURM | {"SLURM_JOB_NAME": "train"} | TORCHRUN, "RANK", "2026-01-01_00-00-00"),
        (SLURM | {"SLURM_PROCID": "0"} | TORCHRUN, "RANK", "slurm-7"),
        ({"SUBMITIT_LOCAL_NTASKS": "2"}, "SUBMITIT_LOCAL_GLOBALID", "2026-01-01_00-00-00"),
    ],
)
def test_ranks_that_others_started_have_one_folder(
    started_by: dict[str, str], rank: str, folder: str, begun: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the clock says another second to each; only the first keeps Hydra's record."""
    found = []
    for number in (0, 1):
        monkeypatch.setattr(Midnight, "second_now", number)
        environment(monkeypatch, **started_by, **{rank: str(number)})
        found.append(begun(TWO_RANKS, f"+trainer.num_nodes={2 if 'GROUP_WORLD_SIZE' in started_by else 1}"))
    led, followed = found
    assert Path(led.hydra.run.dir).name == folder
    assert Path(led.hydra.run.dir) == Path(followed.hydra.run.dir)
    assert (led.hydra.output_subdir, followed.hydra.output_subdir) == (".hydra", None)


@pytest.mark.parametrize(
    "shell",
    [
        {"SLURM_JOB_NAME": "bash", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"},
        {"SLURM_JOB_NAME": "interactive", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"},
        {"SLURM_JOB_NAME": "mine"},
        {"SLURM_JOB_NAME": "mine", "SLURM_STEP_ID": "4294967290", "SLURM_PROCID": "0"},
    ],
    ids=["srun --pty bash", "called interactive", "salloc", "salloc on a node of the job"],
)
def test_a_command_in_a_shell_of_slurm_is_no_task_of_its_job(
    shell: dict[str, str], begun: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is named after the time, twice within one job, and it starts as many ranks as it likes."""
    environment(monkeypatch, SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_NNODES="2", **shell)
    assert rank_group() is None
    folders = [Path(begun("trainer.devices=3").hydra.run.dir).name for _ in range(2)]
    assert folders == ["2026-01-01_00-00-00", "2026-01-01_00-00-00_2"]


def as_hydra(cfg: DictConfig, *words: str) -> Path:
    """Leave what Hydra leaves when a command begins, and end; give the folder."""
    folder = Path(cfg.hydra.run.dir)
    (folder / ".hydra").mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(list(words)), folder / ".hydra" / "overrides.yaml")
    release_folder(folder)
    return folder


def test_a_run_of_a_job_goes_on_until_it_is_done_and_other_commands_of_the_job_have_folders_of_their_own(
    begun: Compose, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    environment(monkeypatch, SLURM_JOB_ID="7", SLURM_PROCID="0", SLURM_JOB_NAME="script")
    folders = [as_hydra(begun(f"seed={seed}"), f"seed={seed}") for seed in (1, 2)]
    assert [folder.name for folder in folders] == ["slurm-7", "slurm-7_2"]
    for folder in folders:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
        write_status(folder, "interrupted")
    again = begun("seed=2", "data.num_workers=3", "logger=tensorboard")
    assert Path(again.hydra.run.dir) == folders[1], "workers and loggers are no other run"
    release_folder(folders[1])
    write_status(folders[0], "done")
    with pytest.raises(SystemExit) as ended:
        begun("seed=1")
    assert ended.value.code == 0, "a job in the queue has nothing to complain of"
    assert f"{folders[0]} is done" in capsys.readouterr().out
    release_folder(folders[0])
    assert Path(begun("seed=3").hydra.run.dir).name == "slurm-7_3"
    assert Path(begun(name="eval").hydra.run.dir).name == "2026-01-01_00-00-00", "which does not go on"


def test_torchrun_s_second_start_has_the_folder_of_the_first_unless_that_was_refused(
    begun: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where it is typed: what was refused at first, as another's run, is not taken for its own."""
    restarted = {"TORCHELASTIC_MAX_RESTARTS": "1", "TORCHELASTIC_RESTART_COUNT": "1"}
    trained(tmp_path / "other", "interrupted", "checkpoints/last.ckpt")
    for count in ({"TORCHELASTIC_MAX_RESTARTS": "1"}, restarted):
        environment(monkeypatch, **TORCHRUN, **count)
        with pytest.raises(SystemExit, match="contains a training run that did not end"):
            begun(TWO_RANKS, f"hydra.run.dir={tmp_path / 'other'}")
        release_folder(tmp_path / "other")
    for typed in ([], [f"hydra.run.dir={tmp_path / 'typed' / 'mine'}"]):
        environment(monkeypatch, **TORCHRUN, TORCHELASTIC_MAX_RESTARTS="1")
        monkeypatch.setattr(Midnight, "second_now", 0)
        first = Path(begun(TWO_RANKS, *typed).hydra.run.dir)
        trained(first, "failed", "checkpoints/last.ckpt")
        release_folder(first)
        environment(monkeypatch, **TORCHRUN, **restarted)
        monkeypatch.setattr(Midnight, "second_now", 1)
        assert Path(begun(TWO_RANKS, *typed).hydra.run.dir) == first


def test_the_first_rank_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Timer(0.3, publish, (tmp_path, "start", {"folder": "run"}))
    late.start()
    assert wait_for_published(tmp_path, "start", "run folder")["folder"] == "run"
    late.join()
    monkeypatch.setattr("vivit.launch.published.PATIENCE", 0.2)
    with pytest.raises(SystemExit, match="the first rank has published no run folder in"):
        wait_for_published(tmp_path, "another start", "run folder")


def test_what_an_earlier_start_of_the_same_name_left_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first rank was killed, or refused to start, long ago or just now; this one's comes a moment later.

    The clock of files may be some milliseconds behind that of processes.
    """
    for start, folder, age in (("killed", "old", 3600), ("refused", None, 3600), ("just killed", "old", 0.05)):
        monkeypatch.setattr("vivit.launch.published._renew", lambda file: None)
        publish(tmp_path, start, {"folder": folder})
        monkeypatch.undo()
        (left,) = tmp_path.glob(f".ranks-{start}")
        os.utime(left, (time.time() - age,) * 2)
        late = threading.Timer(0.3, publish, (tmp_path, start, {"folder": "new"}))
        late.start()
        assert wait_for_published(tmp_path, start, "run folder")["folder"] == "new"
        late.join()
        clear_published(tmp_path, start)
    assert not [*tmp_path.glob(".ranks-*")]


def test_ranks_end_where_the_first_has_no_folder(
    begun: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained(tmp_path / "mine", "done", "results.json")
    ends = []
    for number in (0, 1):
        environment(monkeypatch, **TORCHRUN, RANK=str(number))
        with pytest.raises(SystemExit) as refused:
            begun(f"hydra.run.dir={tmp_path / 'mine'}", TWO_RANKS)
        ends.append(refused.value.code)
    assert "contains a training run" in ends[0]
    assert ends[1] == 1, "it leaves the talking to the first"


def test_ranks_started_by_hand_are_told_to_name_their_folder(
    begun: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment(monkeypatch, NODE_RANK="1")
    with pytest.raises(SystemExit, match=r"hydra\.run\.dir: ranks that are started by hand"):
        begun()
    assert Path(begun(f"hydra.run.dir={tmp_path / 'mine'}").hydra.run.dir) == tmp_path / "mine"


def test_starts_of_ranks_are_told_apart_and_those_again_of_torchrun_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = {"TORCHELASTIC_RESTART_COUNT": "1"}
    starts = {}
    for name, said in {
        "torchrun": TORCHRUN,
        "torchrun again": TORCHRUN | again,
        "two machines": TWO_MACHINES,
        "two machines again": TWO_MACHINES | again,
        "srun": SLURM | {"SLURM_PROCID": "1"},
        "another step": SLURM | {"SLURM_PROCID": "1", "SLURM_STEP_ID": "1"},
        "from the queue again": SLURM | {"SLURM_PROCID": "1", "SLURM_RESTART_COUNT": "1"},
        "submitit": {"SUBMITIT_LOCAL_NTASKS": "2", "SUBMITIT_LOCAL_JOB_ID": "3"},
    }.items():
        environment(monkeypatch, **said)
        group = rank_group()
        assert group is not None
        starts[name] = group.start
    for name in ("torchrun", "two machines"):
        assert starts.pop(f"{name} again") == starts[name]
    assert len(set(starts.values())) == len(starts)
    environment(monkeypatch)
    assert rank_group() is None


@pytest.mark.parametrize(
    ("count", "state", "again"), [(0, "failed", True), (1, "failed", True), (2, "failed", False), (0, "done", False)]
)
def test_a_folder_stays_published_while_torchrun_may_start_the_run_again(
    count: int, state: Any, again: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    restarts = {"TORCHELASTIC_MAX_RESTARTS": "2", "TORCHELASTIC_RESTART_COUNT": str(count)}
    environment(monkeypatch, **TORCHRUN | restarts)
    write_status(tmp_path, state)
    assert is_started_again(tmp_path) == again


def test_the_first_rank_is_the_launcher_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines may have other numbers in torchrun than in srun, which has started it on each."""
    environment(monkeypatch, **TWO_MACHINES, RANK="0", SLURM_PROCID="1", SLURM_JOB_ID="7")
    assert is_rank_zero()
    environment(monkeypatch, **TWO_MACHINES, RANK="2", SLURM_PROCID="0", SLURM_JOB_ID="7")
    assert not is_rank_zero()
    environment(monkeypatch, LOCAL_RANK="1")
    assert not is_rank_zero()


def test_torchrun_starts_no_sweep(begun: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, **TORCHRUN)
    with pytest.raises(SystemExit, match="-m: torchrun"):
        begun("seed=1,2", sweep=True)


def test_the_owner_says_who_it_is(begun: Compose) -> None:
    folder = Path(begun().hydra.run.dir)
    assert {"host", "pid", "started", "namespace", "since"} == json.loads((folder / LOCK_FILE).read_text()).keys()


def test_ranks_of_several_machines_meet_after_restarts_that_each_counted_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine that came back begins to count at 0, at another address; the first rank is on one that stayed."""
    machines = TWO_MACHINES | {"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_RUN_ID": "mine"}
    stayed = {"RANK": "0", "TORCHELASTIC_RESTART_COUNT": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    starts = []
    for place in (stayed, {"RANK": "2", "TORCHELASTIC_RESTART_COUNT": "0", "MASTER_ADDR": "b", "MASTER_PORT": "2"}):
        environment(monkeypatch, **machines | place, TORCHELASTIC_USE_AGENT_STORE="True")
        group = rank_group()
        assert group is not None
        starts.append(group.start)
        meet(tmp_path)
        assert os.environ["MASTER_PORT"] not in ("1", "2")
        assert os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "False"
        assert os.environ["MASTER_ADDR"] == "a"
    assert starts[0] == starts[1]
