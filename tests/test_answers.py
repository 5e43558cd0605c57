"""Non-finite logits have no class; predictions are written before they are printed; names are printed as typed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from films import CLIP, film, network, noise

from vivit.inference.load import LoadedModel
from vivit.inference.predictor import NonFiniteLogitsError
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import print_results, print_rows
from vivit.tasks.clip_settings import data_record
from vivit.tasks.demo import OneAtATime
from vivit.tasks.predict import predict
from vivit.tasks.predictor import build_predictor
from vivit.tasks.weight_formats import write_vivit

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
def predict_film(composed, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Predict a film as the command does, by a network of one head; return what it wrote."""

    def predict_film(
        *words: str, fault: str | None = None, value: float = float("nan"), names: list[str] = ODD
    ) -> dict:
        net = network({"label": names})
        if fault:
            with torch.no_grad():
                net.get_parameter(fault).view(-1)[0] = value
        write_vivit(LoadedModel(net, "", {"label": names}, **data_record(CLIP)), tmp_path / "net.ckpt")
        film(tmp_path / "a [red] film.mp4", noise(30))
        cfg = composed(
            *(f"ckpt_path={tmp_path / 'net.ckpt'}", "video=x", "num_workers=0", "device=cpu", "top_k=null", *words),
            name="predict",
        )
        cfg.video, cfg.paths.run = str(tmp_path / "a [red] film.mp4"), str(tmp_path)
        predict(cfg, Job(folder=tmp_path, choices={}, overrides=list(words), sweep=None))
        return strict((tmp_path / "predictions.json").read_text())

    return predict_film


@pytest.mark.parametrize("words", [[], ["every=0.2"], ["skip_unreadable=true"]], ids=str)
@pytest.mark.parametrize(("fault", "value"), [*zip(FAULTS, (float("nan"), float("inf"), float("nan")), strict=True)])
def test_non_finite_logits_raise_an_error_about_the_video(
    fault: str, value: float, words, predict_film, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteLogitsError) as error:
        predict_film(*words, fault=fault, value=value)
    assert error.value.file == str(tmp_path / "a [red] film.mp4")
    assert not (tmp_path / "predictions.json").exists()
    assert not (tmp_path / "timeline.png").exists()


def test_page_of_non_finite_logits(predict_film, composed, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLogitsError):
        predict_film(fault=FAULTS[0])
    cfg = composed(f"ckpt_path={tmp_path / 'net.ckpt'}", "num_workers=0", "device=cpu", name="demo")
    predictor = OneAtATime(build_predictor(cfg, Job(tmp_path, {}, [], None)), cfg)
    page = predictor.html(tmp_path / "a [red] film.mp4", tmp_path)
    assert "No prediction</h3><p>a [red] film.mp4: the network&#x27;s logits are NaN or infinite" in page
    assert page.lower().count("nan") == 1, "in the message"


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
def test_predictions_are_written_before_they_are_printed(
    stdout: type, words, predict_film, tmp_path: Path, monkeypatch
) -> None:
    """The commands' own streams cannot fail, these do."""
    monkeypatch.setattr(sys, "stdout", stdout())
    with pytest.raises((OSError, UnicodeError, SystemExit)):
        predict_film(*words)
    written = strict((tmp_path / "predictions.json").read_text())
    (row,) = written["predictions"]
    assert sorted(one["class"] for one in row["classes"]["label"]) == sorted(ODD)


def test_names_are_printed_as_typed(predict_film, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (row,) = predict_film()["predictions"]
    assert {one["class"] for one in row["classes"]["label"]} == set(ODD)
    printed = capsys.readouterr().out
    for name in [*ODD[:-1], r"a\nb\tc", "a [red] film.mp4"]:
        assert name in printed, name


def test_result_tables_print_names_as_typed(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    results = {"ckpt_path": "logs/[/x] :smile:/best.ckpt", "views": "1x1", "metrics": {"test/[red]n_acc_top1": 0.5}}
    print_results(results, tmp_path)
    print_rows([{"case": "[/red]", "n": 1}, {"case": ":smile:", "n": 2}], tmp_path)
    printed = capsys.readouterr().out
    assert printed.startswith("Checkpoint: logs/[/x] :smile:/best.ckpt\n")
    for name in ("logs/[/x] :smile:/best.ckpt", "test/[red]n_acc_top1, 1x1 views", "[/red]", ":smile:"):
        assert name in printed


def test_json_is_strict(tmp_path: Path) -> None:
    content = {"a": float("nan"), "b": [1.5, float("inf"), {"c": (-float("inf"), 2)}], "d": "NaN", "e": None}
    write_json(tmp_path / "a.json", content)
    assert strict((tmp_path / "a.json").read_text()) == {
        "a": None,
        "b": [1.5, None, {"c": [None, 2]}],
        "d": "NaN",
        "e": None,
    }
