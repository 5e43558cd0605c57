"""Own videos as people have them, class folders without splits, by the commands of the documents."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from films import film
from forked import start

SMALL = ("data.frames=4", "data.fps=25", "data.resize=32", "data.crop=[32,32]", "data.num_workers=0", "trainer=cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of eight clips, two of a film; only their brightness tells them apart."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for name, level in (("bright", 170), ("dark", 40)):
        (root / name).mkdir()
        for number in range(16):
            pixels = level + rng.integers(0, 40, (8, 32, 40, 3))
            film(root / name / f"{name}{number // 2}_clip{number % 2}.mp4", pixels.astype(np.uint8))
    return root


@pytest.mark.slow
def test_a_folder_of_classes_trains_and_is_scored_by_what_was_held_out(videos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("experiment=finetune", "data=folder", f"data.root={videos}", "data.dataset.group_before=_clip")
    small = ("size=tiny", "weights=null", "trainer.max_epochs=1", "data.val_share=0.25", "views.temporal=2", *SMALL)
    trained = start(tmp_path / "train.txt", "src/train.py", *words, *small, f"hydra.run.dir={run}")
    assert trained.wait() == 0, trained.said
    results = json.loads((run / "results.json").read_text())
    assert results["scored_split"] == "val"
    assert not [name for name in results["metrics"] if name.startswith("test/")]
    assert set(results["confidence_95"]) >= {"val/acc_top1"}
    assert results["videos"] == 8
    assert results["recipe"]["batch_size"] == 3, "an eighth of 24 training videos"
    assert results["optimizer"]["lr"] == pytest.approx(4e-4 * 3 / 32)
    assert results["optimizer"]["warmup_steps"] == 0, "a tenth of eight steps"
    assert "val/acc_top1, 2x1 views" in trained.said
    with (run / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["label"], row["split"]) for row in rows) == {
        ("bright", "train"): 12, ("dark", "train"): 12, ("bright", "val"): 4, ("dark", "val"): 4,
    }  # fmt: skip
    said = (run / "data.txt").read_text().splitlines()
    assert said[0].startswith("32 videos (24 train, 8 val), 2 classes")
    assert [line.split() for line in said[1:4]] == [
        ["split", "class", "videos", "seconds"], ["train", "bright", "12", "3.8"], ["train", "dark", "12", "3.8"],
    ]  # fmt: skip
    assert "Note: there are no test videos" in "".join(said[6:])
    assert said[0] in trained.said
    noise = ("litlogger", "deprecated", "GPU available", "many workers", "logging interval", "mlp_dim", "\r")
    assert not [word for word in noise if word in trained.said]
    assert "epoch 1/1: train loss" in trained.said
    assert trained.said.count("TRAINING FROM RANDOM WEIGHTS") == 1, "what is about this run stays"
    last = trained.said.splitlines()[-3:]
    assert f"src/eval.py ckpt_path={run}/checkpoints/best.ckpt" in last[0]
    assert f"src/predict.py ckpt_path={run}/checkpoints/best.ckpt video={videos}/" in last[1]
    assert "src/report.py" in last[2]
    assert results["metrics"]["train/loss"] == pytest.approx(results["epochs"][-1]["train/loss"])
    films = {split: {row["path"].split("_")[0] for row in rows if row["split"] == split} for split in ("train", "val")}
    assert not films["train"] & films["val"]

    assert 0 <= results["confidence_95"]["val/auc"][0] <= results["metrics"]["val/auc"] <= 1
    classes = results["classes"]["label"]
    assert [(row["class"], row["videos"]) for row in classes] == [("bright", 4), ("dark", 4)]
    top1 = sum(row["right"] for row in classes) / 8
    assert top1 == pytest.approx(results["metrics"]["val/acc_top1"])
    assert results["epochs"][0]["learning_rate"] > 0
    for name in ("batch", "mistakes", "curves", "confusion_label"):
        assert (run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    wrong = round(8 * (1 - top1))
    assert f"{wrong} of 8 val answers are wrong" in (run / "mistakes.html").read_text()

    words = (f"ckpt_path={run}/checkpoints/best.ckpt", "split=val", "num_workers=0", "trainer=cpu")
    scored = start(tmp_path / "eval.txt", "src/eval.py", *words, f"hydra.run.dir={tmp_path / 'eval'}")
    assert scored.wait() == 0, scored.said
    again = json.loads((tmp_path / "eval" / "results.json").read_text())
    assert (tmp_path / "eval" / "mistakes.html").is_file() and again["classes"] == results["classes"]
    assert again["scored_split"] == "val"
    assert again["metrics"] == {name: results["metrics"][name] for name in again["metrics"]}
    resumed = start(tmp_path / "resume.txt", "src/train.py", f"resume={run}")
    assert resumed.wait() == 0, resumed.said
    assert json.loads((run / "results.json").read_text())["recipe"]["batch_size"] == 3


@pytest.mark.slow
def test_seeds_end_with_mean_and_deviation_in_folders_that_have_the_seed(videos: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    long = tmp_path / ("long_" * 20) / ("name_" * 20)
    long.parent.mkdir()
    long.symlink_to(videos)
    words = ("-m", "seed=1,2", "data=folder", f"data.root={long}", "data.val_share=0.25", "test=false", "size=tiny")
    few = (
        "data.batch_size=4",
        "trainer.max_epochs=2",
        "optim.warmup_epochs=0",
        *SMALL,
        "data.fps=null",
        "data.stride=1",
    )
    trained = start(tmp_path / "train.txt", "src/train.py", *words, *few, f"hydra.sweep.dir={sweep}")
    assert trained.wait() == 0, trained.said
    folders = sorted(folder.name for folder in sweep.iterdir() if folder.is_dir())
    assert [name.rpartition("_")[0] for name in folders] == ["seed-1", "seed-2"]
    assert "mean ± sd" in trained.said
    assert "2 seeds" in trained.said
    results = json.loads((sweep / folders[0] / "results.json").read_text())
    assert (results["scored_split"], results["views"], results["videos"]) == ("val", "1x1", 8)
    best = max(epoch["val/acc_top1"] for epoch in results["epochs"])
    assert results["metrics"]["val/acc_top1"] == best
    assert "val/acc_top1, 1x1 views" in trained.said


def test_without_validation_videos_it_says_what_to_set(videos: Path, tmp_path: Path) -> None:
    words = ("data=folder", f"data.root={videos}", "size=tiny", *SMALL, f"hydra.run.dir={tmp_path / 'run'}")
    refused = start(tmp_path / "train.txt", "src/train.py", *words)
    assert refused.wait() == 1
    assert "data.val_share=0.2" in refused.said.splitlines()[-2] + refused.said.splitlines()[-1]


def test_weights_that_are_not_there_are_named_with_where_to_get_them(videos: Path, tmp_path: Path) -> None:
    words = ("experiment=finetune", "data=folder", f"data.root={videos}", f"paths.data={tmp_path}")
    refused = start(tmp_path / "train.txt", "src/train.py", *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert refused.wait() == 1
    assert "get it from https://huggingface.co/facebook/dinov2-small" in refused.said
    assert "weights=null" in refused.said
