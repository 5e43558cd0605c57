"""All that follows from a file of scores: by hand, by torchmetrics, by the authors' numbers; files that are none."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from vivit.errors import ConfigError, DataError, UserError
from vivit.evaluation.metrics import compute_metrics, label_rank
from vivit.evaluation.predictions_reader import PredictionsFile, write_video_scores
from vivit.structures import Predictions
from vivit.training.validation_accuracy import ValidationAccuracy

Kept = Callable[..., PredictionsFile]


def test_one_head_by_hand(kept: Kept) -> None:
    """Labels 0, 0, 0, 1 with ranks 1st, 2nd, 6th and 1st: top-1 2/4, top-5 3/4, mean over classes (1/3 + 1) / 2."""
    means = np.array([[9, 1, 2, 3, 4, 5], [8, 9, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 9, 2, 3, 4, 5]], np.float32)
    views = np.stack([means + 7, means - 7], 1)  # which averages to the means
    found = compute_metrics(kept(views, np.array([[0], [0], [0], [1]]), {"label": 6}))
    assert found.metrics == pytest.approx({"acc_top1": 0.5, "acc_top5": 0.75, "acc_mean_class": 2 / 3})
    assert found.ranks["label"].tolist() == [0, 1, 5, 0]
    assert found.predicted.tolist() == [[0], [1], [5], [1]]


def torchmetrics_accuracies(logits: torch.Tensor, labels: torch.Tensor, sizes: dict[str, int]) -> dict[str, float]:
    """Return the accuracies by torchmetrics; every class occurs among the labels."""
    tasks = {f"{head}_": (part, label) for (head, part), label in zip(
        zip(sizes, logits.split(list(sizes.values()), 1), strict=True), labels.T, strict=True)}  # fmt: skip
    if len(sizes) > 1:
        (nouns, noun), (verbs, verb) = tasks.values()
        pairs = (nouns.log_softmax(1)[:, :, None] + verbs.log_softmax(1)[:, None]).flatten(1)
        tasks["action_"] = pairs, noun * verbs.shape[1] + verb
    else:
        tasks = {"": next(iter(tasks.values()))}
    expected = {}
    for prefix, (scores, truth) in tasks.items():
        for k in (1, 5) if scores.shape[1] > 5 else (1,):
            accuracy = multiclass_accuracy(scores, truth, scores.shape[1], average="micro", top_k=k)
            expected[f"{prefix}acc_top{k}"] = float(accuracy)
    if len(sizes) > 1:
        return expected | {"acc_top1": expected["action_acc_top1"]}
    return expected | {"acc_mean_class": float(multiclass_accuracy(logits, labels[:, 0], logits.shape[1]))}


@pytest.mark.parametrize("sizes", [{"label": 12}, {"label": 5}, {"noun": 9, "verb": 7}], ids=str)
def test_metrics_equal_torchmetrics(sizes: dict[str, int], kept: Kept) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(700, 3, sum(sizes.values()))).astype(np.float32)
    labels = np.stack([rng.integers(size, size=700) for size in sizes.values()], 1)
    logits[np.arange(700), :, labels[:, 0]] += 1
    means, truth = torch.from_numpy(logits).mean(1), torch.from_numpy(labels)
    expected = torchmetrics_accuracies(means, truth, sizes)
    assert compute_metrics(kept(logits, labels, sizes)).metrics == pytest.approx(expected, abs=1e-6)
    accuracies = ValidationAccuracy({head: [str(n) for n in range(size)] for head, size in sizes.items()})
    for rows in torch.arange(700).split(300):
        accuracies.update(Predictions(means[rows], truth[rows], rows))
    values = {name: float(value) for name, value in accuracies.compute().items()}
    assert values == pytest.approx(expected, abs=1e-7)
    assert sorted(values) == sorted(accuracies.names)


def test_metrics_of_actions_equal_the_reference(reference_numbers: Mapping[str, np.ndarray], kept: Kept) -> None:
    labels = np.stack([reference_numbers[f"joint/labels_{head}"] for head in "ab"], 1)
    found = compute_metrics(kept(reference_numbers["joint/logits"][:, None], labels, {"noun": 7, "verb": 5}))
    assert found.metrics["action_acc_top1"] == pytest.approx(float(reference_numbers["joint/accuracy"]))
    assert found.metrics["action_acc_top5"] == pytest.approx(float(reference_numbers["joint/accuracy_top5"]))
    np.testing.assert_array_equal(found.ranks["action"] < 1, reference_numbers["joint/correct_top1"] > 0)
    np.testing.assert_array_equal(found.ranks["action"] < 5, reference_numbers["joint/correct_top5"] > 0)


def test_label_rank_of_equal_scores_has_the_lower_class_first() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 3.0]] * 4)
    assert label_rank(scores, torch.arange(4)).tolist() == [3, 0, 1, 2]


def test_metrics_have_wilson_s_interval(kept: Kept) -> None:
    """A quarter of 400 is right: (0.25 + z^2 / 800 -+ z sqrt(0.1875 / 400 + z^2 / 640,000)) / (1 + z^2 / 400)."""
    labels = np.zeros((400, 1), np.int64)
    logits = np.zeros((400, 1, 3), np.float32)
    logits[100:, 0, 1] = 1
    found = compute_metrics(kept(logits, labels, {"label": 3}))
    assert found.interval["acc_top1"] == pytest.approx([0.210079, 0.294677], abs=1e-6)
    assert found.interval["acc_mean_class"] == pytest.approx(found.interval["acc_top1"]), "there is one class"


def test_metrics_of_every_set_of_views_and_aggregation(kept: Kept) -> None:
    logits = np.array([[[9.0, 0], [0, 2], [0, 2]]], np.float32)
    chosen = {"1x1": [1], "2x1": [0, 2], "3x1": [0, 1, 2]}
    file = kept(logits, np.array([[0]]), {"label": 2}, view_indices=chosen)
    assert {name: rate["acc_top1"] for name, rate in compute_metrics(file).metrics_by_views.items()} == {
        "1x1": 0,
        "2x1": 1,
        "3x1": 1,
    }
    assert compute_metrics(file).metrics["acc_top1"] == 1
    assert compute_metrics(file, views="1x1").metrics["acc_top1"] == 0
    assert compute_metrics(file, average="probabilities").metrics["acc_top1"] == 0
    with pytest.raises(ConfigError) as error:
        compute_metrics(file, views="4x3")
    assert (error.value.key, error.value.value) == ("views", "4x3")
    assert "1x1, 2x1, 3x1" in str(error.value)


def test_video_scores_file_has_one_row_a_video(kept: Kept, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 4, 11)).astype(np.float32)
    labels = np.stack([rng.integers(6, size=300), rng.integers(5, size=300)], 1)
    file = kept(logits, labels, {"noun": 6, "verb": 5}, names=[f"P01_{row}" for row in range(300)])
    write_video_scores(file, tmp_path / "videos.parquet", views="4x1", average="logits")
    rows = pq.read_table(tmp_path / "videos.parquet")
    means = logits.astype(np.float64).mean(1)
    np.testing.assert_allclose(np.array(rows["scores"].to_pylist()), means, atol=1e-6)
    assert rows["pred_noun"].to_pylist() == means[:, :6].argmax(1).tolist()
    assert rows["pred_verb"].to_pylist() == means[:, 6:].argmax(1).tolist()
    assert rows["label_verb"].to_pylist() == labels[:, 1].tolist()
    assert rows["name"].to_pylist()[299] == "P01_299"
    assert rows["group"].null_count == 300


def test_video_scores_file_that_fails_half_way_leaves_the_old_one(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = kept(np.zeros((300, 1, 6), np.float32), np.zeros((300, 1), np.int64), {"label": 6})
    first = next(file.parts())

    def broken(self: object) -> Iterator[object]:
        yield first
        raise OSError("no space left on device")

    monkeypatch.setattr(type(file), "parts", broken)
    target = tmp_path / "kept" / "videos.parquet"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="no space left"):
        write_video_scores(file, target, views="1x1", average="logits")
    assert [(found.name, found.read_bytes()) for found in target.parent.iterdir()] == [("videos.parquet", b"old")]


def test_metrics_refuse_unknown_labels(kept: Kept) -> None:
    logits, labels = np.zeros((3, 1, 6), np.float32), np.array([[0], [-1], [-1]])
    file = kept(logits, labels, {"label": 6})
    with pytest.raises(DataError, match="2 of its videos have no label") as error:
        compute_metrics(file)
    assert error.value.file == str(file.file)
    accuracies = ValidationAccuracy({"label": [str(n) for n in range(6)]})
    with pytest.raises(UserError, match="2 of 3 videos of a batch have no label"):
        accuracies.update(Predictions(torch.zeros(3, 6), torch.from_numpy(labels), torch.arange(3)))


def test_predictions_file_of_another_kind_is_refused(kept: Kept, tmp_path: Path) -> None:
    file = kept(np.zeros((3, 2, 6), np.float32), np.zeros((3, 1), np.int64), {"label": 6}).file
    table, other = pq.read_table(file), tmp_path / "other.parquet"
    with pytest.raises(ConfigError) as missing:
        PredictionsFile(tmp_path / "gone")
    assert (missing.value.key, missing.value.value) == ("scores", tmp_path / "gone")
    (tmp_path / "text").write_text("nothing of that kind")
    with pytest.raises(DataError) as error:
        PredictionsFile(tmp_path / "text")
    assert error.value.file == str(tmp_path / "text")
    pq.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(DataError, match="it has no metadata of ours"):
        PredictionsFile(other)
    pq.write_table(table.drop_columns("logits"), other)
    with pytest.raises(DataError) as error:
        PredictionsFile(other)
    assert (error.value.file, error.value.column) == (str(other), "logits")
    pq.write_table(table.slice(1), other)
    with pytest.raises(DataError, match="does not hold every view of every video"):
        compute_metrics(PredictionsFile(other))
    about = json.loads(table.schema.metadata[b"vivit.scores"]) | {"heads": {"label": ["a", "b"]}}
    pq.write_table(table.replace_schema_metadata({b"vivit.scores": json.dumps(about)}), other)
    with pytest.raises(DataError, match="does not hold 2 logits a view"):
        compute_metrics(PredictionsFile(other))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(value: float, kept: Kept) -> None:
    logits = np.zeros((3, 2, 6), np.float32)
    logits[1, 1, 4] = value
    with pytest.raises(DataError, match=r"1\.mp4 are not finite"):
        compute_metrics(kept(logits, np.zeros((3, 1), np.int64), {"label": 6}))
