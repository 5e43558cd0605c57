"""A data set of somebody's own: class names, and a list of videos, in one class with two methods."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import film, noise

from vivit.data import VideoDataModule
from vivit.data.datasets import Video, VideoDataset, register_dataset
from vivit.data.datasets.registry import _CLASSES
from vivit.data.index.prepare import prepare
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.errors import ConfigError, DataError

NOUNS, VERBS = ["egg", "tea"], ["cut", "mix", "pour"]
SIDES = {"red": 0, "green": 1, "blue": 2}


@dataclass(kw_only=True)
class Kitchen(VideoDataset):
    """Reads one JSON file of labels for all splits; ``annotations`` is its option."""

    annotations: str = "labels.json"

    @cached_property
    def content(self) -> dict[str, Any]:
        return json.loads((self.root / self.annotations).read_text())

    @cached_property
    def heads(self) -> dict[str, list[str]]:
        return self.content["heads"]

    def table(self, split: str) -> list[Video]:
        heads = self.heads.items()
        return [
            Video(row["file"], tuple(names.index(row[head]) for head, names in heads), *row.get("time", ()), name=key)
            for key, row in self.content["videos"][split].items()
        ]


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a data set that is registered as ``kitchen``: red, green and blue seconds of one film, and others.

    One video lies elsewhere and is named by its absolute path, one below the root too.
    """
    monkeypatch.setitem(_CLASSES, "kitchen", Kitchen)
    root, elsewhere = tmp_path / "kitchen", tmp_path / "elsewhere"
    (root / "day").mkdir(parents=True)
    elsewhere.mkdir()
    colours = np.zeros((75, 40, 48, 3), np.uint8)
    for second in range(3):
        colours[25 * second : 25 * second + 25, ..., second] = 255
    film(root / "day" / "long.mp4", colours)
    film(root / "day" / "a.mp4", noise(20))
    film(elsewhere / "b.mp4", noise(30))
    segments = {
        name: {"file": "day/long.mp4", "noun": "tea", "verb": VERBS[at], "time": [at + 0.0, at + 1.0]}
        for name, at in SIDES.items()
    }
    whole = {"file": str(root / "day" / "a.mp4"), "noun": "egg", "verb": "mix"}
    far = {"file": str(elsewhere / "b.mp4"), "noun": "egg", "verb": "cut"}
    videos = {"train": segments | {"whole": whole}, "val": {"far": far, "gone": {**whole, "file": "day/gone.mp4"}}}
    content = {"heads": {"noun": NOUNS, "verb": VERBS}, "videos": videos | {"test": segments}}
    (root / "labels.json").write_text(json.dumps(content))
    return root


def data_module(root: Path, **options: Any) -> VideoDataModule:
    return VideoDataModule(
        root=str(root), dataset={"name": "kitchen", **options}, frames=4, stride=1, resize=36, crop=(32, 32), seed=3,
        augment=partial(RandomViewSampler, hflip_prob=1.0), views=MultiViewSampler, batch_size=3, num_workers=0,
    )  # fmt: skip


def test_list_of_videos_becomes_batches(kitchen: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = data_module(kitchen)
    data.prepare_data()
    assert data.heads == {"noun": tuple(NOUNS), "verb": tuple(VERBS)}
    (batch,) = data.test_dataloader()
    assert batch.frames.shape == (3, 1, 4, 32, 32, 3)
    assert batch.labels.tolist() == [[1, 0], [1, 1], [1, 2]]
    brightest = batch.frames.float().mean((1, 2, 3, 4)).argmax(-1)
    assert brightest.tolist() == [0, 1, 2], "each is its own second of the film"
    batches = list(data.train_dataloader())
    assert sum(len(batch.videos) for batch in batches) == 3  # of four, in whole batches
    assert "clips are not mirrored" in caplog.text, "unless a data set says what that does to its labels"
    assert data.dataset.videos("train").column("path").to_pylist() == ["day/long.mp4"] * 3 + ["day/a.mp4"]
    assert data.dataset.videos("train")[1].name == "green"


def test_missing_files_of_a_list_are_counted_and_others_found_anywhere(kitchen: Path) -> None:
    with pytest.raises(ConfigError, match=r"1 of 2 val videos cannot be used: day/gone\.mp4 \(missing\)") as error:
        data_module(kitchen).val_dataloader()
    assert error.value.key == "data.dataset.max_missing.val"
    data = data_module(kitchen, max_missing={"train": 0.0, "val": 0.5, "test": 0.0})
    (batch,) = data.val_dataloader()
    assert batch.labels.tolist() == [[0, 0]]
    assert data.dataset.stats["val"] == (2, 1, {"day/gone.mp4": "missing"})
    assert data.dataset.videos("val")[0].path == str(kitchen.parent / "elsewhere" / "b.mp4")


def test_list_of_videos_is_indexed_and_copied(kitchen: Path) -> None:
    options = {"max_missing": {"train": 0.0, "val": 0.5, "test": 0.0}}
    counts = prepare(data_module(kitchen, **options).dataset, num_workers=1, copies=32)
    assert (counts["files"], counts["missing"], counts["copies"]) == (4, 1, 3)
    indexed = data_module(kitchen, **options).dataset.videos("val")[0]
    assert len(indexed.stamps) == 30
    copied = data_module(kitchen, **options, copies=32)
    assert all(Path(video.path).is_relative_to(kitchen / "prepared") for video in copied.dataset.videos("train"))
    assert Path(copied.dataset.videos("val")[0].path).is_relative_to(kitchen / "prepared")
    (batch,) = copied.test_dataloader()
    assert batch.frames.float().mean((1, 2, 3, 4)).argmax(-1).tolist() == [0, 1, 2]


def test_paths_below_a_relative_root_are_stored_relative(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``self.root / name`` gives them, and absolute, and relative to the root."""
    monkeypatch.chdir(kitchen.parent)
    content = json.loads((kitchen / "labels.json").read_text())
    paths = ("kitchen/day/a.mp4", str(kitchen / "day" / "a.mp4"), "day/a.mp4")
    content["videos"]["test"] = {str(n): {"file": path, "noun": "egg", "verb": "mix"} for n, path in enumerate(paths)}
    (kitchen / "labels.json").write_text(json.dumps(content))
    data = data_module(Path("kitchen")).dataset
    assert data.videos("test").column("path").to_pylist() == ["day/a.mp4"] * 3
    assert data.videos("test")[0].path == "kitchen/day/a.mp4"


def listing(root: Path, *videos: Any, heads: Any = None) -> VideoDataset:
    """Return a data set whose class has only what it must have."""

    class Listing(VideoDataset):
        def table(self, split: str) -> Any:
            return list(videos)

    Listing.heads = {"noun": NOUNS, "verb": VERBS} if heads is None else heads
    return Listing(root=root)


GOOD = Video("a.mp4", (0, 2))


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("make", "column", "problem"),
    [
        (
            lambda: Video("b.mp4", (0, 3)),
            "labels",
            "the label 3, which is no class number of 'verb'; .*0 to 2",
        ),
        (lambda: Video("b.mp4", (-1, 0)), "labels", "the label -1"),
        (lambda: Video("b.mp4", ("egg", 0)), "labels", "the label 'egg'"),
        (lambda: Video("b.mp4", (True, 0)), "labels", "the label True"),
        (lambda: Video("b.mp4", (0,)), "labels", "the labels .0,., and the heads are noun, verb"),
        (lambda: Video("b.mp4", 0), "labels", "the labels 0"),
        (lambda: Video("b.mp4", (0, 0), 2.0, 2.0), "end", "2.0 of b.mp4 is not after the start"),
        (lambda: Video("b.mp4", (0, 0), None, 0.0), "end", "not after the start"),
        (lambda: Video("b.mp4", (0, 0), -1.0), "start", "is no time in a video"),
        (lambda: Video("b.mp4", (0, 0), 0.0, float("nan")), "end", "is no time in a video"),
        (lambda: Video("b", (0, 0), frame_range=(4, 3)), "frame_range", "no first and last frame number"),
        (lambda: Video("", (0, 0)), "path", "is empty"),
        (lambda: "b.mp4", None, "'b.mp4' is no Video"),
    ],
)
def test_rows_that_cannot_be_right_are_named(
    make: Callable[[], Any], column: str | None, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=problem) as error:
        listing(tmp_path, GOOD, make()).videos("train")
    assert (error.value.file, error.value.row, error.value.column) == ("Listing.table('train')", 1, column)


def test_unlabelled_videos_are_listed_outside_of_training(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert listing(tmp_path, Video("a.mp4", (-1, -1))).videos("test").unlabelled() == 1


def test_frame_ranges_and_times_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "a.mp4").touch()
    given = [Video(str(tmp_path / "frames"), (0, 0), frame_range=(1, 9)), Video("a.mp4", (1, 2), 0.5, 2.0, name="x")]
    first, second = listing(tmp_path, *given).videos("train")[:]
    assert first == given[0]
    assert second == Video(str(tmp_path / "a.mp4"), (1, 2), 0.5, 2.0, name="x")


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda root: listing(root), "lists no video"),
        (lambda root: listing(root, GOOD, heads={}), "names no classes"),
        (lambda root: listing(root, GOOD, heads={"noun": "egg"}), "is no list of class names"),
        (lambda root: listing(root, GOOD, heads={"noun": ["egg", "egg"]}), "'egg' is listed twice"),
        (lambda root: listing(root, GOOD, heads={"noun": [1, 2]}), "1 is no text"),
    ],
)
def test_lists_and_heads_that_cannot_be_right_are_refused(
    make: Callable[[Path], VideoDataset], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=problem) as error:
        make(tmp_path).videos("train")
    assert error.value.file == "Listing.table('train')"


def test_class_without_class_names_is_named(tmp_path: Path) -> None:
    class Nameless(VideoDataset):
        def table(self, split: str) -> list[Video]:
            return [GOOD]

    with pytest.raises(ConfigError, match="Nameless has no heads") as error:
        _ = Nameless(root=tmp_path).heads
    assert error.value.key == "data.dataset.name"


def test_registered_class_is_built_by_the_data_module(kitchen: Path) -> None:
    register_dataset("kitchen")(Kitchen)
    assert type(data_module(kitchen).dataset) is Kitchen
    with pytest.raises(
        ConfigError, match="copies, flip, frames_fps, group_before, index_dir, max_missing, score_by$"
    ) as error:
        data_module(kitchen, annotation="x.json")
    assert (error.value.key, error.value.value) == ("data.dataset.annotation", "x.json")
