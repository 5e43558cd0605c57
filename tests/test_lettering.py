"""Class names in figures and pages: drawn literally, in fonts that have their characters; warnings are errors here."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from vivit import plotting
from vivit.evaluation.confusion_matrix import plot_confusion_matrix, write_confused_pairs
from vivit.inference.page import error_html, prediction_html
from vivit.inference.timeline_plot import plot_sliding
from vivit.plotting import drawable_text, font_families, text_width
from vivit.reporting.drawing import draw_line
from vivit.reporting.figure_files import render
from vivit.reporting.page import Section, render_page
from vivit.reporting.tables import Column, Table
from vivit.reporting.writers import to_latex, to_markdown
from vivit.text import beside_numbers, one_line

ODD = [
    *("win $$ now", "$5 vs $x^2_{", "\\frac{", "<b>&", "[red]x[/red]", "%s", "{0}", "*", "-v", "_x", "لعب كرة"),
    *("a\nb\tc", "\x1b[31m", "", " "),
]
SHOWN = [*ODD[:-4], r"a\nb\tc", r"\x1b[31m", "", " "]
CHINESE, GONE = "打篮球", "\N{SAUROPOD}"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty the caches of fonts and the list of characters that were warned of."""
    for cached in (plotting.find_font, plotting._fonts, plotting._codes):
        cached.cache_clear()
    monkeypatch.setattr(plotting, "WARNED", [])


@pytest.fixture
def no_more_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "_fonts", lambda: ())


def drawn_texts(figure: Figure) -> dict[str, Text]:
    """Draw a figure outside of any context, as W&B does, and return its texts."""
    figure.savefig(io.BytesIO(), dpi=60)
    return {text.get_text(): text for text in figure.findobj(Text)}


def test_confusion_matrix_shows_every_name_literally() -> None:
    for odd, drawn in ((ODD[:10], SHOWN[:10]), (ODD[10:], SHOWN[10:])):
        figure = plot_confusion_matrix(np.eye(len(odd), dtype=int), odd)
        texts = drawn_texts(figure)
        axes = figure.axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == drawn
        assert not any(text.get_parse_math() for name, text in texts.items() if "$" in name)


def test_timeline_names_every_line_literally(tmp_path: Path, monkeypatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: figures.append(figure))
    for first in range(0, len(ODD), 5):
        names = ODD[first : first + 5]
        heads = {"x $y$ _": names, "other": ["a"]}
        plot_sliding(torch.randn(3, 6), heads, [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)], tmp_path / "a.png")
    monkeypatch.undo()
    for number, figure in enumerate(figures):
        drawn_texts(figure)
        texts = figure.axes[0].get_legend().get_texts()
        assert sorted(text.get_text() for text in texts) == sorted(SHOWN[5 * number : 5 * number + 5])
        assert not any(text.get_parse_math() for text in texts)
        assert figure.axes[0].get_title(loc="left") == "x $y$ _, probability, %"
        assert figure.axes[1].get_title(loc="left") == "other, probability, %"


def test_report_figures_show_names_literally() -> None:
    def chart() -> Figure:
        figure = Figure()
        axes = figure.subplots()
        for at, name in enumerate(ODD[:4]):
            draw_line(axes, at, name, [(1, 2, 0), (2, 3 + at, 0)])
        plotting.add_legend(axes, frameon=False)
        return figure

    for form in ("svg", "png"):
        assert len(render(chart, "#000000", form)) > 1000


@pytest.mark.parametrize("draws", ["matrix", "timeline"])
def test_character_without_a_font_is_drawn_as_its_code_with_one_warning(draws, no_more_fonts, tmp_path, caplog) -> None:
    names = [f"eat {GONE}", CHINESE, "a\N{VARIATION SELECTOR-17}b", "c"]
    if draws == "matrix":
        figure = plot_confusion_matrix(np.eye(4, dtype=int), names)
        shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert shown == ["eat U+1F995", "U+6253U+7BEEU+7403", "ab", "c"]
        drawn_texts(figure)
    else:
        plot_sliding(torch.randn(2, 4), {"label": names}, [(0.0, 1.0), (1.0, 2.0)], tmp_path / "a.png")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1 and "U+" in warnings[0].getMessage()
    assert "fonts-noto-cjk" in warnings[0].getMessage(), "what to install"


def test_installed_fonts_are_used(caplog) -> None:
    file = next((path for path in font_manager.findSystemFonts() if Path(path).name.startswith("NotoSansCJK-R")), None)
    if file is None:
        pytest.skip("no font with Chinese characters is installed (Debian: fonts-noto-cjk)")
    assert drawable_text(CHINESE) == CHINESE
    assert font_families(["a", CHINESE]) == [plotting.BASE, "Noto Sans CJK SC"]
    figure = plot_confusion_matrix(np.eye(2, dtype=int), [CHINESE, "a"])
    drawn_texts(figure)
    assert figure.axes[0].get_yticklabels()[0].get_text() == CHINESE
    assert not caplog.records


def test_font_installed_after_matplotlib_cached_its_list_is_found(tmp_path: Path, monkeypatch) -> None:
    """A copy of a font under another name stands for one that is new."""
    new = tmp_path / "new.ttf"
    new.write_bytes(Path(font_manager.findfont("DejaVu Sans")).read_bytes())
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(new), str(tmp_path / "gone.ttf")])
    assert any(font.file == str(new) for font in plotting._fonts())
    monkeypatch.setattr(
        font_manager.fontManager, "ttflist", [e for e in font_manager.fontManager.ttflist if e.fname != str(new)]
    )


def test_text_width_counts_wide_characters_as_two() -> None:
    assert (text_width("abc"), text_width(CHINESE), text_width("")) == (3, 6, 0)
    assert plotting.shorten("abcdef", 5) == "abcd…"
    assert plotting.shorten("abcde", 5) == "abcde"
    assert plotting.shorten("in the street 117", 9, 3) == "in th…117"
    if plotting.find_font(CHINESE[0]) is not None:
        assert plotting.shorten(CHINESE, 5) == CHINESE[:2] + "…"


def test_confused_pairs_are_written_most_frequent_first(tmp_path: Path) -> None:
    counts = np.array([[5, 3, 0], [7, 1, 0], [0, 7, 0]])
    write_confused_pairs(tmp_path / "confused.csv", counts, ["a, b", "$x$", "光"])
    assert (tmp_path / "confused.csv").read_text(encoding="utf-8") == (
        'true,predicted,times,share\n$x$,"a, b",7,0.8750\n光,$x$,7,1.0000\n"a, b",$x$,3,0.3750\n'
    )


def test_pages_escape_names(tmp_path: Path) -> None:
    for name in ("attention.mp4", "attention.png", "moments.png", "preview.mp4"):
        (tmp_path / name).write_bytes(b"x")
    rows = [{"class": name, "probability": 0.1} for name in ODD]
    page = prediction_html("<i>$name</i>\n.mp4", {"<u>": rows}, tmp_path)
    assert "&lt;b&gt;&amp;</td>" in page and "win $$ now</td>" in page and r"a\nb\tc</td>" in page
    assert r"<h3>&lt;i&gt;$name&lt;/i&gt;\n.mp4</h3>" in page and "&lt;u&gt;</th>" in page
    assert "&lt;b&gt; $x" in error_html("<b> $x")


def test_report_tables_escape_cells() -> None:
    table = Table("t", "T", "", (Column("a", "a"),), tuple({"a": name} for name in ("x\ny", "<b>|*", "`$_{`")))
    lines = to_markdown(table).splitlines()
    assert [line for line in lines if line.startswith("| ")][2:] == [r"| x\ny |", r"| <b>\|\* |", "| `$_{` |"]
    page = render_page("T", (), [Section("S", "", [table])])
    assert "&lt;b&gt;|*" in page and r"x\ny" in page
    assert r"\textbackslash{}ny" in to_latex(table)


def test_one_line_escapes_controls_and_nothing_else() -> None:
    assert one_line("a\tb\r\n\u2028\x00") == r"a\tb\r\n\u2028\x00"
    assert one_line("光 é \N{ZERO WIDTH JOINER} \xa0") == "光 é \N{ZERO WIDTH JOINER} \xa0"
    assert one_line("bytes \udcff").encode() == rb"bytes \udcff"


def test_numbers_stay_behind_names_that_are_read_from_right_to_left(tmp_path: Path) -> None:
    """The ink of a line ends with that of its percent sign, drawn alone at the same place."""
    assert beside_numbers("a 光") == "a 光"
    figure = Figure(figsize=(4, 1), dpi=100)
    with plotting.picture_style(["كرة القدم"]):
        line = figure.text(0.1, 0.5, f"true: {beside_numbers('كرة القدم')}, 1.0 %")
        swapped = figure.text(0.1, 0.2, "true: كرة القدم, 1.0 %")
        name = figure.text(0.1, 0.8, f"true: {beside_numbers('كرة القدم')}")
    figure.savefig(tmp_path / "line.png")
    with Image.open(tmp_path / "line.png") as picture:
        dark = np.asarray(picture.convert("L")) < 128
    rows = {}
    for text in (line, swapped, name):
        box = text.get_window_extent()
        rows[text] = dark[100 - int(box.y1) - 2 : 100 - int(box.y0) + 2].any(0)
    end = int(np.flatnonzero(rows[name]).max()) - 2
    assert (rows[line][:end] == rows[name][:end]).mean() > 0.97, "the name is where it is without a number"
    assert (rows[swapped][:end] == rows[name][:end]).mean() < 0.97
