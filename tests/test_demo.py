"""The page of `demo.py`: uploads from a client and from a real browser, what it refuses, and what it leaves behind."""

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from films import HEADS, film, network, noise
from forked import Command, start
from omegaconf import OmegaConf

from vivit.errors import ConfigError
from vivit.inference.json_service import USAGE, _file_name
from vivit.inference.load import LoadedModel
from vivit.inference.uploads import Uploads
from vivit.launch import Job
from vivit.tasks.clip_settings import data_record
from vivit.tasks.demo import demo, find_examples
from vivit.tasks.weight_formats import write_vivit

pytest.importorskip("gradio", reason="the page needs gradio, which `make install` installs")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,1000"),
)
EXAMPLES = ("one $x$ <b>.mp4", "two.mp4")
OWN = "vibe_edit_history"
"""What gradio itself keeps in its folder while it runs."""


class Page(NamedTuple):
    """A page that is served."""

    address: str
    command: Command
    folder: Path

    def uploads(self) -> list[Path]:
        return [file for file in self.folder.iterdir() if file.name != OWN]


def temporary_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("vivit-demo-*"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def checkpoint(composed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two heads that was tested with 3x1 views."""
    file = tmp_path_factory.mktemp("weights") / "net.ckpt"
    cfg = composed("data=motion_verb_noun", "views.temporal=3", "data.frames=4", "data.root=/gone")
    write_vivit(LoadedModel(network(), "", HEADS, **data_record(OmegaConf.to_container(cfg.data, resolve=True))), file)
    return file


@pytest.fixture(scope="module")
def page(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with narrow limits; it ends in order when it is told to, and nothing of it stays."""
    folder, port = tmp_path_factory.mktemp("page"), free_port()
    (folder / "examples").mkdir()
    for name in EXAMPLES:
        film(folder / "examples" / name, noise(30))
    before = temporary_folders()
    command = start(
        folder / "said.txt", "src/demo.py", f"ckpt_path={checkpoint}", f"port={port}", "max_upload_mb=2",
        "max_seconds=10", "top_k=3", "device=cpu", f"examples={folder / 'examples'}", f"hydra.run.dir={folder / 'run'}",
    )  # fmt: skip
    command.wait_for(lambda: command.output.is_file() and "Ctrl-C ends it" in command.said)
    (own,) = temporary_folders() - before
    yield Page(f"http://127.0.0.1:{port}", command, own)
    os.kill(command.pid, signal.SIGTERM)
    assert command.wait() == 0, command.said
    assert not own.exists()
    assert (folder / "run" / "status.json").read_text().count('"done"') == 1


PHONE = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
Ask = Callable[[str | Path], str]


@pytest.fixture(scope="module")
def ask(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Upload a file as a program does; give the prediction without its pictures."""
    from gradio_client import Client, handle_file

    def ask(file: str | Path) -> str:
        client = Client(page.address, verbose=False, download_files=str(tmp_path_factory.mktemp("client")))
        prediction = client.predict(handle_file(file), api_name="/classify")
        return re.sub(r"<style>.*</style>", "", prediction, flags=re.DOTALL)

    return ask


@pytest.mark.slow
def test_upload_is_predicted_and_deleted(page: Page, ask: Ask, tmp_path: Path) -> None:
    prediction = ask(film(tmp_path / "<b>some & noise.mp4", noise(30)))
    assert "&amp; noise.mp4</h3>" in prediction
    assert "<b>" not in prediction
    assert re.findall(r'<th colspan="3">(\w+)</th>', prediction) == ["noun", "verb", "action"]
    assert len(re.findall(r"<tr><td>", prediction)) == 9
    kinds = re.findall(r'src="data:([a-z0-9/]+);base64,[A-Za-z0-9+/]{300,}=*"', prediction)
    assert kinds == ["video/mp4", "video/mp4", "image/png", "image/png"], "the video, its attention, pictures"
    assert page.uploads() == []


def test_two_visitors_receive_their_own_predictions(page: Page, ask: Ask, tmp_path: Path) -> None:
    files = [film(tmp_path / f"{name}.mp4", noise(20 + number)) for number, name in enumerate(("one", "two"))]
    with ThreadPoolExecutor(2) as pool:
        predictions = list(pool.map(ask, files))
    assert ["one.mp4</h3>" in predictions[0], "two.mp4</h3>" in predictions[1]] == [True, True]
    assert page.uploads() == []


@pytest.mark.slow
def test_equal_uploads_from_four_visitors_receive_four_predictions(page: Page, ask: Ask, tmp_path: Path) -> None:
    """Gradio keeps equal uploads in one place, and predictions come one after another."""
    files = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        files.append(film(tmp_path / str(number) / ("same.mp4" if number < 3 else "other name.mp4"), noise(24)))
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            predictions = list(pool.map(ask, files))
        assert [prediction.count("same.mp4</h3>") for prediction in predictions] == [1, 1, 1, 0]
        assert "other name.mp4</h3>" in predictions[3]
        assert page.uploads() == []


def test_upload_stays_until_all_senders_have_a_prediction(tmp_path: Path) -> None:
    uploads, folder = Uploads(), tmp_path / "hash"
    folder.mkdir()
    file = folder / "same.mp4"

    def send() -> None:
        uploads.begin()
        file.write_bytes(b"film")
        uploads.add([str(file)])
        uploads.end()

    send()
    send()
    uploads.release(str(file))
    assert file.is_file(), "one of two still waits"
    uploads.begin()  # a third begins to send the same
    file.write_bytes(b"film")
    uploads.release(str(file))
    assert file.is_file(), "stored already, but not yet counted"
    uploads.add([str(file)])
    uploads.end()
    assert file.is_file()
    uploads.begin()  # a fourth breaks off
    uploads.release(str(file))
    assert file.is_file()
    uploads.end()
    assert not folder.exists()


def test_unreadable_upload_is_an_error_message_and_the_page_keeps_serving(page: Page, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    prediction = ask(tmp_path / "text.mp4")
    assert re.search(r"No prediction</h3><p>text\.mp4: is text, no video; name videos themselves", prediction), (
        prediction
    )
    prediction = ask(film(tmp_path / "long.mp4", noise(30), rate=2))
    assert "long.mp4 lasts 14 s; this page takes videos of up to 10 s" in prediction
    assert "good.mp4</h3>" in ask(film(tmp_path / "good.mp4", noise(12)))
    assert page.uploads() == []


def test_large_upload_is_refused(page: Page, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "large.mp4").write_bytes(bytes(2_100_000))
    with pytest.raises(Exception, match="413|[Ff]ile size|too large"):
        ask(tmp_path / "large.mp4")
    assert page.uploads() == []


def test_files_of_the_server_cannot_be_read(page: Page, tmp_path: Path) -> None:
    import httpx

    call = f"{page.address}/gradio_api/call/classify"

    def prediction(path: str) -> str:
        asked = httpx.post(call, json={"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}).json()
        return httpx.get(f"{call}/{asked['event_id']}", timeout=60).text

    secret = Path(film(tmp_path / "secret.mp4", noise(12)))
    with secret.open("rb") as content:
        (upload,) = httpx.post(f"{page.address}/gradio_api/upload", files={"files": content}).json()
    assert "secret.mp4</h3>" in prediction(upload), "an upload is answered"
    assert "secret.mp4 is deleted after its prediction" in prediction(upload), "but once"
    refused = prediction(str(secret))
    assert "event: error" in refused
    assert "vivit" not in refused
    assert secret.is_file()


def test_programs_post_a_video_and_receive_json(page: Page, tmp_path: Path) -> None:
    import httpx

    address, file = f"{page.address}/predict", Path(film(tmp_path / "it's <b> 打架.mp4", noise(30)))
    content = file.read_bytes()
    answer = httpx.post(address, files={"video": (file.name, content)}, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")
    found = answer.json()
    assert list(found) == ["video", "seconds", "classes"]
    assert (found["video"], found["seconds"]) == (file.name, 1.16)
    assert {head: len(rows) for head, rows in found["classes"].items()} == {"noun": 3, "verb": 3, "action": 3}
    assert found["classes"]["noun"][0]["class"] in HEADS["noun"]
    body = httpx.post(address, params={"name": "../../x.mp4"}, content=content, timeout=60).json()
    assert body == found | {"video": "x.mp4"}
    assert httpx.post(address, content=content, timeout=60).json()["video"] == "video.mp4"
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda _: httpx.post(address, files={"video": content}, timeout=60).json(), range(3)))
    assert all(each["classes"] == found["classes"] for each in several)
    assert page.uploads() == []


def test_json_errors_are_sentences_with_a_status(page: Page, tmp_path: Path) -> None:
    import httpx

    address = f"{page.address}/predict"
    long = Path(film(tmp_path / "long.mp4", noise(30), rate=2)).read_bytes()

    def ask(**options: Any) -> tuple[int, str]:
        answer = httpx.post(address, timeout=60, **options)
        return answer.status_code, answer.json()["error"]

    assert ask(files={"video": ("no.mp4", b"no video")})[0] == 422
    assert "no.mp4: is text, no video" in ask(files={"video": ("no.mp4", b"no video")})[1]
    status, error = ask(files={"video": ("long.mp4", long)})
    assert (status, error) == (422, "long.mp4 lasts 14 s; this page takes videos of up to 10 s")
    assert ask(files={"other": b"x"}) == (400, f"the form has no file video; {USAGE}")
    assert ask(content=b"") == (400, f"the body is empty; {USAGE}")
    assert ask(content=bytes(2_100_000)) == (413, "the file is larger than 2 MB")
    assert ask(content=iter([b"unknown length"]))[0] == 411
    asked = httpx.get(address)
    assert (asked.status_code, asked.json()["error"]) == (405, USAGE)
    assert page.uploads() == []


def test_server_listens_on_this_machine_only(page: Page) -> None:
    port = int(page.address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as elsewhere:
        elsewhere.settimeout(5)
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0  # another address of this machine
    with socket.create_connection(("127.0.0.1", port), 5):
        pass


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="NOT TESTED: Debian's chromium and chromium-driver are missing")
def test_video_dropped_in_a_browser_is_predicted(page: Page, tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        browser.get(page.address)
        patient = WebDriverWait(browser, 120)
        field = patient.until(lambda at: at.find_element(By.CSS_SELECTOR, "input[type=file]"))
        field.send_keys(film(tmp_path / "dropped.mp4", noise(30)))
        prediction = patient.until(lambda at: at.find_element(By.CSS_SELECTOR, ".vivit"))
        assert prediction.text.startswith("dropped.mp4\n")
        assert len(prediction.find_elements(By.CSS_SELECTOR, "td .bar")) == 9
        playing = "let v = document.querySelector('.vivit video.{}'); return v.readyState >= 2 && v.videoWidth"
        assert patient.until(lambda at: at.execute_script(playing.format("original"))) == 48
        assert patient.until(lambda at: at.execute_script(playing.format("attention"))) == 6 * 48
        beside = "return [...document.querySelectorAll('.vivit video')].map(v => v.getBoundingClientRect().top)"
        tops = browser.execute_script(beside)
        assert tops[0] == pytest.approx(tops[1], abs=2), "beside one another"
        shown = "return [...document.querySelectorAll('.vivit img')].map(i => i.complete && i.naturalWidth > 100)"
        assert browser.execute_script(shown) == [True, True]
        browser.find_elements(By.CSS_SELECTOR, "input[type=radio]")[0].click()
        patient.until(lambda at: at.find_element(By.CSS_SELECTOR, ".vivit").text.startswith(EXAMPLES[0]))
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, "nothing beside the page"
        asked = browser.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")
        assert [name for name in asked if not name.startswith((page.address, "data:", "blob:"))] == []
    finally:
        browser.quit()
    assert page.uploads() == []


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("max_seconds=0",), "max_seconds", 0),
        (("top_k=null",), "top_k", None),
        (("port=abc",), "port", "abc"),
        (("port=70000",), "port", 70000),
        (("head_fusion=min",), "head_fusion", "min"),
        (("host=192.0.2.1",), "host", "192.0.2.1"),
        (("examples=no/such",), "examples", "no/such"),
    ],
)
def test_wrong_options_are_errors_about_their_keys(
    words: tuple[str, ...], key: str, value: Any, checkpoint: Path, composed: Callable[..., Any], tmp_path: Path
) -> None:
    cfg = composed(f"ckpt_path={checkpoint}", *words, name="demo")
    cfg.paths.run = str(tmp_path)  # Hydra names it only within a run
    with pytest.raises(ConfigError) as error:
        demo(cfg, Job(tmp_path, {}, list(words), None))
    assert (error.value.key, error.value.value) == (key, value)


def test_segments_are_no_examples(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", noise(9))
    (tmp_path / "list.csv").write_text("path,start,end\na.mp4,0,0.2\n")
    with pytest.raises(ConfigError, match="shows whole files, and a.mp4 0-0.2 s is a segment") as error:
        find_examples(str(tmp_path / "list.csv"))
    assert error.value.key == "examples"


@pytest.mark.parametrize("name", ["..", "", None, "/", "a/.."])
def test_a_posted_name_that_is_no_file_s_is_replaced(name: str | None) -> None:
    assert _file_name(name) == "video.mp4"
