"""The mistakes of a test: which come first, what the picture and the page have of them, and that a click plays them."""

import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from films import film, noise
from PIL import Image

from vivit.evaluation.mistakes import Mistake, Mistakes, most_confident_mistakes
from vivit.inference.mistake_page import percent, write_mistakes
from vivit.inference.preview import is_playable, write_preview
from vivit.structures import MultiLabel, Video

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ODD = "it's <b>#1%\"& 打架 ü [x].mp4"


def write_scores(file: Path, columns: dict[str, Any], logits: np.ndarray) -> None:
    scores = pa.FixedSizeListArray.from_arrays(logits.astype(np.float32).ravel(), logits.shape[1])
    rows = {"video": range(len(logits)), "path": [f"{i}.mp4" for i in range(len(logits))], "scores": scores}
    pq.write_table(pa.table(rows | columns), file)


def test_the_most_confident_mistakes_come_first(tmp_path: Path) -> None:
    logits = np.log([[0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    columns = {"label_label": [0, 0, 1, 0], "pred_label": [1, 0, 1, 1]}
    write_scores(tmp_path / "scores.parquet", columns, logits)
    found = most_confident_mistakes(tmp_path / "scores.parquet", {"label": ["fight", "none"]}, 24)
    assert (found.wrong, found.answers) == (2, 4)
    assert [(m.video, m.path, m.true, m.predicted) for m in found.first] == [
        (0, "0.mp4", "fight", "none"),
        (3, "3.mp4", "fight", "none"),
    ]
    assert [m.probability for m in found.first] == pytest.approx([0.9, 0.7])
    assert [m.true_probability for m in found.first] == pytest.approx([0.1, 0.3])
    assert len(most_confident_mistakes(tmp_path / "scores.parquet", {"label": ["fight", "none"]}, 1).first) == 1


def test_pairs_that_are_mixed_up_once_each_are_no_sentence(tmp_path: Path) -> None:
    logits = 5 * np.eye(8)[[1, 2, 3, 4, 5, 6, 7, 0]]
    columns = {"label_label": np.arange(8), "pred_label": logits.argmax(1)}
    write_scores(tmp_path / "scores.parquet", columns, logits)
    found = most_confident_mistakes(tmp_path / "scores.parquet", {"label": list("abcdefgh")}, 24)
    write_mistakes(tmp_path, found, None, "val")
    page = (tmp_path / "mistakes.html").read_text()
    assert "8 of 8 val answers are wrong" in page
    assert "Most often" not in page


def test_a_page_of_guesses_says_so_and_which_class_is_called_what(tmp_path: Path) -> None:
    """A network of two classes that has learnt nothing calls nearly all videos the same."""
    labels = np.arange(120) % 2
    logits = np.stack([np.linspace(0.2, 0.001, 120), np.zeros(120)], 1)
    logits[4] = [0, 0.01]
    columns = {"label_label": labels, "pred_label": logits.argmax(1)}
    write_scores(tmp_path / "scores.parquet", columns, logits)
    found = most_confident_mistakes(tmp_path / "scores.parquet", {"label": ["fight", "none"]}, 24)
    assert (found.wrong, len(found.first)) == (61, 24)
    assert [tuple(mix_up) for mix_up in found.mix_ups] == [
        ("label", "none", "fight", 60),
        ("label", "fight", "none", 1),
    ]
    write_mistakes(tmp_path, found, None, "val")
    page = " ".join((tmp_path / "mistakes.html").read_text().split())
    assert "61 of 120 val answers are wrong" in page
    assert "Most often: 60 times none was called fight; once fight was called none." in page
    assert "The 24 most confident ones are shown, the most confident first." in page
    assert "They are hardly more than guesses: the most confident one has 54.9 %" in page


def test_mistakes_of_several_heads_and_of_several_labels(tmp_path: Path) -> None:
    heads = {"verb": ["a", "b"], "tags": MultiLabel(["x", "y", "z"])}
    sigmoids = np.array([[0.9, 0.2, 0.6], [0.9, 0.05, 0.1]])
    logits = np.concatenate([np.log([[0.7, 0.3], [0.6, 0.4]]), np.log(sigmoids / (1 - sigmoids))], 1)
    lists = [pa.array(rows, pa.list_(pa.int8(), 3)) for rows in ([[1, 1, 0], [1, 0, 0]], [[1, 0, 1], [1, 0, 0]])]
    columns = {"label_verb": [1, 0], "pred_verb": [0, 0], "label_tags": lists[0], "pred_tags": lists[1]}
    write_scores(tmp_path / "scores.parquet", columns, logits)
    found = most_confident_mistakes(tmp_path / "scores.parquet", heads, 24)
    assert (found.wrong, found.answers) == (2, 4)
    tags, verb = found.first
    assert (tags.head, tags.true, tags.predicted, tags.true_probability) == ("tags", "x, y", "x, z", None)
    assert tags.probability == pytest.approx(0.8), "of the class that is missing"
    assert (verb.head, verb.predicted) == ("verb", "a") and verb.probability == pytest.approx(0.7)


def test_confident_mistakes_are_not_called_guesses(tmp_path: Path) -> None:
    write_mistakes(tmp_path, mistakes(0.9, 0.51), None, "val")
    assert "guesses" not in (tmp_path / "mistakes.html").read_text()


def mistakes(*probabilities: float, first: int = 0) -> Mistakes:
    rows = [Mistake(first + i, "x", "label", "<i>右", "$wrong$ & more", p, 1 - p) for i, p in enumerate(probabilities)]
    return Mistakes(rows, 7, 1200)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Video]]:
    """A run folder with the page of mistakes in a playable film, one that is none, a segment, and one that is gone."""
    root = tmp_path_factory.mktemp("all")
    data, folder = root / "data", root / "runs" / "one"
    for place in (data, folder):
        place.mkdir(parents=True)
    good = film(data / ODD, noise(30))
    other = film(data / "other.avi", noise(30))
    videos = [Video(good, (0,)), Video(other, (0,)), Video(good, (0,), 0.2, 0.8), Video(str(data / "gone.mp4"), (0,))]
    write_mistakes(folder, mistakes(0.99999, 0.9, 0.8, 0.7), videos, "test")
    return folder, videos


def links_of(page: str) -> list[list[str]]:
    return [json.loads(html.unescape(each)) for each in re.findall(r'data-links="([^"]*)"', page)]


def test_page_of_mistakes_has_names_as_they_are_and_links_that_lead_there(run: tuple[Path, list[Video]]) -> None:
    folder, videos = run
    page = (folder / "mistakes.html").read_text(encoding="utf-8")
    assert "7 of 1,200 test answers are wrong" in page
    assert page.count("&lt;i&gt;右") == 4 and "<i>" not in page
    assert "$wrong$ &amp; more" in page and "&gt; 99.9 %" in page and "90.0 %" in page
    assert "it&#39;s &lt;b&gt;#1%&#34;&amp; 打架" in page
    first, second, third, fourth = links_of(page)
    for link in (first[0], fourth[0]):
        assert not link.startswith(("/", "file:"))
    assert (folder / unquote(first[0])).resolve() == Path(videos[0].path).resolve()
    assert unquote(first[1]) == f"file://{videos[0].path}"
    assert second[0] == "mistakes/01.mp4" and len(second) == 3, "no browser plays AVI"
    assert third[0].endswith("#t=0.2,0.8")
    assert page.count('src="data:image/jpeg;base64,') == 3
    assert re.search(r'<p class="problem">[^<]*gone\.mp4', page), "which file is missing"
    assert not re.findall(r"https?://", page)


def test_picture_of_mistakes_has_the_frames(run: tuple[Path, list[Video]]) -> None:
    with Image.open(run[0] / "mistakes.png") as picture:
        assert picture.width == 768 and 700 < picture.height < 3000
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.abs(np.diff(pixels, axis=1)).sum(2) > 60).mean() > 0.1, "noise, as the films are"


def test_film_of_what_no_browser_plays(run: tuple[Path, list[Video]], tmp_path: Path) -> None:
    folder, videos = run
    assert [is_playable(video) for video in videos[:3]] == [True, False, True]
    with av.open(str(folder / "mistakes" / "01.mp4")) as copy:
        stream = copy.streams.video[0]
        assert (stream.codec_context.name, stream.height, stream.width) == ("h264", 40, 48)
        assert 10 <= len(list(copy.decode(video=0))) <= 18, "15 frames a second of 1.2 s"
    write_preview(videos[0], tmp_path / "short.mp4", max_seconds=0.4)
    with av.open(str(tmp_path / "short.mp4")) as copy:
        assert len(list(copy.decode(video=0))) == 5


def test_mistakes_without_videos_or_none_at_all(tmp_path: Path) -> None:
    write_mistakes(tmp_path, mistakes(0.9), None, "val")
    page = (tmp_path / "mistakes.html").read_text()
    assert "7 of 1,200 val answers" in page and "data.root=..." in page and links_of(page) == [[]]
    write_mistakes(tmp_path, Mistakes([], 0, 9), [], "test")
    assert "There is no mistake to see" in (tmp_path / "mistakes.html").read_text()
    assert (tmp_path / "mistakes.png").is_file()


def test_probability_is_never_100_percent_by_rounding() -> None:
    assert [percent(p) for p in (0.5, 0.9994, 0.9996, 1.0)] == ["50.0 %", "99.9 %", "> 99.9 %", "100.0 %"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("NOT TESTED: Debian's chromium and chromium-driver are not installed, so no click was made")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


PLAYS = (
    "const v = document.querySelectorAll('video')[arguments[0]]; return v.readyState >= 2 && !v.hidden && v.videoWidth"
)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_click_plays_the_video_in_a_browser(run: tuple[Path, list[Video]], browser: Any, width: int) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.set_window_size(width, 1200)
    browser.get((run[0] / "mistakes.html").as_uri())
    buttons = browser.find_elements(By.CSS_SELECTOR, "article button")
    assert len(buttons) == 3
    for at, button in enumerate(buttons):
        button.click()
        assert WebDriverWait(browser, 30).until(lambda on, at=at: on.execute_script(PLAYS, at)) == 48
        assert not button.is_displayed()
    wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, "nothing lies beside the page"


@pytest.mark.slow
def test_moved_run_plays_what_it_has_and_names_what_is_missing(
    run: tuple[Path, list[Video]], browser: Any, tmp_path: Path
) -> None:
    """The data set is gone too: it was moved away for the time of this test."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    folder, videos = run
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    data = Path(videos[0].path).parent
    away: Callable[[Path], Path] = data.rename
    hidden = away(data.with_name("away"))
    try:
        browser.get((moved / "mistakes.html").as_uri())
        buttons = browser.find_elements(By.CSS_SELECTOR, "article button")
        buttons[1].click()
        assert WebDriverWait(browser, 30).until(lambda on: on.execute_script(PLAYS, 1)) == 48, "the copy in the run"
        buttons[0].click()
        problem = browser.find_elements(By.CSS_SELECTOR, ".problem")[0]
        WebDriverWait(browser, 30).until(lambda _: problem.is_displayed())
        assert "missing" in problem.text and "打架" in problem.text
    finally:
        hidden.rename(data)
