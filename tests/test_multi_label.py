"""A run on videos with several labels each: its numbers are scikit-learn's, and every command goes on from it."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from labelled_lists import CLASSES, tags_of, write_lists
from sklearn.metrics import average_precision_score, f1_score

import vivit
from vivit.checkpoints.vivit_checkpoint import read_record
from vivit.errors import ConfigError
from vivit.inference.load import read_model
from vivit.launch import Job
from vivit.reporting.load_runs import RunRecord
from vivit.reporting.other_runs import other_runs_table
from vivit.structures import MultiLabel
from vivit.tasks.evaluate import evaluate
from vivit.tasks.export import export
from vivit.tasks.predict import predict
from vivit.tasks.train import train
from vivit.tasks.weight_formats import write_vivit

pytestmark = pytest.mark.slow
CLIPS = ("data.frames=4", "data.stride=2", "data.resize=36", "data.crop=[32,32]", "data.batch_size=8")
SMALL = (*CLIPS, "data.num_workers=0", "trainer=cpu", "callbacks.progress=null", "trainer.max_epochs=1")
VIEWS = ("views.temporal=2", "views.spatial=1", "views.also_report=[1]", "views.average=probabilities")
LABELS: Mapping[str, tuple[str, ...]] = {
    "tags beside verbs": (
        "data.dataset.label_columns=[verb,tags]", "data.dataset.separator={tags:';'}", "loss.mixup=0.3",
        "loss.label_smoothing=0.1", "loss.class_weights=inverse", "loss.logit_adjustment=1.0", "data.balance=0.5",
    ),
    "columns alone": (
        "data.dataset.label_columns=[]", "data.dataset.class_columns={tags:[bright,fast,large,straight up]}",
    ),
}  # fmt: skip


class Trained(NamedTuple):
    """A run that is done, with its data."""

    name: str
    folder: Path
    motion: Path
    results: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module", params=LABELS)
def trained(
    request: pytest.FixtureRequest, composed: Callable[..., Any], small_motion: Path, tmp_path_factory: Any
) -> Trained:
    folder = tmp_path_factory.mktemp("run")
    root = write_lists(small_motion, folder / "lists")
    words = ["data=csv", f"data.root={root}", *SMALL, *VIEWS, *LABELS[request.param]]
    cfg = composed(*words)
    cfg.paths.run = str(folder)
    train(cfg, Job(folder=folder, choices={"data": "csv"}, overrides=words, sweep=None))
    return Trained(request.param, folder, small_motion, json.loads((folder / "results.json").read_text()))


def run(task: Callable[..., Any], cfg: Any, folder: Path, *words: str) -> None:
    folder.mkdir()
    cfg.paths.run = str(folder)
    task(cfg, Job(folder=folder, choices={}, overrides=list(words), sweep=None))


def test_scores_are_scikit_learn_s_of_what_the_file_holds(trained: Trained) -> None:
    """Of the means of two views' probabilities, for labels that are read from the data set's own list."""
    table = pq.read_table(trained.folder / "scores.parquet")
    main = json.loads(table.schema.metadata[b"vivit.scores"])["view_indices"]["2x1"]
    rows, views = table.to_pydict(), max(table["view"].to_pylist()) + 1
    logits = np.array(rows["logits"], np.float64)[:, -len(CLASSES) :].reshape(-1, views, len(CLASSES))[:, main]
    probabilities = (1 / (1 + np.exp(-logits))).mean(1)
    with (trained.motion / "test.csv").open(newline="") as text:
        labels = np.array([[name in tags_of(row) for name in CLASSES] for row in csv.DictReader(text)])
    np.testing.assert_array_equal(np.array(rows["label_tags"])[::views], labels)
    thresholds = [trained.results["thresholds"]["tags"][name] for name in CLASSES]
    prefix = "tags_" if trained.name == "tags beside verbs" else ""
    metrics = trained.results["metrics"]
    assert metrics[f"test/{prefix}map"] == pytest.approx(average_precision_score(labels, probabilities), abs=1e-9)
    assert metrics["test/map"] == metrics[f"test/{prefix}map"]
    expected = f1_score(labels, probabilities >= thresholds, average="macro", zero_division=np.nan)
    assert metrics[f"test/{prefix}f1_macro"] == pytest.approx(expected, abs=1e-9)
    with (trained.folder / "classes_tags.csv").open(newline="") as text:
        classes = list(csv.DictReader(text))
    each = average_precision_score(labels, probabilities, average=None)
    assert [row["average_precision"] for row in classes] == [f"{value:.4f}" for value in each]
    assert [int(row["videos"]) for row in classes] == labels.sum(0).tolist()


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_thresholds_are_the_best_of_the_validation_videos_by_the_views_of_the_test(
    trained: Trained, composed: Callable[..., Any], tmp_path: Path
) -> None:
    """Scored again by another command: no other threshold of a class has a larger F1 on those videos."""
    words = ("trainer=cpu", "num_workers=0", "+trainer.enable_progress_bar=false", f"ckpt_path={trained.checkpoint}")
    run(evaluate, composed(*words, "split=val", name="eval"), tmp_path / "val", *words, "split=val")
    table = pq.read_table(tmp_path / "val" / "scores.parquet")
    main = json.loads(table.schema.metadata[b"vivit.scores"])["view_indices"]["2x1"]
    rows, views = table.to_pydict(), max(table["view"].to_pylist()) + 1
    logits = np.array(rows["logits"], np.float64)[:, -len(CLASSES) :].reshape(-1, views, len(CLASSES))
    labels = np.array(rows["label_tags"])[::views]
    of_test, of_one = ((1 / (1 + np.exp(-logits[:, at]))).mean(1) for at in (main, main[:1]))
    chosen = [trained.results["thresholds"]["tags"][name] for name in CLASSES]
    for at, threshold in enumerate(chosen):
        others = [f1_score(labels[:, at], of_test[:, at] >= other, zero_division=0) for other in of_test[:, at]]
        assert f1_score(labels[:, at], of_test[:, at] >= threshold - 1e-7, zero_division=0) >= max(others) - 1e-9
        assert np.abs(of_test[:, at] - threshold).min() < 1e-5, "a probability of the test's views"
    assert max(np.abs(of_one - np.array(chosen)).min(0)) > 1e-5, "and not of one view"
    assert not (trained.folder / "thresholds").exists()


def test_intervals_of_mean_average_precision_hold_it(trained: Trained) -> None:
    metrics, ends = trained.results["metrics"], trained.results["confidence_95"]
    names = [name for name in metrics if name.startswith("test/") and name.endswith("map")]
    assert names
    for name in names:
        low, high = ends[name]
        assert 0 <= low <= high <= 1 and low < high
    (line,) = other_runs_table([RunRecord(trained.folder, "done", None, trained.results)]).lines
    assert (line["map_low"], line["map_high"]) == tuple(100 * end for end in ends["test/map"])


def test_the_best_checkpoint_is_that_of_mean_average_precision_and_holds_the_thresholds(trained: Trained) -> None:
    monitor = trained.results["config"]["callbacks"]["checkpoint_best"]["monitor"]
    assert monitor == "val/map"
    saved = torch.load(trained.checkpoint, weights_only=True)
    (best,) = [state for name, state in saved["callbacks"].items() if "BestCheckpoint" in name]
    assert float(best["best_model_score"]) == pytest.approx(trained.results["metrics"]["val/map"])
    classes = read_record(trained.checkpoint)["classes"]["tags"]
    assert isinstance(classes, MultiLabel)
    assert dict(zip(classes, classes.thresholds, strict=True)) == trained.results["thresholds"]["tags"]
    assert set(classes.thresholds) != {0.5}, "chosen on the validation split"
    assert "test/acc_top1" in trained.results["metrics"] or trained.name == "columns alone"


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_eval_has_the_same_metrics_from_the_checkpoint_and_from_its_scores(
    trained: Trained, composed: Callable[..., Any], tmp_path: Path
) -> None:
    expected = {name: value for name, value in trained.results["metrics"].items() if name.startswith("test/")}
    passes = ("trainer=cpu", "num_workers=0", "+trainer.enable_progress_bar=false", f"ckpt_path={trained.checkpoint}")
    for name, words in (("again", passes), ("scores", (f"scores={trained.folder}/scores.parquet",))):
        run(evaluate, composed(*words, name="eval"), tmp_path / name, *words)
        results = json.loads((tmp_path / name / "results.json").read_text())
        assert results["metrics"] == pytest.approx(expected, abs=1e-6 if name == "again" else 0)
        assert results["thresholds"] == trained.results["thresholds"]
        assert set(results["metrics_by_views"]) == {"1x1", "2x1"}


def test_eval_refuses_the_same_names_as_a_single_label(
    trained: Trained, composed: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("data=csv", f"data.root={trained.folder}/lists", f"ckpt_path={trained.checkpoint}", "trainer=cpu")
    words += ("num_workers=0", "data.dataset.label_columns=[verb,tags]", "+data.dataset.classes={verb:[a],tags:[b]}")
    with pytest.raises(ConfigError) as error:
        run(evaluate, composed(*words, name="eval"), tmp_path / "refused", *words)
    assert error.value.key == "data"


def test_predict_answers_with_every_class_that_reaches_its_threshold(
    trained: Trained, composed: Callable[..., Any], tmp_path: Path
) -> None:
    video = next((trained.motion / "test").rglob("*.mp4"), None) or next(trained.motion.rglob("*.mp4"))
    words = (f"ckpt_path={trained.checkpoint}", f"video={video}", "num_workers=0", "device=cpu", "top_k=1")
    run(predict, composed(*words, name="predict"), tmp_path / "one", *words)
    (prediction,) = json.loads((tmp_path / "one" / "predictions.json").read_text())["predictions"]
    predictor = vivit.Predictor(trained.checkpoint, device="cpu")
    everything = predictor(str(video), top_k=None)["tags"]
    logits = predictor.logits([str(video)])[0, -len(CLASSES) :].double()
    for row in everything:
        assert row["probability"] == pytest.approx(float(logits[CLASSES.index(row["class"])].sigmoid()))
        assert row["threshold"] == trained.results["thresholds"]["tags"][row["class"]]
    expected = [row for row in everything if row["probability"] >= row["threshold"]]
    assert prediction["classes"]["tags"] == expected
    assert set(prediction["classes"]) == ({"tags"} if trained.name == "columns alone" else {"verb", "tags"})


def test_exported_and_converted_files_hold_the_thresholds(
    trained: Trained, composed: Callable[..., Any], tmp_path: Path
) -> None:
    thresholds = {"tags": list(trained.results["thresholds"]["tags"].values())}
    words = (f"ckpt_path={trained.checkpoint}", f"target={tmp_path}/clip.pt2")
    run(export, composed(*words, name="export"), tmp_path / "export", *words)
    extra = {"vivit.json": ""}
    torch.export.load(tmp_path / "clip.pt2", extra_files=extra)
    metadata = json.loads(extra["vivit.json"])
    assert metadata["multi_label"] == thresholds
    assert "sigmoid" in metadata["usage"]
    write_vivit(read_model(trained.checkpoint), tmp_path / "copy.ckpt")
    assert read_record(tmp_path / "copy.ckpt")["multi_label"] == thresholds


def test_the_report_has_a_column_for_it(trained: Trained) -> None:
    record = RunRecord(trained.folder, "done", None, trained.results)
    (line,) = other_runs_table([record]).lines
    assert line["map"] == pytest.approx(100 * trained.results["metrics"]["test/map"])
