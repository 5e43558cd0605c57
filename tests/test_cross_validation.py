"""A cross-validation by the command of the documents: from generated videos to its summary, through a failed fold."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from films import film
from forked import Command, start

from vivit.groups import bootstrap_interval

pytestmark = pytest.mark.slow
FOLDS = 3
SMALL = (
    *("size=tiny", "data.frames=4", "data.stride=1", "data.resize=36", "data.crop=[32,32]", "data.num_workers=0"),
    *(
        "data.batch_size=2",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "callbacks.progress=null",
        "views=1x1",
        "logger=none",
    ),
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of six films; only their brightness tells the two classes apart."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    lines = ["path,label,group"]
    for number in range(12):
        label, level = ("dark", 40) if number // 2 % 2 else ("bright", 170)
        film(root / f"{number}.mp4", (level + rng.integers(0, 40, (6, 36, 40, 3))).astype(np.uint8))
        lines.append(f"{number}.mp4,{label},film{number // 2}")
    (root / "videos.csv").write_text("\n".join(lines) + "\n")
    return root


def cross_validate(root: Path, logs: Path, name: str, *words: str) -> Command:
    data = ("data=csv_folds", f"data.root={root}", f"data.dataset.folds={FOLDS}", f"paths.logs={logs}")
    return start(logs / f"{name}.txt", "src/train.py", "-m", *data, *SMALL, *words)


def test_a_fold_that_failed_is_named_and_runs_when_it_is_started_again(videos: Path, tmp_path: Path) -> None:
    folder, gone = tmp_path / "cv", videos / "0.mp4"
    words = (
        *("data.dataset.fold=0,1,2", f"hydra.sweep.dir={folder}"),
        "data.dataset.max_missing={train:1,val:1,test:0}",
    )
    gone.rename(videos / "away")
    failed = cross_validate(videos, tmp_path, "first", *words)
    assert failed.wait() == 1
    (videos / "away").rename(gone)
    first = json.loads((folder / "summary.json").read_text())
    assert first["status"] == {"done": 2, "failed": 1}
    (row,) = first["settings"]
    assert (row["folds_done"], row["folds"], row["videos"]) == (2, 3, 8)
    assert "\ndefault: fold 0 failed: data.dataset.max_missing.test=0" in failed.said
    assert "2 of 3" in failed.said

    again = cross_validate(videos, tmp_path, "again", *words)
    assert again.wait() == 0, again.said
    assert again.said.count("is done, skipped") == 2
    content = json.loads((folder / "summary.json").read_text())
    assert (content["jobs"], content["status"], content["notes"]) == (3, {"done": 3}, [])
    (row,) = content["settings"]
    answers = [pq.read_table(file) for file in sorted(folder.glob("*/video_scores.parquet"))]
    columns = {
        name: [v for t in answers for v in t[name].to_pylist()]
        for name in ("path", "group", "label_label", "pred_label")
    }
    assert sorted(columns["path"]) == sorted(f"{number}.mp4" for number in range(12))
    assert columns["group"] == [f"film{int(path.removesuffix('.mp4')) // 2}" for path in columns["path"]]
    right = np.array(columns["label_label"]) == np.array(columns["pred_label"])
    assert row["pooled"] == pytest.approx(right.mean())
    assert (row["low"], row["high"]) == pytest.approx(
        bootstrap_interval(right.astype(float), columns["group"]), abs=0.02
    )
    accuracies = [json.loads(file.read_text())["metrics"]["test/acc_top1"] for file in folder.glob("*/results.json")]
    assert row["mean"] == pytest.approx(np.mean(accuracies))
    assert row["stdev"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (row["videos"], row["groups"], row["folds_done"]) == (12, 6, 3)
    with (folder / "summary.csv").open() as file:
        assert [line["folds_done"] for line in csv.DictReader(file)] == ["3"]
    assert "3 jobs: 3 done" in again.said

    checkpoint = next(folder.glob("*fold-1*/checkpoints/best.ckpt"))
    words = (f"target={tmp_path / 'features'}", f"paths.logs={tmp_path}", "num_workers=0", "trainer=cpu")
    probes = ("probes=[knn]", f"folds={FOLDS}", f"hydra.run.dir={tmp_path / 'probes'}")
    probed = start(tmp_path / "probes.txt", "src/features.py", f"ckpt_path={checkpoint}", *words, *probes)
    assert probed.wait() == 0, probed.said
    with (tmp_path / "probes" / "probe_videos.csv").open() as file:
        fold_of = {line["path"]: (line["group"], int(line["fold"])) for line in csv.DictReader(file)}
    for job in folder.glob("*/video_scores.parquet"):
        fold = json.loads((job.parent / "results.json").read_text())["config"]["data"]["dataset"]["fold"]
        tested = pq.read_table(job)
        pairs = zip(tested["path"].to_pylist(), tested["group"].to_pylist(), strict=True)
        assert [fold_of.pop(path) for path, _ in pairs] == [(group, fold) for group in tested["group"].to_pylist()]
    assert not fold_of, "every video is in one fold of both"


def test_a_sweep_s_rows_side_by_side_over_folds(videos: Path, tmp_path: Path) -> None:
    words = ("sweep=pooling", "row=cls", "seed=1", "data.dataset.fold=0,1", "hydra.sweeper.jobs=2")
    ran = cross_validate(videos, tmp_path, "rows", *words)
    assert ran.wait() == 0, ran.said
    (file,) = tmp_path.rglob("summary.json")
    content = json.loads(file.read_text())
    assert content["notes"] == ["default: fold 2 not run"]
    assert [(row["folds_done"], row["videos"]) for row in content["settings"]] == [(2, 8)]
    assert "2 of 3" in ran.said
