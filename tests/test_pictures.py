"""The picture of the models is the one that its script draws."""

import runpy
from pathlib import Path
from xml.etree import ElementTree

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WORDS = "{http://www.w3.org/2000/svg}text"


def test_the_picture_of_the_models_is_drawn_by_its_script() -> None:
    drawn = runpy.run_path(str(PICTURES / "draw_models.py"))["picture"]()
    kept = (PICTURES / "models.svg").read_text(encoding="utf-8")
    assert drawn == kept, "python docs/pictures/draw_models.py"
    said = ["".join(text.itertext()) for text in ElementTree.fromstring(kept).iter(WORDS)]
    assert [word for word in said if word in ("class token", "mean of all tokens")] == [
        *["class token"] * 2,
        *["mean of all tokens"] * 2,
    ]


def test_figures_are_drawn_from_the_records() -> None:
    """The same numbers give the same bytes, with the pinned version of matplotlib."""
    script = runpy.run_path(str(PICTURES / "draw_figures.py"))
    drawn = script["figures"]()
    assert sorted(drawn) == sorted(f"{name}.svg" for name in script["SHOWN"])
    for name, content in drawn.items():
        assert content == (PICTURES / name).read_bytes(), f"{name}: python docs/pictures/draw_figures.py"
        assert name in (PICTURES.parents[1] / "README.md").read_text(encoding="utf-8")
