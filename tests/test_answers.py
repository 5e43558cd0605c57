"""What is no number names no class; answers are kept before they are shown; names are shown as people wrote them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from films import CLIP, film, network, noise

from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import print_results, print_rows
from vivit.tasks import predict
from vivit.tasks.classifier import Classifier
from vivit.tasks.demo import answer
from vivit.tasks.formats import Weights, write_ours

ODD = [
    "win $$ now",
    "$5 vs $x^2_{",
    "光 مرحبا",
    "<b>&</b>",
    "[red]x[/red]",
    "[/x]",
    ":smile:",
    "%s {0} *",
    "-v",
    "a\nb\tc",
]
FAULTS = ["head.projection.weight", "spatial.positions", "temporal.blocks.0.norm_mlp.weight"]


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def said(composed, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Predict a film as the command does, by a network of one head; give what it wrote."""

    def said(*words: str, fault: str | None = None, value: float = float("nan"), names: list[str] = ODD) -> dict:
        net = network({"label": names})
        if fault:
            with torch.no_grad():
                net.get_parameter(fault).view(-1)[0] = value
        write_ours(Weights(net, "", {"label": names}, CLIP), tmp_path / "net.ckpt")
        film(tmp_path / "a [red] film.mp4", noise(30))
        cfg = composed(
            *(f"ckpt_path={tmp_path / 'net.ckpt'}", "video=x", "workers=0", "device=cpu", "top=null", *words),
            name="predict",
        )
        cfg.video, cfg.paths.run = str(tmp_path / "a [red] film.mp4"), str(tmp_path)
        predict(cfg, Job(folder=tmp_path, choices={}, overrides=list(words), sweep=None))
        return strict((tmp_path / "predictions.json").read_text())

    return said


@pytest.mark.parametrize("words", [[], ["every=0.2"], ["skip_bad=true"]], ids=str)
@pytest.mark.parametrize(("fault", "value"), [*zip(FAULTS, (float("nan"), float("inf"), float("nan")), strict=True)])
def test_what_is_no_number_stops_and_names_the_video(fault: str, value: float, words, said, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a \[red\] film.mp4: the network's logits are not numbers"):
        said(*words, fault=fault, value=value)
    assert not (tmp_path / "predictions.json").exists()
    assert not (tmp_path / "timeline.png").exists()


def test_the_page_refuses_what_is_no_number(said, composed, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not numbers"):
        said(fault=FAULTS[0])
    cfg = composed(f"ckpt_path={tmp_path / 'net.ckpt'}", "video=x", "workers=0", "device=cpu", name="predict")
    classifier = Classifier.of(cfg, Job(tmp_path, {}, [], None))
    page = answer(classifier, tmp_path / "a [red] film.mp4", longest=9, top=3, heads="mean", folder=tmp_path)
    assert "No answer</h3><p>a [red] film.mp4: the network&#x27;s logits are not numbers" in page
    assert "nan" not in page.lower().replace("name", "")


class Gone:
    """A stdout whose terminal is gone."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return False


class Ascii(Gone):
    """A stdout that has few letters."""

    encoding = "ascii"

    def write(self, text: str) -> int:
        return len(text.encode("ascii"))

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("stdout", [Gone, Ascii])
@pytest.mark.parametrize("words", [[], ["every=0.2"], ["explain=true"]], ids=str)
def test_answers_are_written_before_they_are_shown(stdout: type, words, said, tmp_path: Path, monkeypatch) -> None:
    """Whatever showing comes to; the commands' own streams cannot fail, these do."""
    monkeypatch.setattr(sys, "stdout", stdout())
    with pytest.raises((OSError, UnicodeError, SystemExit)):
        said(*words)
    written = strict((tmp_path / "predictions.json").read_text())
    (row,) = written["predictions"]
    assert sorted(one["class"] for one in row["classes"]["label"]) == sorted(ODD)


def test_names_are_shown_as_they_were_written(said, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (row,) = said()["predictions"]
    assert {one["class"] for one in row["classes"]["label"]} == set(ODD)
    shown = capsys.readouterr().out
    for name in [*ODD[:-1], r"a\nb\tc", "a [red] film.mp4"]:
        assert name in shown, name


def test_tables_at_the_end_of_runs_show_names_as_they_are(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    results = {"ckpt_path": "logs/[/x] :smile:/best.ckpt", "views": "1x1", "metrics": {"test/[red]n_acc_top1": 0.5}}
    print_results(results, tmp_path)
    print_rows([{"case": "[/red]", "n": 1}, {"case": ":smile:", "n": 2}], tmp_path)
    shown = capsys.readouterr().out
    for name in ("logs/[/x] :smile:/best.ckpt", "test/[red]n_acc_top1, 1x1 views", "[/red]", ":smile:"):
        assert name in shown


def test_json_has_no_word_that_strict_readers_refuse(tmp_path: Path) -> None:
    content = {"a": float("nan"), "b": [1.5, float("inf"), {"c": (-float("inf"), 2)}], "d": "NaN", "e": None}
    write_json(tmp_path / "a.json", content)
    assert strict((tmp_path / "a.json").read_text()) == {
        "a": None,
        "b": [1.5, None, {"c": [None, 2]}],
        "d": "NaN",
        "e": None,
    }
