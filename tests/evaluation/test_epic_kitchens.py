"""EPIC-KITCHENS-100's official scores, written out once more in NumPy, and the file that its challenge wants."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from vivit.errors import ConfigError, DataError
from vivit.evaluation.epic_kitchens import Submission, compute_official_metrics
from vivit.evaluation.metrics import compute_metrics
from vivit.evaluation.predictions_reader import PredictionsFile

Kept = Callable[..., PredictionsFile]
SIZES = {"noun": 300, "verb": 97}


@pytest.fixture
def annotations(shared: Path) -> Path:
    folder = shared / "annotations" / "epic_kitchens_100"
    if not folder.is_dir():
        pytest.skip(f"no annotation files at {folder}")
    return folder


def column(file: Path, name: str) -> list[str]:
    with file.open(newline="") as text:
        return [row[name] for row in csv.DictReader(text)]


def as_published(
    verbs: np.ndarray, nouns: np.ndarray, labels: dict[str, np.ndarray], **subsets: Any
) -> dict[str, float]:
    """Score as the challenge's script does: actions among the products of the best 100 verbs and nouns of a video."""
    best: dict[str, np.ndarray] = {"verb": np.argsort(-verbs, 1)[:, :100], "noun": np.argsort(-nouns, 1)[:, :100]}
    shares = [
        np.exp(scores - np.log(np.exp(scores).sum(1, keepdims=True)))[np.arange(len(scores))[:, None], best[head]]
        for head, scores in (("verb", verbs), ("noun", nouns))
    ]
    best["action"] = np.empty((len(verbs), 5), np.int64)
    for row, (of_verbs, of_nouns) in enumerate(zip(*shares, strict=True)):
        products = np.outer(of_verbs, of_nouns)
        flat = np.argpartition(-products.ravel(), 5)[:5]
        v, n = np.unravel_index(flat[np.argsort(-products.ravel()[flat])], products.shape)
        best["action"][row] = best["verb"][row, v] * 1000 + best["noun"][row, n]
    labels = labels | {"action": labels["verb"] * 1000 + labels["noun"]}
    tail = {head: np.isin(labels[head], subsets[head]) for head in ("verb", "noun")}
    tail["action"] = tail["verb"] | tail["noun"]
    found = {}
    for task in ("verb", "noun", "action"):
        right = best[task][:, :5] == labels[task][:, None]
        for top in (1, 5):
            found[f"all_{task}_accuracy_at_{top}"] = 100 * right[:, :top].any(1).mean()
        found[f"tail_{task}_accuracy_at_1"] = 100 * right[tail[task], 0].mean()
        found[f"unseen_{task}_accuracy_at_1"] = 100 * right[subsets["unseen"], 0].mean()
    return found


@pytest.mark.slow
def test_epic_kitchens_metrics_of_the_real_validation_list(annotations: Path, kept: Kept) -> None:
    file = annotations / "EPIC_100_validation.csv"
    labels = {head: np.array(column(file, f"{head}_class"), np.int64) for head in SIZES}
    names, people = column(file, "narration_id"), column(file, "participant_id")
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(9668, 1, 397)).astype(np.float32)
    for head, offset, margin in (("noun", 0, 2.5), ("verb", 300, 2.0)):
        logits[np.arange(9668), 0, offset + labels[head]] += margin
    tail = {head: [int(n) for n in column(annotations / f"EPIC_100_tail_{head}s.csv", head)] for head in SIZES}
    unseen = column(annotations / "EPIC_100_unseen_participant_ids_validation.csv", "participant_id")
    truth = np.stack([labels[head] for head in SIZES], 1)
    kept_scores = kept(logits, truth, SIZES, names=names)
    begin = time.process_time()
    found = compute_official_metrics(compute_metrics(kept_scores), list(SIZES), {"tail": tail, "unseen": unseen})
    assert time.process_time() - begin < 60
    nouns, verbs = np.split(logits[:, 0].astype(np.float64), [300], 1)
    expected = as_published(verbs, nouns, labels, **tail, unseen=np.isin(people, unseen))
    assert found == pytest.approx(expected)
    assert len(found) == 12
    assert all(0 < share < 100 for share in found.values())
    assert found["tail_noun_accuracy_at_1"] != found["all_noun_accuracy_at_1"] != found["unseen_noun_accuracy_at_1"]


def test_epic_kitchens_metrics_without_lists_are_left_out(kept: Kept) -> None:
    file = kept(np.zeros((2, 1, 397), np.float32), np.zeros((2, 2), np.int64), SIZES, names=["P01_1_0", "P02_1_0"])
    measured = compute_metrics(file)
    names = set(compute_official_metrics(measured, list(SIZES), {"tail": None, "unseen": None}))
    assert names == {f"all_{task}_accuracy_at_{top}" for task in ("verb", "noun", "action") for top in (1, 5)}
    assert set(compute_official_metrics(measured, list(SIZES), {"tail": None, "unseen": ["P09"]})) == names, (
        "nobody is unseen here"
    )


LEVELS = {"sls_pt": 2, "sls_tl": 3, "sls_td": 4}


@pytest.mark.slow
def test_epic_kitchens_submission_of_the_real_test_list(annotations: Path, kept: Kept, tmp_path: Path) -> None:
    """Structure and numbers of all 13,092 segments."""
    names = column(annotations / "EPIC_100_test_timestamps.csv", "narration_id")
    logits = np.random.default_rng(0).normal(size=(13092, 2, 397)).astype(np.float32)
    file = kept(logits, np.full((13092, 2), -1), SIZES, names=names)
    Submission(**LEVELS)(file, tmp_path / "submission.zip", views="2x1", average="logits")
    with ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["test.json"]
        content = json.loads(archive.read("test.json"))
    results = content.pop("results")
    assert content == {"version": "0.2", "challenge": "action_recognition"} | LEVELS
    assert list(results) == names
    means = logits.astype(np.float64).mean(1)
    assert all(list(result) == ["verb", "noun"] for result in results.values())
    for at, name in list(enumerate(names))[::500]:
        for head, part in (("noun", means[at, :300]), ("verb", means[at, 300:])):
            assert list(results[name][head]) == [str(number) for number in range(SIZES[head])]
            np.testing.assert_allclose(list(results[name][head].values()), part, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "sizes", "problem"),
    [
        (["P01_1_0", "P01_1_0"], SIZES, "has P01_1_0 twice"),
        (None, SIZES, "no narration_id"),
        (
            ["P01_1_0", "P01_1_1"],
            {"noun": 97, "verb": 300},
            "has the classes",
        ),
    ],
)
def test_epic_kitchens_submission_of_another_data_set_is_refused(
    names: list[str] | None, sizes: dict[str, int], problem: str, kept: Kept, tmp_path: Path
) -> None:
    file = kept(np.zeros((2, 1, 397), np.float32), np.full((2, 2), -1), sizes, names=names)
    with pytest.raises(DataError, match=problem):
        Submission(**LEVELS)(file, tmp_path / "submission.zip", views="1x1", average="logits")


def test_epic_kitchens_submission_that_lacks_videos_is_warned_of(
    kept: Kept, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logits, labels = np.zeros((2, 1, 397), np.float32), np.full((2, 2), -1)
    file = kept(logits, labels, SIZES, names=["P01_1_0", "P01_1_1"], listed=3)
    Submission(**LEVELS)(file, tmp_path / "submission.zip", views="1x1", average="logits")
    assert "holds 2 of the 3 videos" in caplog.text


def test_epic_kitchens_supervision_levels_go_from_0_to_5() -> None:
    with pytest.raises(ConfigError) as error:
        Submission(sls_pt=0, sls_tl=6, sls_td=0)
    assert (error.value.key, error.value.value) == ("submission.sls_tl", 6)


def test_epic_kitchens_submission_that_fails_half_way_leaves_the_old_one(kept: Kept, tmp_path: Path) -> None:
    """The second name is found to be the first again when half of the file is written."""
    logits, labels = np.zeros((2, 1, 397), np.float32), np.full((2, 2), -1)
    target = tmp_path / "sent" / "submission.zip"
    target.parent.mkdir()
    target.write_bytes(b"old")
    file = kept(logits, labels, SIZES, names=["P01_1_0", "P01_1_0"])
    with pytest.raises(DataError, match="twice"):
        Submission(**LEVELS)(file, target, views="1x1", average="logits")
    assert [(found.name, found.read_bytes()) for found in target.parent.iterdir()] == [("submission.zip", b"old")]
