"""The documents' pictures show what the models and the records are."""

import json
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
DOCS = PICTURES.parent
TEXT = "{http://www.w3.org/2000/svg}text"


def test_picture_of_the_models_has_two_with_class_tokens_and_two_with_means() -> None:
    texts = ["".join(text.itertext()) for text in ElementTree.parse(PICTURES / "models.svg").iter(TEXT)]
    pools = [text for text in texts if text in ("class token", "mean of all tokens")]
    assert pools == ["class token", "class token", "mean of all tokens", "mean of all tokens"]
    assert "pictures/models.svg" in (DOCS / "models.md").read_text(encoding="utf-8")


def test_figures_have_the_points_of_the_records() -> None:
    script = runpy.run_path(str(PICTURES / "draw_figures.py"))
    committed = json.loads((PICTURES / "figures.json").read_text(encoding="utf-8"))
    figures = {figure.name: script["points"](figure.draw()) for figure in script["figures"]()}
    assert sorted(figures) == sorted(committed)
    assert set(figures) <= set(script["NAMES"])
    for name, axes in figures.items():
        assert [list(lines) for lines in axes] == [list(lines) for lines in committed[name]]
        for lines, expected in zip(axes, committed[name], strict=True):
            for label, line in lines.items():
                assert line == [pytest.approx(point) for point in expected[label]], f"{name}: {label}"
        svg = ElementTree.parse(PICTURES / f"{name}.svg")
        assert len(list(svg.iter())) > 50
        assert f"pictures/{name}.svg" in (DOCS / "sweeps.md").read_text(encoding="utf-8")
