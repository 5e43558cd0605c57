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
