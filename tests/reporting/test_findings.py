"""Findings of the paper are judged by numbers that a hand can check."""

from pathlib import Path

import pytest
from made_up import run_folder, scored

from vivit.reporting.findings import findings_table, summary
from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.reporting.tables import Table
from vivit.sweeps import read_sweeps

CENTRAL, TOKENS, GUESS, ORDER = 0, 1, 5, 6
"""Rows of the table; of the second there are four."""


def judged(logs: Path) -> Table:
    runs = read_runs(logs)
    return findings_table({name: sweep_results(sweep, runs)[0] for name, sweep in read_sweeps().items()})


def seeds(logs: Path, sweep: str, override: str, *percents: float) -> None:
    for seed, percent in enumerate(percents, 1):
        job = f"{override.replace('/', '-')}_{seed}"
        run_folder(logs, sweep, job, *override.split(), f"seed={seed}", metrics=scored(percent / 100))


def encodings(logs: Path, central: tuple[float, ...], random: tuple[float, ...]) -> dict:
    seeds(logs, "input_encoding", "row=central_frame", *central)
    seeds(logs, "input_encoding", "row=random", *random)
    return dict(judged(logs).lines[CENTRAL])


@pytest.mark.parametrize(
    ("central", "random", "verdict"),
    [
        ((71, 72, 73), (60, 61, 62), "holds"),
        ((60, 61, 62), (71, 72, 73), "does not hold"),
        ((70, 72, 74), (70.5, 71, 73.5), "within the spread: cannot tell"),
        ((70, 70, 70), (70, 70, 70), "within the spread: cannot tell"),
        ((70, 70, 70), (60, 60, 60), "holds"),
        ((72.2, 73.2, 74.2), (70, 71, 72), "within the spread: cannot tell"),  # 2.2 / 0.816 is 2.69, and t is 2.776
        ((72.4, 73.4, 74.4), (70, 71, 72), "holds"),  # 2.4 / 0.816 is 2.94
        ((72,), (60, 61, 62), "one seed: cannot tell"),
        ((), (60, 61, 62), "not run yet"),
    ],
)
def test_a_difference_is_held_against_its_standard_error(
    central: tuple[float, ...], random: tuple[float, ...], verdict: str, tmp_path: Path
) -> None:
    assert encodings(tmp_path, central, random)["verdict"] == verdict


def test_a_finding_shows_the_numbers_that_it_is_judged_by(tmp_path: Path) -> None:
    line = encodings(tmp_path, (71, 72, 73), (60, 62, 64))
    assert (line["a"], line["b"]) == ("central frame", "random")
    assert (line["paper_a"], line["paper_b"]) == (79.2, 73.2)
    assert (line["top1_a"], line["spread_a"], line["seeds_a"]) == (pytest.approx(72), pytest.approx(1), 3)
    assert (line["top1_b"], line["spread_b"], line["seeds_b"]) == (pytest.approx(62), pytest.approx(2), 3)
    assert (line["difference"], line["error"]) == (pytest.approx(10), pytest.approx((1 / 3 + 4 / 3) ** 0.5))


@pytest.mark.parametrize(
    ("percents", "verdict"),
    [
        ((47, 50, 55), "holds"),
        ((54, 54, 55), "holds"),  # 4.3 points, of 4.5
        ((54, 55, 56), "does not hold"),
        ((12, 13, 14), "does not hold"),
        ((50,), "one seed: cannot tell"),
    ],
)
def test_guessing_stays_at_one_half(percents: tuple[float, ...], verdict: str, tmp_path: Path) -> None:
    seeds(tmp_path, "time_order", "model=average_pool", *percents)
    lines = judged(tmp_path).lines
    assert (lines[GUESS]["verdict"], lines[ORDER]["verdict"]) == (verdict, "not run yet")


def test_tokens_are_judged_for_each_model_and_one_seed_is_said(tmp_path: Path) -> None:
    for model, of in (("spatiotemporal", (80, 81, 82)), ("factorised_encoder", (80,))):
        for length, plus in ((2, 10), (8, 0)):
            said = f"model={model} tokeniser.tubelet.0={length}"
            seeds(tmp_path, "tokens", said, *(percent + plus for percent in of))
    table = judged(tmp_path)
    verdicts = [line["verdict"] for line in table.lines[TOKENS:GUESS]]
    assert verdicts == ["holds", "one seed: cannot tell", "not run yet", "not run yet"]
    assert table.lines[TOKENS + 1]["difference"] == pytest.approx(10)
    assert table.lines[TOKENS]["paper_a"] is None, "it prints none"
    assert "to be run: python src/train.py sweep=tokens" in table.notes
    assert "to be run: python src/train.py sweep=time_order" in table.notes
    assert summary(table) == "holds: 1, open: 6"


def test_of_two_runs_of_a_seed_the_newest_is_judged(tmp_path: Path) -> None:
    encodings(tmp_path, (71, 72, 73), (60, 61, 62))
    again = run_folder(tmp_path, "input_encoding", "z", "row=random", "seed=1", metrics=scored(0.1))
    (again / "status.json").write_text('{"status": "done", "time": "2020", "error": null}')
    assert judged(tmp_path).lines[CENTRAL]["top1_b"] == pytest.approx(61)
