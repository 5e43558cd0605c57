"""Claims of the paper are judged by numbers that a hand can check."""

import csv
import re
from pathlib import Path

import pytest
from made_up import run_folder, scored
from scipy import stats

from vivit.reporting.claims import Judgement, claims_table, judge, judge_claims, summary
from vivit.reporting.load_runs import read_runs
from vivit.reporting.report import make_report
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import Claim, read_sweeps

COLUMNS = ["claim", "sweep", "paper_difference", "difference", "low", "high", "seeds", "verdict"]
TABLES = ("input_encoding", "model_variants", "temporal_depth", "regularisation", "resolution")
FIGURES = ("backbone", "tokens", "frames_views")


def judged(logs: Path) -> list[Judgement]:
    runs = read_runs(logs)
    return judge_claims({name: sweep_results(sweep, runs)[0] for name, sweep in read_sweeps().items()})


def judgement(logs: Path, claim: Claim, sweep: str) -> Judgement:
    return judge(claim, sweep_results(read_sweeps()[sweep], read_runs(logs))[0])


def seeds(logs: Path, sweep: str, row: str, percents: dict[int, float], **found: object) -> None:
    for seed, percent in percents.items():
        job = (f"row={row}", f"seed={seed}")
        run_folder(logs, sweep, f"{row}_{seed}", *job, metrics=scored(percent / 100), **found)


def numbered(*percents: float) -> dict[int, float]:
    return dict(enumerate(percents, 1))


BETTER = Claim("better", "central_frame", "random")
SAME = Claim("same", "central_frame", "random", margin=2.0)


@pytest.mark.parametrize(
    ("claim", "central", "random", "verdict"),
    [
        (BETTER, (71, 72, 73), (60, 61, 62), "holds"),
        (BETTER, (60, 61, 62), (71, 72, 73), "opposite"),
        (BETTER, (70, 72, 74), (70.5, 71, 73.5), "undecided"),
        (BETTER, (50, 70, 90), (48, 68, 89), "holds"),  # far from each other, and each better than that of its seed
        (BETTER, (50, 70, 90), (68, 89, 48), "undecided"),  # the same numbers, of other seeds
        (BETTER, (70, 70, 70), (60, 60, 60), "holds"),  # no variance
        (BETTER, (60, 60, 60), (70, 70, 70), "opposite"),
        (BETTER, (70, 70, 70), (70, 70, 70), "undecided"),
        (BETTER, (71, 72, 73.7), (70, 71, 71), "undecided"),  # mean 1.57, half-width 2.44
        (BETTER, (72, 73, 73.7), (70, 71, 71), "holds"),  # mean 2.23, half-width 1.0
        (BETTER, (72,), (60, 61, 62), "undecided"),
        (BETTER, (), (60, 61, 62), "not run"),
        (SAME, (70, 71, 72), (70.5, 71, 71.5), "holds"),  # 0 +- 1.24
        (SAME, (70, 70, 70), (70, 70, 70), "holds"),
        (SAME, (70, 71, 72), (69, 71, 73), "undecided"),  # 0 +- 2.48
        (SAME, (75, 75.5, 76), (70, 71, 72), "opposite"),  # 4.5 +- 1.24
        (SAME, (65, 65.5, 66), (70, 71, 72), "opposite"),
        (SAME, (73, 73.5, 74), (70, 71, 72), "undecided"),  # 2.5 +- 1.24: above zero, not above the margin
        (SAME, (70,), (70,), "undecided"),
    ],
)
def test_a_difference_is_judged_seed_by_seed(
    claim: Claim, central: tuple[float, ...], random: tuple[float, ...], verdict: str, tmp_path: Path
) -> None:
    seeds(tmp_path, "input_encoding", "central_frame", numbered(*central))
    seeds(tmp_path, "input_encoding", "random", numbered(*random))
    assert judgement(tmp_path, claim, "input_encoding").verdict == verdict


def test_only_seeds_of_both_rows_count(tmp_path: Path) -> None:
    seeds(tmp_path, "input_encoding", "central_frame", {1: 10, 2: 75, 3: 74, 5: 78})
    seeds(tmp_path, "input_encoding", "random", {2: 70, 3: 71, 4: 99, 5: 72})
    (line,) = [of.line() for of in judged(tmp_path) if (of.claim.row, of.claim.other) == ("central_frame", "random")]
    expected = stats.ttest_rel([75, 74, 78], [70, 71, 72]).confidence_interval(0.95)
    assert (line["sweep"], line["seeds"]) == ("input_encoding", 3)
    assert (line["paper_difference"], line["difference"]) == (6.0, pytest.approx(14 / 3))
    assert (line["low"], line["high"]) == pytest.approx((expected.low, expected.high))
    assert line["verdict"] == "holds"


@pytest.mark.parametrize(
    ("percents", "verdict"),
    [
        ((49, 50, 51), "holds"),
        ((46, 50, 54), "undecided"),
        ((89, 90, 91), "opposite"),
        ((12, 13, 14), "opposite"),
        ((50,), "undecided"),
    ],
)
def test_guessing_stays_at_one_half(percents: tuple[float, ...], verdict: str, tmp_path: Path) -> None:
    claim = Claim("guesses", "average_pool", equals=50.0, margin=5.0)
    seeds(tmp_path, "time_order", "average_pool", numbered(*percents))
    answer = judgement(tmp_path, claim, "time_order")
    assert answer.verdict == verdict
    assert answer.difference == pytest.approx(sum(percents) / len(percents) - 50)
    if len(percents) > 1:
        expected = stats.ttest_1samp(percents, 50).confidence_interval(0.95)
        assert answer.interval == pytest.approx((expected.low - 50, expected.high - 50))


def test_a_row_is_compared_with_itself_at_other_views_and_rows_at_the_same(tmp_path: Path) -> None:
    for seed, (one, four) in enumerate([(60, 64), (61, 66), (62, 66.5)], 1):
        for row, plus in (("32_frames", 0), ("128_frames", 30)):
            views = {"1x1": {"test/acc_top1": (one + plus) / 100}, "4x1": {"test/acc_top1": four / 100}}
            seeds(tmp_path, "frames_views", row, {seed: four}, metrics_by_views=views)
    better = judgement(tmp_path, Claim("t", "32_frames", "32_frames", views=4, other_views=1), "frames_views")
    assert (better.verdict, better.seeds, better.difference) == ("holds", 3, pytest.approx(4.5))
    at_one = judgement(tmp_path, Claim("t", "128_frames", "32_frames", views=1, other_views=1), "frames_views")
    assert (at_one.verdict, at_one.difference) == ("holds", 30)
    tested = judgement(tmp_path, Claim("t", "128_frames", "32_frames"), "frames_views")
    assert (tested.verdict, tested.difference) == ("undecided", 0)
    unscored = judgement(tmp_path, Claim("t", "32_frames", "32_frames", views=8, other_views=1), "frames_views")
    assert (unscored.verdict, unscored.seeds, unscored.difference) == ("not run", 0, None)


def test_another_metric_is_judged_where_a_claim_names_it(tmp_path: Path) -> None:
    for row, verb in (("factorised_encoder", 90), ("average_pool", 50)):
        for seed in (1, 2):
            metrics = scored(0.5) | {"test/verb_acc_top1": (verb + seed / 10) / 100}
            run_folder(tmp_path, "time_order", f"{row}{seed}", f"row={row}", f"seed={seed}", metrics=metrics)
    claim = Claim("t", "factorised_encoder", "average_pool", metric="test/verb_acc_top1")
    answer = judgement(tmp_path, claim, "time_order")
    assert (answer.difference, answer.seeds, answer.verdict) == (pytest.approx(40), 2, "holds")


def test_of_two_runs_of_a_seed_the_newest_is_judged(tmp_path: Path) -> None:
    seeds(tmp_path, "input_encoding", "central_frame", numbered(71, 72, 73))
    seeds(tmp_path, "input_encoding", "random", numbered(60, 61, 62))
    again = run_folder(tmp_path, "input_encoding", "z", "row=random", "seed=1", metrics=scored(0.1))
    (again / "status.json").write_text('{"status": "done", "time": "2020", "error": null}')
    assert judgement(tmp_path, BETTER, "input_encoding").difference == pytest.approx(11)


def test_the_report_opens_with_the_claims_and_has_them_as_a_file(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for row, percents in (("random", (60, 61, 62)), ("central_frame", (71, 72, 74)), ("uniform_frames", (80, 84, 85))):
        seeds(logs, "input_encoding", row, numbered(*percents))
    text = make_report(str(logs), None, tmp_path / "report").text
    total = sum(len(sweep.claims) for sweep in read_sweeps().values())
    assert re.findall(r"## .*", text)[0] == "## What the paper claims, and what we find"
    assert f"2 of {total} claims are decided: 1 hold, of 1 the opposite does" in text
    (line,) = [line for line in text.splitlines() if "better than a random one" in line]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == [
        *("Table 1: input encoding", "6.0", "11.3 [9.9, 12.8]", "3", "holds"),
    ]
    assert "| the opposite holds |" in text
    assert "| no runs to compare |" in text
    assert "to be run: python src/train.py sweep=temporal_depth" in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.index("What the paper claims") < page.index("Table 1: input encoding")
    assert "the opposite holds" in page
    with (tmp_path / "report" / "tables" / "claims.csv").open() as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == COLUMNS
    assert len(rows) == total
    assert {row["verdict"] for row in rows} == {"holds", "opposite", "not run"}
    waiting = [row for row in rows if row["sweep"] == "temporal_depth"]
    assert {(row["difference"], row["low"], row["high"], row["seeds"]) for row in waiting} == {("", "", "", "0")}
    assert "nan" not in str(rows).lower()


def test_the_file_has_all_columns_where_nothing_was_run(tmp_path: Path) -> None:
    make_report(str(tmp_path / "logs"), None, tmp_path / "report")
    head, *rows = (tmp_path / "report" / "tables" / "claims.csv").read_text().splitlines()
    assert head == ",".join(COLUMNS)
    assert all(row.endswith(",,,,0,not run") for row in rows if ",tokens," in row and "most tokens" not in row)


def test_a_command_is_noted_as_long_as_runs_of_a_claim_are_missing(tmp_path: Path) -> None:
    (sweep,) = [sweep for sweep in read_sweeps().values() if sweep.name == "pooling"]
    for row in ("cls", "mean"):
        for seed in sweep.seeds_of(sweep.rows[0], "laptop"):
            assert any("sweep=pooling" in note for note in claims_table(judged(tmp_path)).notes)
            seeds(tmp_path, "pooling", row, {seed: 50.0})
    table = claims_table(judged(tmp_path))
    assert not any("sweep=pooling" in note for note in table.notes)
    assert any("sweep=tokens" in note for note in table.notes)
    assert summary(judged(tmp_path)).startswith("1 of ")


def test_the_claims_are_of_every_table_and_figure_with_the_paper_s_differences() -> None:
    sweeps = read_sweeps()
    assert all(len(sweeps[name].claims) >= 2 for name in (*TABLES, *FIGURES))
    for name in ("pooling", "attention_order", "temporal_init", "time_order"):
        assert sweeps[name].claims
    claims = [claim for sweep in sweeps.values() for claim in sweep.claims]
    assert len(claims) >= 16
    assert len({claim.text for claim in claims}) == len(claims)
    for name in TABLES:
        order = [row.name for row in sorted(sweeps[name].rows, key=lambda row: -(row.printed.get("k400") or 0))]
        order = [row.name for row in sweeps[name].rows] if name == "regularisation" else order
        pairs = [(claim.row, claim.other) for claim in sweeps[name].claims if claim.other]
        assert any(abs(order.index(a) - order.index(b)) == 1 for a, b in pairs), "of two rows beside each other"


def test_the_paper_s_differences_are_as_printed(tmp_path: Path) -> None:
    printed = {
        (of.result.sweep.name, of.claim.row, of.claim.other): of.paper_difference
        for of in judged(tmp_path)
        if of.claim.views == of.claim.other_views
    }
    assert printed["input_encoding", "central_frame", "filter_inflation"] == 1.6
    assert printed["model_variants", "factorised_encoder", "average_pool"] == 3.0
    assert printed["temporal_depth", "1_layer", "0_layers"] == 2.8
    assert printed["regularisation", "mixup", "initialised"] == 4.1
    assert printed["resolution", "320_px", "224_px"] == 0.7
    assert printed["tokens", "spatiotemporal_2", "spatiotemporal_8"] is None, "only plotted"
    assert printed["time_order", "average_pool", None] is None
