"""The report is whole in each of its formats, and says so where there is nothing to report."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from made_up import run_folder, scored

from vivit.reporting.report import make_report
from vivit.reporting.tables import Column, Table
from vivit.reporting.writers import escape_latex, to_latex, to_markdown
from vivit.sweeps import read_sweeps

VOID = {"meta", "source", "img"}


class Page(HTMLParser):
    """Collects what a page links to and holds, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.anchors += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        self.sources += [found[key] or "" for key in ("src", "srcset") if key in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


SHOWN = {
    "frames_views": {"metrics_by_views": {f"{n}x1": {"acc_top1": n / 10} for n in (1, 2, 4)}},
    "precision": {"epochs": [{"epoch": n, "train/loss": 1 / n, "val/loss": 2 / n} for n in (1, 2, 3)]},
}
"""What figures are drawn from, beside the accuracy."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a report of every sweep's first seed, of a broken run and of one with odd letters."""
    logs, folder = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("report")
    for sweep in read_sweeps().values():
        for i, row in enumerate(sweep.rows):
            said = (f"row={row.name}", *sweep.job_overrides(row, "laptop"))
            found = SHOWN.get(sweep.name, {})
            run_folder(logs, sweep.name, f"{sweep.name}{i}", *said, metrics=scored(0.5 + i / 100), **found)
    (run_folder(logs, None, "broken") / "status.json").write_text("{")
    run_folder(logs, None, "odd", "data.root=/my_videos/50%&<b>", metrics=scored(0.25), data="folder")
    make_report(str(logs), None, folder)
    return folder


@pytest.mark.slow
def test_the_page_needs_nothing_beside_itself(report: Path) -> None:
    text = (report / "index.html").read_text()
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.sources) == 10, "five figures, in light and in dark"
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not re.findall(r"url\(|@import|https?://", text)
    assert page.links
    assert {link.removeprefix("#") for link in page.links if link[0] == "#"} == set(page.anchors)
    (run,) = (link for link in page.links if link[0] != "#")
    assert (report / unquote(run)).is_dir(), "the folder of one's own run"
    assert len(page.anchors) == len(set(page.anchors))
    assert "prefers-color-scheme: dark" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    for said in ("0123456789ab", "torch 2.14.1", "python src/train.py sweep=input_encoding", "broken", "unreadable"):
        assert said in text


@pytest.mark.slow
def test_every_table_is_in_every_format(report: Path) -> None:
    text, source = (report / "report.md").read_text(), (report / "report.tex").read_text()
    for sweep in read_sweeps().values():
        assert f"## {sweep.title}\n" in text
        assert escape_latex(sweep.title) in source
        with (report / "tables" / f"{sweep.name}_laptop.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == [row.label_at("laptop") for row in sweep.rows]
        assert [float(row["top1"]) for row in rows] == pytest.approx([50 + i for i in range(len(rows))])
    for name in ("backbone", "tokens", "frames_views", "accuracy_flops"):
        assert (report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (report / "figures" / f"{name}.svg").read_text()


def test_the_latex_has_as_many_cells_as_its_head_says(report: Path) -> None:
    source = (report / "report.tex").read_text()
    assert source.count(r"\begin{table}") == source.count(r"\end{table}") > len(read_sweeps())
    for layout, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", source, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(layout)}
    without = re.sub(r"\\[&%$#_{}]", "", source)
    assert without.count("{") == without.count("}")
    assert not re.findall(r"(?<!\\)[#_](?![\w-]*\})", without.replace("tab:", ""))


def test_figure_9_has_a_column_for_every_number_of_views(report: Path) -> None:
    with (report / "tables" / "frames_views_laptop.csv").open() as file:
        (row, *_) = csv.DictReader(file)
    assert [float(row[f"top1 of {n} views"]) for n in (1, 2, 4)] == pytest.approx([10, 20, 40])


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    text = make_report(str(tmp_path / "logs"), None, tmp_path / "report").text
    assert f"Runs in {tmp_path}/logs: none." in text
    assert "No run with results yet: `python src/train.py`" in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<code>python src/train.py</code>" in page
    assert "not run yet: python src/train.py sweep=model_variants" in page
    assert not (tmp_path / "report" / "figures").exists()


def test_runs_that_all_came_to_nothing_are_named_without_an_empty_grid(tmp_path: Path) -> None:
    run_folder(tmp_path / "logs", None, "a", status="failed", error="no disk")
    text = make_report(str(tmp_path / "logs"), None, tmp_path / "report").text
    assert "train/runs/a: failed, no disk" in text
    assert "|  |\n|  |" not in text
    source = (tmp_path / "report" / "report.tex").read_text()
    assert r"\begin{tabular}{}" not in source
    assert "no disk" in source
    assert "<thead><tr></tr></thead>" not in (tmp_path / "report" / "index.html").read_text()


CLASSES = [
    {"class": f"c{i}", "videos": 10, "right": i, "predicted": 9, "precision": i / 9, "precision_low": 0.1, "f1": i / 10}
    | {"precision_high": 0.9, "recall": None, "recall_low": None, "recall_high": None, "most_confused_with": None}
    | {"times": None}
    for i in range(9)
]


def test_own_runs_come_first_and_rows_say_what_differs(tmp_path: Path) -> None:
    shared = ("data.root=/clips", "trainer.max_epochs=3")
    for number, words in enumerate(((), ("data.fps=8",), ("size=mini", "data.fps=8"))):
        size = "mini" if "size=mini" in words else "tiny"
        folder = run_folder(
            tmp_path / "logs", None, f"run{number}", *shared, *words, metrics=scored(0.5 + number / 10), data="folder",
            size=size, classes={"label": CLASSES},
        )  # fmt: skip
        assert folder.is_dir()
    run_folder(tmp_path / "logs", "pooling", "swept", "row=cls", metrics=scored(0.75))
    report = make_report(str(tmp_path / "logs"), None, tmp_path / "report")
    titles = re.findall(r"^## (.*)$", report.text, re.MULTILINE)
    assert titles[:3] == ["Your own runs", "Classes of the latest run", "What the paper claims, and what we find"]
    own = report.text.partition("## Your own runs")[2].partition("\n## ")[0]
    head, *rows = [line for line in own.splitlines() if line.startswith("| ")]
    assert head.startswith("| latest run | top-1, % | size | also set |")
    assert sorted(row.split(" | ")[0::2][:2] + row.split(" | ")[3:4] for row in rows[1:]) == [
        ["| run0", "tiny", "-"], ["| run1", "tiny", "data.fps=8"], ["| run2", "mini", "data.fps=8"],
    ]  # fmt: skip
    assert "All rows: data folder" in own and "data.root=/clips" in own.partition("| latest run")[0]
    classes = report.text.partition("## Classes of the latest run")[2].partition("\n## ")[0]
    assert "train/runs/run2, label" in classes
    assert "| c4 | 10 | 44.4 [10.0, 90.0] | 40.0 |" in classes
    with (tmp_path / "report" / "tables" / "others.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["data"] for row in rows] == ["folder"] * 3, "which the page has above the table"
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.index("Your own runs") < page.index("What the paper claims")


@pytest.mark.parametrize("runs", [0, 1, 60])
def test_terminal_has_a_summary_of_at_most_40_lines(runs: int, tmp_path: Path) -> None:
    for number in range(runs):
        state = {"status": "failed", "error": "no disk " * 40} if number % 2 else {"metrics": scored(number / 100)}
        run_folder(
            tmp_path / "logs", None, f"r{number}", f"data.root=/{number}", "a=" + 99 * "b", data="folder", **state
        )
        if not number % 2:
            for fold in (0, 1):
                words = (f"optim.optimizer.lr={number}", f"data.dataset.fold={fold}", "data.root=/folds")
                run_folder(tmp_path / "logs", None, f"f{number}_{fold}", *words, metrics=scored(0.5), data="csv_folds")
    for sweep in read_sweeps().values() if runs == 60 else ():
        for i, row in enumerate(sweep.rows):
            words = (f"row={row.name}", *sweep.job_overrides(row, "laptop"))
            values = SHOWN.get(sweep.name, {})
            run_folder(tmp_path / "logs", sweep.name, f"{sweep.name}{i}", *words, metrics=scored(0.5), **values)
    summary = make_report(str(tmp_path / "logs"), None, tmp_path / "report").summary
    lines = summary.splitlines()
    assert len(lines) <= 38, "two more tell where the report is"
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith(f"Runs in {tmp_path}"[:60])
    assert ("Your own runs" in summary) == bool(runs)
    if runs == 1:
        assert "  0.0 % top-1 in r0: data=folder model=factorised_encoder" in summary
    if runs == 60:
        assert lines[lines.index("") + 2] == "  58.0 % top-1 in r58: data.root=/58", "the best first, by what differs"
        assert "and 24 more" in summary and "failed, no disk" in summary and "Cross-validations" in summary


def test_many_classes_are_those_with_the_lowest_f1(tmp_path: Path) -> None:
    rows = [CLASSES[0] | {"class": f"n{i}", "f1": None if i == 7 else (i + 1) / 101} for i in range(100)]
    run_folder(tmp_path / "logs", None, "many", metrics=scored(0.5), classes={"verb": rows})
    text = make_report(str(tmp_path / "logs"), None, tmp_path / "report").text
    table = text.partition("## Classes of the latest run")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| (n\d+) ", table, re.MULTILINE)
    assert len(shown) == 40 and shown[0] == "n7" and "n99" not in shown
    assert "The 40 of 100 classes with the lowest F1; classes_verb.csv has all" in table


def test_cells_are_written_so_that_no_format_breaks() -> None:
    columns = (Column("a", "what_%"), Column("x", "mean", 2, stdev="s"))
    table = Table("t", "A & B", "", columns, ({"a": "p|q_1", "x": 1234.5, "s": 0.25}, {"a": None, "x": None}))
    assert r"| p\|q_1 | 1,234.50 ± 0.25 |" in to_markdown(table)
    assert "| - | - |" in to_markdown(table)
    assert r"what\_\% & mean \\" in to_latex(table)
    assert r"p|q\_1 & 1,234.50 $\pm$ 0.25 \\" in to_latex(table)


def test_the_page_leaves_room_between_columns_and_keeps_cells_in_a_line_on_a_phone(tmp_path: Path) -> None:
    make_report(str(tmp_path / "logs"), None, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    style = page[: page.index("</style>")]
    assert re.search(r"nav ol \{[^}]*column-gap: 2\.4rem", style), "numbers of a list hang into the gap"
    assert re.search(r"@media \(max-width: 60rem\) \{\s*\.wide table \{ width: max-content", style)
