"""Probes beside scikit-learn's, on features whose answer is known; folds."""

from pathlib import Path

import numpy as np
import pytest

from vivit.errors import ConfigError, DataError
from vivit.features.doubtful_labels import doubtful_labels
from vivit.features.folds import rows_of_folds
from vivit.features.probes import PROBES, LabelledFeatures, Probe, run_probe
from vivit.tasks.probe_folds import read_groups
from vivit.tasks.probes import check_probes

CLASSES, DIM = 4, 16


def clouds(videos: int, seed: int, noise: float = 1.0) -> LabelledFeatures:
    """Features around a centre for each class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=videos)
    centres = np.random.default_rng(0).normal(size=(CLASSES, DIM))
    frames = (centres[labels][:, None] + noise * rng.normal(size=(videos, 3, DIM))).astype(np.float32)
    return LabelledFeatures(frames, frames.mean(1), labels)


def test_neighbours_vote_by_their_cosine() -> None:
    train, test = clouds(30, 1), clouds(20, 2)
    settings = [{"k": 1}, {"k": 5}, {"k": 50}]  # there are 30
    votes = PROBES["knn"].fit(train, test, settings, CLASSES, 0)
    far, near = (each.video / np.linalg.norm(each.video, axis=1, keepdims=True) for each in (train, test))
    for row, cosines in enumerate(near @ far.T):
        for setting, shares in zip(settings, votes[:, row], strict=True):
            nearest = np.argsort(-cosines)[: setting["k"]]
            expected = np.bincount(train.labels[nearest], np.exp(cosines[nearest] / 0.07), CLASSES)
            assert np.allclose(shares, expected / expected.sum(), atol=1e-4)


def test_logistic_regression_is_on_standardised_features_and_knows_of_classes_without_videos() -> None:
    train, test = clouds(80, 1), clouds(40, 2)
    few = train.take(np.flatnonzero(train.labels != 2))
    scores = PROBES["logistic"].fit(few, test, [{"c": 0.1}], CLASSES, 0)
    assert np.allclose(scores.sum(2), 1, atol=1e-5)
    assert not scores[..., 2].any()
    scaled = [each._replace(video=each.video * 1000 + 5) for each in (few, test)]
    assert np.allclose(PROBES["logistic"].fit(*scaled, [{"c": 0.1}], CLASSES, 0), scores, atol=1e-3)


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_tells_clouds_apart(name: str) -> None:
    result = run_probe(PROBES[name], clouds(80, 1), clouds(40, 2), clouds(60, 3), classes=CLASSES)
    assert (result.predicted == clouds(60, 3).labels).mean() > 0.9


def test_an_attentive_probe_sees_which_temporal_index_counts_where_a_mean_does_not() -> None:
    """One of four indices is marked, and has the class; the others have those of all other classes."""

    def marked(videos: int, seed: int) -> LabelledFeatures:
        rng = np.random.default_rng(seed)
        orders = np.argsort(rng.random((videos, CLASSES)), 1)
        frames = np.eye(DIM, dtype=np.float32)[orders]
        place = rng.integers(CLASSES, size=videos)
        frames[np.arange(videos), place, -1] = 1
        return LabelledFeatures(frames, frames.mean(1), orders[np.arange(videos), place])

    train, val, test = (marked(videos, seed) for seed, videos in enumerate((400, 100, 100)))
    accuracy = {
        name: (run_probe(PROBES[name], train, val, test, classes=CLASSES).predicted == test.labels).mean()
        for name in ("linear", "attentive")
    }
    assert accuracy["linear"] < 0.5 < 0.95 < accuracy["attentive"]


@pytest.mark.parametrize("name", ["linear", "attentive"])
def test_a_bank_trains_each_setting_as_if_it_were_alone(name: str) -> None:
    train, test = clouds(40, 1), clouds(20, 2)
    settings = PROBES[name].settings[:3]
    together = PROBES[name].fit(train, test, settings, CLASSES, 5)
    for setting, scores in zip(settings, together, strict=True):
        (alone,) = PROBES[name].fit(train, test, [setting], CLASSES, 5)
        assert np.array_equal(alone, scores)
    assert not np.allclose(together[0], together[2])


def test_settings_are_chosen_by_validation_videos_alone_and_trained_with_them() -> None:
    seen: list[tuple[int, int]] = []

    def fit(train, others, settings, classes, seed):
        seen.append((len(train.labels), len(others.labels)))
        return np.stack([np.eye(classes)[np.full(len(others.labels), int(setting["answer"]))] for setting in settings])

    train, val, test = clouds(10, 1), clouds(6, 2), clouds(8, 3)
    val = val._replace(labels=np.array([2, 2, 2, 2, 1, 0]))
    result = run_probe(Probe(fit, [{"answer": 0}, {"answer": 1}, {"answer": 2}]), train, val, test, classes=CLASSES)
    assert (result.setting, result.val_accuracy) == ({"answer": 2}, pytest.approx(4 / 6))
    assert seen == [(10, 6), (16, 8)]
    assert result.predicted.tolist() == [2] * 8


def test_every_video_is_scored_once_and_the_next_fold_chooses() -> None:
    fold_of = np.array([2, 0, 1, 2, 0, 3, 1])
    folds = list(rows_of_folds(fold_of, 4))
    assert [fold.test.tolist() for fold in folds] == [[1, 4], [2, 6], [0, 3], [5]]
    assert [fold.val.tolist() for fold in folds] == [[2, 6], [0, 3], [5], [1, 4]]
    for fold in folds:
        assert sorted(np.concatenate(fold)) == list(range(7))


def test_groups_are_read_by_the_end_of_a_path(tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("path,group\na/1.mp4,x\nb/1.mp4,y\n2.mp4,z\n")
    assert read_groups(file, ["/videos/a/1.mp4", "b/1.mp4", "/videos/c/2.mp4"]) == (["x", "y", "z"], [0, 1, 2])
    with pytest.raises(DataError, match=r"has no row for /videos/c/1\.mp4"):
        read_groups(file, ["/videos/c/1.mp4"])
    with pytest.raises(ConfigError, match="there is no such file"):
        read_groups(tmp_path / "none.csv", [])
    file.write_text("path,set\na,x\n")
    with pytest.raises(DataError, match="group"):
        read_groups(file, ["a"])


@pytest.mark.parametrize(
    ("probes", "folds", "splits", "key"),
    [
        (["forest"], None, ["train", "val", "test"], "probes"),
        (["knn"], 2, ["train"], "folds"),
        (["knn"], None, ["train", "test"], "splits"),
    ],
)
def test_what_cannot_be_chosen_or_scored_is_refused(probes, folds, splits, key) -> None:
    with pytest.raises(ConfigError) as error:
        check_probes(probes, folds, splits)
    assert error.value.key == key


@pytest.mark.parametrize("name", PROBES)
def test_videos_of_a_wrong_label_are_doubted_by_a_probe_that_has_not_seen_them(name: str) -> None:
    """One label of ten is wrong, in all videos that a probe learns from, too."""
    videos = clouds(200, 1, noise=0.5)
    wrong = np.random.default_rng(5).choice(200, 20, replace=False)
    labels = videos.labels.copy()
    labels[wrong] = (labels[wrong] + 1) % CLASSES
    mislabelled = videos._replace(labels=labels)
    doubted: set[int] = set()
    first: list[bool] = []
    for fold in rows_of_folds(np.arange(200) % 5, 5):
        parts = (mislabelled.take(part) for part in fold)
        probabilities = run_probe(PROBES[name], *parts, classes=CLASSES).probabilities
        assert np.allclose(probabilities.sum(1), 1, atol=1e-4)
        listed = doubtful_labels(probabilities, labels[fold.test])
        doubted |= {int(fold.test[doubt.row]) for doubt in listed}
        assert [doubt.margin for doubt in listed] == sorted((doubt.margin for doubt in listed), reverse=True)
        first += [doubt.answer == videos.labels[fold.test[doubt.row]] for doubt in listed[:3]]
    assert len(doubted.intersection(wrong.tolist())) >= 19, "of twenty"
    assert len(doubted) < 30
    assert sum(first) >= 12, "of fifteen; one neighbour is always sure"


def test_the_surest_of_other_answers_comes_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.7, 0.3, 0], [0.4, 0.6, 0], [0.05, 0.5, 0.45]])
    assert doubtful_labels(probabilities, np.array([0, 0, 1, 1])) == []
    expected = [(3, 1, pytest.approx(0.45)), (1, 0, pytest.approx(0.4)), (2, 1, pytest.approx(0.2))]
    assert doubtful_labels(probabilities, np.array([0, 1, 0, 0])) == expected
