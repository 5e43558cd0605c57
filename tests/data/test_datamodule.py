"""What the data module makes of its keys."""

import os
import platform
import shutil
from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed
from lightning import LightningModule, Trainer
from lightning.fabric.utilities import move_data_to_device
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vivit.data import VideoDataModule
from vivit.data.loader import available_cpus
from vivit.data.readers.video_error import VideoError
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.errors import ConfigError

CPU = SimpleNamespace(root_device=torch.device("cpu"))
"""What a data module asks of a trainer's strategy."""


@pytest.fixture(scope="module")
def four_videos(small_motion, tmp_path_factory):
    """Three good ones and a broken one in every split."""
    root = tmp_path_factory.mktemp("own")
    for row in range(3):
        shutil.copy(small_motion / "train" / f"{row:05d}.mp4", root / f"{row}.mp4")
    (root / "3.mp4").write_bytes(bytes(1000))
    for split in ("train", "val", "test"):
        (root / f"{split}.csv").write_text("path,label\n" + "".join(f"{row}.mp4,{'ab'[row % 2]}\n" for row in range(4)))
    return root


def video_data(root, **keys):
    keys = {"num_workers": 0, "batch_size": 2, "dataset": {"name": "csv"}} | keys
    return VideoDataModule(
        root=str(root), frames=4, stride=2, resize=36, crop=(24, 32), seed=3,
        augment=RandomViewSampler, views=partial(MultiViewSampler, temporal=3), **keys,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"prefetch_factor": 0}, ("data.prefetch_factor", 0)),
        ({"timeout": -1.0}, ("data.timeout", -1.0)),
        ({"max_bad_share": 1.5}, ("data.max_bad_share", 1.5)),
        ({"num_workers": -1}, ("data.num_workers", -1)),
        ({"dataset": {"name": "csv", "train_share": 0.1}}, ("data.dataset.train_share", None)),
    ],
)
def test_datamodule_key_out_of_range_is_refused(four_videos, keys, expected):
    with pytest.raises(ConfigError) as error:
        video_data(four_videos, **keys)
    assert (error.value.key, error.value.value) == expected


def test_datamodule_default_workers_are_the_available_cpus(four_videos):
    loader = video_data(four_videos, num_workers=None, prefetch_factor=3, timeout=7.0).val_dataloader()
    assert loader.num_workers == min(available_cpus(), 8) >= 1
    assert loader.prefetch_factor == 3
    assert loader.workers.timeout == 7


@pytest.mark.parametrize(
    ("device", "key", "pinned"),
    [("cuda", None, True), ("cpu", None, False), ("cuda", False, False), ("cpu", True, True)],
)
def test_datamodule_pins_batches_where_the_trainer_has_gpus(four_videos, device, key, pinned):
    data = video_data(four_videos, pin_memory=key)
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(
        strategy=strategy, global_rank=0, world_size=1, overfit_batches=0, max_steps=-1, max_epochs=1
    )
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert loader.pin_memory is pinned


class Copies(TorchDispatchMode):
    """Notes of every copy of a tensor to another device whether the host goes on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.non_blocking: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        if func is torch.ops.aten._to_copy.default:
            self.non_blocking.append((kwargs or {}).get("non_blocking", False))
        return func(*args, **kwargs or {})


def test_batch_is_copied_while_the_host_goes_on(four_videos):
    batch = next(iter(video_data(four_videos, max_bad_share=1.0).train_dataloader()))
    with Copies() as copies:
        moved = move_data_to_device(batch, torch.device("meta"))
    assert type(moved) is type(batch)
    assert moved.frames.device == moved.labels.device == torch.device("meta")
    assert copies.non_blocking == [True] * 4, "frames, labels, rows and first frames"


def ranks_of(machine, allowed):
    return [(machine, set(numbers)) for numbers in allowed]


@pytest.mark.parametrize(
    ("ranks", "workers"),
    [
        (ranks_of("a", [range(24)] * 4), 6),  # Lightning's own, torchrun's, those of srun --cpu-bind=none
        (ranks_of("a", [range(6 * rank, 6 * rank + 6) for rank in range(4)]), 6),  # srun with --cpus-per-task=6
        (ranks_of("a", [range(12), range(12), range(12, 24), range(12, 24)]), 6),  # bound to the halves of a machine
        (ranks_of("a", [range(6)] * 2) + ranks_of("b", [range(6)] * 2), 3),  # two machines
        (ranks_of("a", [range(96)] * 4), 8),
        (ranks_of("a", [{0}] * 4), 1),
    ],
    ids=["shared", "bound", "halves", "machines", "many", "few"],
)
def test_available_cpus_are_divided_among_ranks_that_share_them(four_videos, monkeypatch, ranks, workers):
    def gather(results, mine):
        assert mine == ranks[0]
        results[:] = ranks

    monkeypatch.setattr(platform, "node", lambda: ranks[0][0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: ranks[0][1], raising=False)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    data = video_data(four_videos, num_workers=None)
    data.trainer = SimpleNamespace(strategy=CPU, num_devices=4, global_rank=0, world_size=4)
    assert data.val_dataloader().num_workers == workers


def test_training_skips_bad_videos_up_to_bad_share(four_videos):
    assert all(len(batch.videos) == 2 for batch in video_data(four_videos, max_bad_share=0.25).train_dataloader())
    with pytest.raises(ConfigError, match=r"1 of this epoch's 4 videos are bad so far; the last: .*3\.mp4") as error:
        list(video_data(four_videos, max_bad_share=0.2).train_dataloader())
    assert (error.value.key, error.value.value) == ("data.max_bad_share", 0.2)


def test_evaluation_reports_left_out_videos(four_videos):
    with pytest.raises(VideoError) as error:
        list(video_data(four_videos).test_dataloader())
    assert error.value.file == str(four_videos / "3.mp4")
    data = video_data(four_videos, skip_unreadable=True)
    assert data.skipped_videos() == {}
    batches = list(data.test_dataloader())
    assert [len(batch.videos) for batch in batches] == [1, 1, 1, 0], "three views fill a batch of two clips"
    assert batches[0].frames.shape == (1, 3, 4, 24, 32, 3)
    (skipped,) = data.skipped_videos().items()
    assert skipped[0] == "test"
    assert skipped[1]["videos"] == 1
    assert "3.mp4: " in skipped[1]["why"][0]


class RecordKeys(LightningModule):
    """Learns nothing, but notes which videos it is shown in every epoch of training and of validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.train_videos, self.val_videos = defaultdict(list), defaultdict(list)

    def training_step(self, batch, batch_idx):
        self.train_videos[self.current_epoch].append(batch.videos.tolist())
        return self.weight * 0.0

    def validation_step(self, batch, batch_idx):
        self.val_videos[self.current_epoch].append(batch.videos.tolist())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("share", "batches"), [(1, 1), (3, 3), (0.25, 2), (0, 9)], ids=["one", "three", "a share", "all of them, shuffled"]
)
def test_overfit_batches_repeat_the_first_epoch(small_motion, tmp_path, share, batches):
    data = VideoDataModule(
        root=str(small_motion), dataset={"name": "motion"}, frames=4, stride=2, resize=36, crop=(24, 32), seed=3,
        num_workers=0, batch_size=5, augment=RandomViewSampler, views=partial(MultiViewSampler, temporal=1),
    )  # fmt: skip
    record_keys = RecordKeys()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "num_sanity_val_steps": 0}
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, overfit_batches=share, enable_model_summary=False, default_root_dir=tmp_path,
        use_distributed_sampler=False, **quiet,
    )  # fmt: skip
    trainer.fit(record_keys, data)
    first, *others = record_keys.train_videos.values()
    assert len(first) == batches
    assert len(others) == 2
    assert all(epoch == first for epoch in others) == bool(share)
    shown = {video for batch in first for video in batch}
    assert len(shown) == 5 * batches
    assert len({video % 8 for video in shown}) > 1, "they are of several classes, as a batch always is"
    assert all(epoch == record_keys.val_videos[0] for epoch in record_keys.val_videos.values())
