"""The findings about a data set: each planted fault is named, and a sound set has none."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from films import film
from PIL import Image
from test_appearance import moving

from vivit.config_folder import CONFIGS
from vivit.data.datasets import CsvDataset, VideoFolder
from vivit.data.index.index import SCHEMA, write_piece
from vivit.data.index.prepare import prepare
from vivit.data.overview import ClipPlan, Finding, VideoFacts, list_findings, load_facts
from vivit.data.overview.advice import advised_views, settings_for
from vivit.data.overview.page import Command, describe, render_overview
from vivit.data.overview.sheets import class_sheets
from vivit.errors import DataError

PLAN = ClipPlan(frames=8, fps=4, resize=100, whole_network=False)
SQUARE = replace(PLAN, crop=(90, 90))
TALL = replace(PLAN, resize=80, crop=(72, 40))
STRIDE = ClipPlan(frames=8, stride=2, resize=100, whole_network=False)

ROW = {"bytes": 9, "codec": "h264", "width": 128, "height": 100, "rotation": 0, "sound": False, "fps": 25.0}
ROW |= {"seconds": 4.0, "frames": 100, "stamp": 0, "step": 1}


def indexed(
    root: Path, changes: Callable[[int, str], dict[str, Any]] = lambda number, label: {}, **options: Any
) -> Any:
    """Return a data set of 2 x 60 listed videos, of which only the index knows, with changes to its rows."""
    rows, lines = [], {"train": ["path,label,group"], "val": ["path,label,group"]}
    for number in range(120):
        label, split = "ab"[number % 2], "val" if number >= 100 else "train"
        path = f"{number:03}.mp4"
        (root / path).write_bytes(b"123456789")
        lines[split].append(f"{path},{label},{number}")
        rows.append(dict.fromkeys(SCHEMA.names) | ROW | {"path": path} | changes(number, label))
    for split, text in lines.items():
        (root / f"{split}.csv").write_text("\n".join(text) + "\n")
    write_piece(root / "prepared", pa.Table.from_pylist(rows, SCHEMA))
    return CsvDataset(root=root, **options)


def kinds(dataset: Any, plan: ClipPlan = PLAN) -> dict[str, Finding]:
    return {finding.kind: finding for finding in list_findings(load_facts(dataset), plan)}


def test_three_crops_and_pictures_that_are_hardly_wide_are_no_finding(tmp_path: Path) -> None:
    assert "edges_cut" not in kinds(indexed(tmp_path), SQUARE)
    wide = indexed(tmp_path, lambda number, label: {"width": 178})
    assert "edges_cut" not in kinds(wide, replace(SQUARE, spatial_views=3))
    settings = settings_for(load_facts(wide), list(kinds(wide, SQUARE).values()), 256)
    assert settings[-1].override == "views=4x3"


def test_a_sound_data_set_has_no_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = indexed(
        tmp_path, lambda number, label: {"seconds": rng.uniform(3, 9), "frames": int(rng.integers(75, 200))}
    )
    assert list(kinds(dataset)) == ["no_test"]
    assert list(kinds(dataset, STRIDE)) == ["no_test"]
    assert kinds(dataset, ClipPlan(frames=8, fps=4, resize=100))["few_videos"].text.startswith(
        "there are only 100 training videos"
    )
    assert describe(load_facts(dataset)).startswith("120 videos (100 train, 20 val), 2 classes")


@pytest.mark.parametrize(
    ("changes", "plan", "kind", "text"),
    [
        (lambda n, label: {"fps": [24.0, 60.0][n % 3 == 0]}, STRIDE, "mixed_rates", "24 to 60 frames a second"),
        (lambda n, label: {"step": None, "stamps": [0, 2]} if n == 7 else {}, STRIDE, "variable_rate", "1 video has"),
        (lambda n, label: {"fps": 3.0} if n < 2 else {}, PLAN, "rate_above_file", "2 videos have fewer frames"),
        (lambda n, label: {"seconds": 1.0} if n < 3 else {}, PLAN, "shorter_than_clip", "3 videos are shorter"),
        (lambda n, label: {"height": 60} if n < 4 else {}, PLAN, "enlarged", "4 videos are smaller than"),
        (lambda n, label: {"width": 640, "height": 480}, PLAN, "large", "most videos are larger"),
        (lambda n, label: {"hashes": [None] * 5} if n < 2 else {}, PLAN, "blank", "2 videos show one"),
        (lambda n, label: {"seconds": 401.0} if n == 7 else {}, PLAN, "far_longer", "1 video is over 100 times as"),
        (lambda n, label: {"width": 178}, SQUARE, "edges_cut", "shows 51 % of the longer side of most pictures"),
        (lambda n, label: {"width": 80, "height": 120}, TALL, "edges_cut", "shows 60 % of the longer side"),
        (lambda n, label: {"problem": "is damaged"} if n == 5 else {}, PLAN, "unusable", "005.mp4 (is damaged)"),
        (lambda n, label: {"seconds": 2.0 + (label == "b")}, PLAN, "metadata_tell", "by length alone 100 %"),
        (lambda n, label: {"sound": label == "a"}, PLAN, "metadata_tell", "by sound alone 100 %"),
    ],
)  # fmt: skip
def test_faults_of_files_are_named(
    tmp_path: Path, changes: Callable[[int, str], dict[str, Any]], plan: ClipPlan, kind: str, text: str
) -> None:
    results = kinds(indexed(tmp_path, changes), plan)
    assert text in results.pop(kind).text
    assert not any(finding.is_warning for finding in results.values())


@pytest.mark.parametrize(("slow", "remedy"), [(2, "leave them out"), (60, "set data.fps=3 or less")])
def test_clips_are_cut_for_most_videos(tmp_path: Path, slow: int, remedy: str) -> None:
    dataset = indexed(tmp_path, lambda number, label: {"fps": 3.0} if number < slow else {})
    assert kinds(dataset)["rate_above_file"].remedy == remedy


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"fps": 120.0}, "far_faster", "have up to 120 frames a second, where most have 25"),
        ({"width": 90, "height": 160}, "turned", "videos are upright, where most are wide"),
    ],
)
def test_the_few_files_unlike_the_others_are_named_with_their_class(
    tmp_path: Path, change: dict[str, Any], kind: str, words: str
) -> None:
    for name, labels in (("one", "b"), ("all", "ab")):
        (tmp_path / name).mkdir()
        dataset = indexed(
            tmp_path / name,
            lambda n, label, labels=labels: (
                {"width": 160, "height": 90} | (change if n % 10 in (1, 4) and label in labels else {})
            ),
        )
        finding = kinds(dataset)[kind]
        assert words in finding.text
        assert ("all of class b" in finding.text) == (name == "one")
        if kind == "turned":
            assert finding.is_warning == (name == "one")
    (tmp_path / "half").mkdir()
    half = indexed(tmp_path / "half", lambda n, label: {"width": 160, "height": 90} | (change if n % 2 else {}))
    assert kind not in kinds(half)


def test_rates_do_not_matter_to_clips_by_time(tmp_path: Path) -> None:
    dataset = indexed(tmp_path, lambda number, label: {"fps": [24.0, 60.0][number % 3 == 0]})
    assert not kinds(dataset)["mixed_rates"].is_warning
    assert kinds(dataset, STRIDE)["mixed_rates"].is_warning


def test_chance_is_not_taken_for_metadata_that_tell(tmp_path: Path) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        dataset = indexed(
            folder,
            lambda number, label, rng=rng: {"seconds": rng.uniform(2, 9), "width": int(rng.integers(101, 900))},
        )
        assert "metadata_tell" not in kinds(dataset)


def listed(root: Path, **splits: Sequence[str]) -> CsvDataset:
    for split, lines in splits.items():
        (root / f"{split}.csv").write_text("path,label,group\n" + "".join(f"{line}\n" for line in lines))
        for line in lines:
            (root / line.partition(",")[0]).write_bytes(b"x")
    return CsvDataset(root=root)


def test_faults_of_lists_are_named(tmp_path: Path) -> None:
    train = [f"left_{n}.mp4,left,{n}" for n in range(6)] + [f"right_{n}.mp4,right,r{n}" for n in range(30)]
    train += ["right_90.mp4,left,m", "right_3.mp4,left,r3", "right_4.mp4,right,r4", "rare.mp4,rare,q"]
    val = ["left_0.mp4,left,0", "left_x.mp4,left,1", "right_y.mp4,right,y"]
    dataset = listed(tmp_path, train=train, val=val, test=val[1:])
    results = kinds(dataset)
    texts = {kind: finding.text for kind, finding in results.items()}
    assert texts["in_several_splits"] == "3 videos are listed in several splits: left_0.mp4, left_x.mp4, right_y.mp4"
    assert texts["contradicting_labels"] == "1 video is listed with different labels: right_3.mp4"
    assert texts["listed_twice"] == "1 video is listed twice in one split: right_4.mp4"
    assert texts["named_like_another_class"].startswith(
        "2 files are named like another class: right_90.mp4 is listed as"
    )
    assert texts["few_of_class"] == "1 class has fewer than 5 training videos: rare (1)"
    assert texts["unbalanced"] == "classes are unbalanced: 31 training videos of right, 1 of rare"
    assert texts["class_not_scored"] == "test has no video of 1 class: rare"
    assert results["group_in_several_splits"].text.startswith("3 groups have videos in several splits: 0, 1, y")
    assert "unbalanced" not in kinds(dataset, ClipPlan(frames=8, fps=4, resize=100, balance=0.5))
    assert "unbalanced" not in kinds(dataset, ClipPlan(frames=8, fps=4, resize=100, weighted=True))


def test_one_class_is_no_classifier(tmp_path: Path) -> None:
    results = kinds(listed(tmp_path, train=["a.mp4,x,1", "b.mp4,x,2"]))
    assert results["one_class"].text == "there is one class only, x, and a classifier tells classes apart"
    assert "no_val" in results


def test_segments_of_a_file_are_no_repetitions(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    rows = "path,label,start,end\na.mp4,x,0,1\na.mp4,y,1,2\n"
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.csv").write_text(rows)
    assert set(kinds(CsvDataset(root=tmp_path))) == {"few_of_class"}


def test_groups_of_held_out_videos_are_theirs(tmp_path: Path) -> None:
    dataset = listed(tmp_path, train=[f"{n}.mp4,{'ab'[n % 2]},g{n // 2}" for n in range(40)])
    dataset = CsvDataset(root=tmp_path, val_share=0.2)
    facts = load_facts(dataset)
    by_path = dict(zip(facts.videos["path"], facts.videos["group"], strict=True))
    assert by_path == {f"{n}.mp4": f"g{n // 2}" for n in range(40)}
    assert set(facts.splits) == {"train", "val"}
    assert "group_in_several_splits" not in kinds(dataset)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real videos with a film in two splits, one under two labels, two rates, and a broken file."""
    root = tmp_path_factory.mktemp("planted")
    for split, classes in {"train": ("fall", "walk"), "val": ("fall", "walk")}.items():
        for label in classes:
            (root / split / label).mkdir(parents=True)
    for number in range(5):
        film(root / "train" / "fall" / f"f{number}.mp4", moving(number, still=number), crf=18)
        film(root / "train" / "walk" / f"w{number}.mp4", moving(20 + number, still=20 + number), rate=50, crf=18)
    film(root / "val" / "fall" / "leak.mp4", moving(1, still=1)[:, ::2, ::2], crf=26)
    film(root / "train" / "walk" / "wrong.mp4", moving(2, still=2), crf=30)
    film(root / "val" / "walk" / "new.mp4", moving(30, still=30), rate=50, crf=18)
    (root / "train" / "walk" / "broken.mp4").write_bytes(b"no video")
    prepare(VideoFolder(root=root), num_workers=1)
    return root


def test_planted_faults_of_real_videos_are_named(planted: Path) -> None:
    dataset = VideoFolder(root=planted)
    results = kinds(dataset, STRIDE)
    assert "train/fall/f1.mp4 = val/fall/leak.mp4" in results["film_in_several_splits"].text
    assert "train/fall/f2.mp4 = train/walk/wrong.mp4" in results["film_with_two_labels"].text
    assert results["film_twice"].paths == results["film_with_two_labels"].paths
    assert results["film_in_several_splits"].paths == ("train/fall/f1.mp4", "val/fall/leak.mp4")
    assert results["film_with_two_labels"].paths == ("train/fall/f2.mp4", "train/walk/wrong.mp4")
    assert results["mixed_rates"].text.startswith("videos have 25 to 50 frames a second")
    assert results["unusable"].paths == ("train/walk/broken.mp4",)
    assert "alike_in_several_splits" not in results, "said once"


def test_the_page_shows_classes_findings_and_pictures(planted: Path) -> None:
    facts = load_facts(VideoFolder(root=planted))
    findings = list_findings(facts, STRIDE)
    sheets = class_sheets(facts, planted, 1)
    assert set(sheets["label"]) == {"fall", "walk"}
    assert all(sheet.startswith("data:image/jpeg;base64,") for sheet in sheets["label"].values())
    page = render_overview(
        "<set>", facts, findings, [Command("type this", "Because.")], settings_for(facts, findings, 256), sheets
    )
    assert "&lt;set&gt;" in page
    assert page.count('class="finding warning"') == sum(finding.is_warning for finding in findings)
    assert "type this" in page
    assert "14 videos (12 train, 2 val)" in page
    for text in ("half below", "h264", "broken.mp4", "data.fps="):
        assert text in page


def test_one_long_film_does_not_flatten_the_others(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).uniform(3, 9, 121)
    dataset = indexed(tmp_path, lambda n, label: {"seconds": 18000.0 if n == 7 else lengths[n]})
    page = render_overview("a", load_facts(dataset), [], [], [], {})
    seconds = re.search(r"<h3>Seconds</h3>(.*?)<h3>", page, re.DOTALL)
    assert seconds is not None
    assert "last bar: 1 above that, up to 18,000 s" in seconds[1]
    heights = [float(height) for height in re.findall(r"height: ([\d.]+)%", seconds[1])]
    assert sum(height > 0 for height in heights[:-1]) > 20, "all bars but the last are of videos below 9 s"
    assert heights[-2:] == [0, min(height for height in heights if height)]


def test_settings_follow_most_files_and_not_one(tmp_path: Path) -> None:
    facts = load_facts(indexed(tmp_path, lambda n, label: {"seconds": 1.6, "fps": 2.0 if n == 3 else 25.0}))
    assert [setting.override for setting in settings_for(facts, [], 256)] == ["data.fps=4.4", "views=1x1"]
    for folder, rate in (("slow", 5.0), ("usual", 25.0)):
        (tmp_path / folder).mkdir()
        facts = load_facts(indexed(tmp_path / folder, lambda n, label, rate=rate: {"seconds": 1.0, "fps": rate}))
        (first, _) = settings_for(facts, [], 256)
        assert first.override == f"data.fps={5 if rate == 5 else 7}"
        assert ("8 frames fit" in first.reason) == (rate == 25)
    found = [Finding("large", "a"), Finding("unbalanced", "b")]
    chosen = settings_for(load_facts(indexed(tmp_path, lambda n, label: {"seconds": 5.0})), found, 128)
    assert {setting.override for setting in chosen} == {"data.balance=0.5", "data.dataset.copies=128"}


def test_lengths_are_those_of_segments(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"123456789")
    write_piece(
        tmp_path / "prepared", pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | ROW | {"path": "a.mp4"}], SCHEMA)
    )
    rows = ["0,3,x", "1,9,y", "3.5,,x", "90,95,y", "0,2,x"]  # of a file of four seconds
    for split in ("train", "val"):
        lines = [f"a.mp4,{row}\n" for row in rows]
        (tmp_path / f"{split}.csv").write_text("path,start,end,label\n" + "".join(lines))
    facts = load_facts(CsvDataset(root=tmp_path), ["train"])
    assert facts.videos["length"].tolist() == [3, 3, 0.5, -86, 2]
    results = {finding.kind: finding for finding in list_findings(facts, PLAN)}
    assert results["segment_behind_end"].text.startswith("1 segment begins behind the end")
    assert results["shorter_than_clip"].text.startswith("1 video is shorter than a clip of 8 frames (1.75 s)")
    assert describe(facts).endswith("8.5 seconds.")
    assert "in_several_splits" not in kinds(CsvDataset(root=tmp_path))


def test_several_labels_are_counted_by_class(tmp_path: Path) -> None:
    lines = [f"{n}.mp4,{'a' if n % 3 else 'a;b'}" for n in range(12)] + ["12.mp4,"]
    (tmp_path / "train.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    facts = load_facts(CsvDataset(root=tmp_path, separator=";"), look_on_disk=False)
    assert facts.class_counts("label")["train"].to_dict() == {"a": 12, "b": 4}
    results = {finding.kind: finding.text for finding in list_findings(facts, PLAN)}
    assert results["few_of_class"].endswith("b (4)")
    assert "unbalanced" not in results, "drawing classes more often is not for these"


def test_files_that_are_gone_are_named_though_they_are_indexed(tmp_path: Path) -> None:
    dataset = indexed(tmp_path)
    (tmp_path / "007.mp4").unlink()
    assert kinds(dataset)["unusable"].paths == ("007.mp4",)


def test_cameras_and_films_by_their_list(tmp_path: Path) -> None:
    dataset = indexed(tmp_path)
    rows = [
        "path,group,film",
        "000.mp4,0,-1",
        "100.mp4,0,-1",
        "002.mp4,1,5",
        "004.mp4,1,5",
        "006.mp4,2,6",
        "007.mp4,2,6",
    ]
    (tmp_path / "prepared" / "alike.csv").write_text("\n".join(rows) + "\n")
    results = kinds(dataset)
    assert results["alike_in_several_splits"].paths == ("000.mp4", "100.mp4")
    assert results["alike_in_several_splits"].text.endswith("000.mp4 = 100.mp4")
    assert results["film_with_two_labels"].paths == ("006.mp4", "007.mp4")
    assert results["film_twice"].text.startswith("2 films are there more than once in one split")
    assert "film_in_several_splits" not in results
    (tmp_path / "prepared" / "alike.csv").write_text("path,group\nx,1\n")
    with pytest.raises(DataError, match=r"alike\.csv: is not what prepare\.py writes; delete it"):
        kinds(dataset)


def test_folders_of_pictures_have_a_page(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / split / label / "take").mkdir(parents=True)
            for number in range(1, 4):
                picture = Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8))
                picture.save(tmp_path / split / label / "take" / f"frame_{number:010}.jpg")
    dataset = VideoFolder(root=tmp_path)
    prepare(dataset, num_workers=1)
    facts = load_facts(dataset)
    page = render_overview("x", facts, list_findings(facts, PLAN), [], [], class_sheets(facts, tmp_path, 1))
    assert "unknown" in page
    assert (facts.videos["alike"] == -1).all(), "nothing is known of what they look like"
    assert page.count("data:image/jpeg") == 2


def test_short_videos_get_a_higher_rate(tmp_path: Path) -> None:
    dataset = indexed(tmp_path, lambda number, label: {"seconds": 0.8})
    facts = load_facts(dataset)
    assert [setting.override for setting in settings_for(facts, [], 256)] == ["data.fps=8.8", "views=1x1"]
    long = indexed(
        tmp_path / "long" if (tmp_path / "long").mkdir() is None else tmp_path, lambda n, label: {"seconds": 60.0}
    )
    assert [setting.override for setting in settings_for(load_facts(long), [], 256)] == ["views=10x1"]


@pytest.mark.parametrize(("seconds", "views"), [(0.8, "1x1"), (2.9, "1x1"), (10.0, "4x1"), (60.0, "10x1")])
def test_views_after_a_run_are_those_of_the_page(tmp_path: Path, seconds: float, views: str) -> None:
    facts = load_facts(indexed(tmp_path, lambda number, label: {"seconds": seconds}))
    settings = dict(each.override.split("=") for each in settings_for(facts, [], 256))
    plan = ClipPlan(frames=8, fps=float(settings.get("data.fps", 4)), resize=256)
    assert advised_views(facts, [], plan) == settings.get("views", "4x1") == views
    assert advised_views(facts, [Finding("edges_cut", "a")], plan) == f"{views[:-2]}x3"
    assert {views, f"{views[:-2]}x3"} <= {file.stem for file in (CONFIGS / "views").iterdir()}, "they can be typed"
    unknown = VideoFacts(facts.heads, facts.videos.assign(fps=np.nan, length=np.nan), facts.labels)
    assert advised_views(unknown, [], plan) is None


def test_folders_are_searched_once(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, calls, search = VideoFolder(root=planted, max_missing={"train": 0.5, "val": 0.0}), [], VideoFolder.table
    monkeypatch.setattr(VideoFolder, "table", lambda self, split: calls.append(split) or search(self, split))
    dataset.videos("train")
    load_facts(dataset)
    assert sorted(calls) == ["train", "val"]
