"""A multirun of train.py is summarised however it ends, and no other command is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vivit.launch import multirun_end
from vivit.launch.multirun_end import begin_job, begin_multirun, summary_at_end


@pytest.fixture
def summaries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Path, list[Path]]]]:
    """Collect what is summarised."""
    made: list[tuple[Path, list[Path]]] = []
    monkeypatch.setattr(
        "vivit.reporting.multirun.summarize_multirun", lambda folder, order: made.append((folder, list(order)))
    )
    yield made
    assert not multirun_end._folders
    assert not multirun_end._jobs


def start(name: str, jobs: Sequence[str] = ()) -> None:
    begin_multirun(OmegaConf.create({"hydra": {"job": {"name": name}, "sweep": {"dir": "/cv"}}}))
    for job in jobs:
        begin_job(OmegaConf.create({"hydra": {"runtime": {"output_dir": job}}}))


@pytest.mark.parametrize("end", [None, SystemExit("error: one job failed"), KeyboardInterrupt(), ValueError("x")])
def test_it_is_summarised_however_it_ends(summaries: list[tuple[Path, list[Path]]], end: BaseException | None) -> None:
    def multirun() -> None:
        with summary_at_end():
            start("train", ["/cv/b", "/cv/a"])
            if end is not None:
                raise end

    if end is None:
        multirun()
    else:
        with pytest.raises(type(end)):
            multirun()
    assert summaries == [(Path("/cv"), [Path("/cv/b"), Path("/cv/a")])]


def test_single_runs_other_commands_and_other_ranks_have_none(
    summaries: list[tuple[Path, list[Path]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with summary_at_end():
        begin_job(OmegaConf.create({"hydra": {"runtime": {"output_dir": "/run"}}}))
    with summary_at_end():
        start("eval", ["/cv/a"])
    monkeypatch.setenv("LOCAL_RANK", "1")
    with summary_at_end():
        start("train", ["/cv/a"])
    assert not summaries


def test_what_began_in_no_such_context_is_not_summarised(summaries: list[tuple[Path, list[Path]]]) -> None:
    start("train", ["/cv/a"])
    with summary_at_end():
        pass
    assert not summaries


def test_a_summary_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(folder: Path, order: Sequence[Path]) -> None:
        raise OSError("no space\nleft")

    monkeypatch.setattr("vivit.reporting.multirun.summarize_multirun", fail)
    with pytest.raises(SystemExit, match="7"), summary_at_end():
        start("train")
        raise SystemExit(7)
    assert capsys.readouterr().out == "no summary of /cv: OSError: no space left\n"
