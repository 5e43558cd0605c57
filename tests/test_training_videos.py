"""Training videos are scored as those of the test are, and the test is as without them."""

import json
from pathlib import Path

import pytest
from forked import start

SHORT = ("debug=limit", "trainer.limit_test_batches=1.0", "data.num_workers=0", "data.batch_size=4", "trainer=cpu")


@pytest.mark.slow
def test_training_videos_are_scored_without_augmentation_beside_the_test(small_motion: Path, tmp_path: Path) -> None:
    where = (f"data.root={small_motion}", f"paths.logs={tmp_path}", "callbacks.progress=null")
    settings = ("test_train=true", "augment=kinetics", "+data.dataset.score_by=[frames]")
    run = tmp_path / "run"
    trained = start(tmp_path / "train.txt", "src/train.py", *where, *SHORT, *settings, f"hydra.run.dir={run}")
    assert trained.wait() == 0, trained.said
    results = json.loads((run / "results.json").read_text())
    assert results["videos"] == 17
    assert sum(part["videos"] for part in results["by"]["frames"]) == 17
    assert (run / "test_train" / "scores.parquet").is_file()
    for split, prefix in (("train", "test_train"), ("test", "test")):
        folder = tmp_path / split
        words = (f"ckpt_path={run}/checkpoints/best.ckpt", f"split={split}", "num_workers=0", "trainer=cpu")
        scored = start(tmp_path / f"{split}.txt", "src/eval.py", *words, f"hydra.run.dir={folder}")
        assert scored.wait() == 0, scored.said
        metrics = json.loads((folder / "results.json").read_text())["metrics"]
        of_split = {name: value for name, value in results["metrics"].items() if name.startswith(f"{prefix}/")}
        assert of_split == {f"{prefix}/{name.removeprefix(f'{split}/')}": value for name, value in metrics.items()}
