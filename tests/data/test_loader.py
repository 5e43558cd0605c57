"""The same clips whoever decodes them; bad videos, hanging and dying workers are said in one sentence."""

import gc
import hashlib
import logging
import multiprocessing
import os
import re
import signal
import time
from multiprocessing import active_children

import numpy as np
import pytest
import torch

from vivit.data.dataset import ClipDataset, TrainClipDataset, collate
from vivit.data.datasets import FlipLabelMap, Motion
from vivit.data.loader import ClipLoader, EvalLoader, StatefulTrainLoader, WorkerConfig
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import DistributedBatchSampler, DistributedEvalBatchSampler
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.worker_processes import init_worker
from vivit.errors import ConfigError, DataError
from vivit.launch import format_error
from vivit.launch.user_errors import is_user_error
from vivit.structures import Clip, DecodeFailure, Video

CLIP = {"frames": 4, "stride": 2, "resize": 36, "crop": (24, 32)}
PLAN = RandomViewSampler(**CLIP, scale_jitter=(0.9, 1.33), hflip_prob=0.5)
BATCH = 5
BAD = (7, 31)


def training_loader(root, workers=0, rank=0, ranks=1, bad=(), share=0.1, prefetch=3):
    data = Motion(root=root)
    videos = list(data.videos("train"))
    for row in bad:
        videos[row] = Video(str(root / f"gone{row}.mp4"), videos[row].labels)
    batches = DistributedBatchSampler(len(videos), BATCH, 3, rank, ranks)
    return StatefulTrainLoader(
        TrainClipDataset(videos, PLAN, data.flip_labels, 3), batches, WorkerConfig(workers, prefetch), share
    )


def batch_content(batch):
    """Everything about a batch, short enough to compare and to send."""
    pictures = [hashlib.sha256(frames.numpy().tobytes()).hexdigest() for frames in batch.frames]
    return list(zip(batch.videos.tolist(), pictures, batch.labels.tolist(), strict=True)), batch.bad


def epochs(loader, count=2):
    out = []
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)
        out.append([batch_content(batch) for batch in loader])
    return out


def clips_of_rank(root, workers, rank, ranks):
    (epoch,) = epochs(training_loader(root, workers, rank, ranks), 1)
    return [clip for clips, _ in epoch for clip in clips]


@pytest.fixture(scope="module")
def alone(small_motion):
    """Two epochs with two bad videos, decoded by the one process."""
    return epochs(training_loader(small_motion, bad=BAD))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_train_loader_bytes_do_not_depend_on_workers(small_motion, alone, workers):
    assert [len(epoch) for epoch in alone] == [9, 9]
    assert epochs(training_loader(small_motion, workers, bad=BAD)) == alone


@pytest.mark.slow
def test_train_loader_with_spawned_workers(small_motion, alone):
    loader = training_loader(small_motion, 1, bad=BAD)
    loader.multiprocessing_context = "spawn"
    assert epochs(loader, 1) == alone[:1]


def test_train_loader_two_ranks_equal_one(small_motion):
    """Each rank decodes in a process of its own."""
    first, second = (clips_of_rank(small_motion, 1, rank, 2) for rank in range(2))
    assert len(first) == len(second) == 20
    full = clips_of_rank(small_motion, 0, 0, 1)
    assert {str(clip) for clip in first + second} == {str(clip) for clip in full[:40]}


@pytest.mark.parametrize("workers", [0, 2])
def test_train_loader_resume_with_bad_videos_has_the_same_bytes(small_motion, alone, workers):
    stopped = training_loader(small_motion, workers, bad=BAD)
    stopped.batch_sampler.set_epoch(1)
    batches = iter(stopped)
    for _ in range(4):
        next(batches)
    resumed = training_loader(small_motion, workers, bad=BAD)
    resumed.load_state_dict(stopped.state_dict())
    resumed.batch_sampler.set_epoch(1)
    assert [batch_content(batch) for batch in resumed] == alone[1][4:]
    assert [batch_content(batch) for batch in resumed] == alone[1], "only the first epoch after a restart is a part"


def test_train_loader_counts_the_time_for_which_it_is_waited_for(small_motion, monkeypatch):
    """A second for each clip, over two epochs; not the hundred between two batches."""
    now, read = 0.0, TrainClipDataset.clip

    def slow(dataset, key, rng):
        nonlocal now
        now += 1
        return read(dataset, key, rng)

    monkeypatch.setattr(TrainClipDataset, "clip", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    loader = training_loader(small_motion)
    batches = 0
    for _ in range(2):
        for batch in loader:
            batches += 1
            assert loader.waited == batches * len(batch.videos)
            now += 100


def test_train_loader_epoch_after_an_interrupted_one_is_complete(small_motion):
    cut = training_loader(small_motion)
    for _, _ in zip(range(3), cut, strict=False):
        pass
    resumed = training_loader(small_motion)
    resumed.load_state_dict(cut.state_dict())
    resumed.batch_sampler.set_epoch(1)
    assert len(list(resumed)) == 9


def test_bad_video_is_replaced_by_another_with_its_label(small_motion, alone):
    videos = Motion(root=small_motion).videos("train")
    healthy = epochs(training_loader(small_motion))
    mirror = Motion(root=small_motion).flip_labels
    for broken, full in zip(alone, healthy, strict=True):
        assert [bad.video for _, report in broken for bad in report if bad] != []
        for (clips, report), (expected, none) in zip(broken, full, strict=True):
            assert none == ()
            assert len(clips) == BATCH
            assert {bad.video for bad in report} <= set(BAD)
            for clip, other in zip(clips, expected, strict=True):
                assert clip == other or other[0] in BAD
                assert clip[0] not in BAD
                assert tuple(clip[2]) in (videos[clip[0]].labels, mirror(videos[clip[0]].labels))
    stand_ins = [
        {clip[0] for (clips, _), (expected, _) in zip(*pair, strict=True) for clip in clips if clip not in expected}
        for pair in zip(alone, healthy, strict=True)
    ]
    assert stand_ins[0] != stand_ins[1], "epochs draw their own"


def test_bad_video_is_logged_once_and_counted_every_time(small_motion, caplog):
    loader = training_loader(small_motion, 2, bad=BAD)
    with caplog.at_level(logging.WARNING):
        reported = [{bad.video for _, report in epoch for bad in report} for epoch in epochs(loader)]
    for epoch, bad in enumerate(reported):
        loader.batch_sampler.set_epoch(epoch)
        due = {ticket.row for batch in loader.batch_sampler for ticket in batch} & set(BAD)
        assert due <= bad <= set(BAD)
    assert set.union(*reported) == set(BAD)
    assert [sum(f"gone{row}.mp4" in text for text in caplog.messages) for row in BAD] == [1, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_videos_beyond_bad_share_raise(small_motion, workers):
    loader = training_loader(small_motion, workers, bad=range(8), share=0.1)
    with pytest.raises(ConfigError, match=r"5 of this epoch's 45 videos are bad so far; .*gone\d\.mp4") as error:
        list(loader)
    assert (error.value.key, error.value.value) == ("data.max_bad_share", 0.1)


def test_bad_videos_from_before_a_resume_count(small_motion):
    """In the epoch that goes on, and in no other."""
    stopped = training_loader(small_motion, bad=range(8), share=1.0)
    batches = iter(stopped)
    while len(stopped.state_dict()["bad"]) < 4:
        next(batches)
    before = set(stopped.state_dict()["bad"])
    for epoch, counted in ((0, before), (1, set())):
        resumed = training_loader(small_motion, bad=range(8), share=1.0)
        resumed.load_state_dict(stopped.state_dict())
        resumed.batch_sampler.set_epoch(epoch)
        first = next(iter(resumed))
        assert set(resumed.state_dict()["bad"]) == counted | {bad.video for bad in first.bad}
    strict = training_loader(small_motion, bad=range(8), share=(len(before) - 1) / 45)
    strict.load_state_dict(stopped.state_dict())
    with pytest.raises(ConfigError, match="of this epoch's 45 videos are bad so far"):
        list(strict)


def test_bad_videos_only_raise_in_the_first_batch(small_motion):
    with pytest.raises(DataError, match=r"16 videos of which none could be read: .*: cannot be opened") as error:
        list(training_loader(small_motion, bad=range(48), share=1.0))
    assert re.search(r"gone\d+\.mp4$", error.value.file)


def scoring_loader(tmp_path, root, workers, skipped, broken=(1, 2, 3)):
    videos = list(Motion(root=root).videos("val"))
    for row in broken:
        (tmp_path / f"broken{row}.mp4").write_bytes(b"\0no video")
        videos[row] = Video(str(tmp_path / f"broken{row}.mp4"), (0,))
    clips = ClipDataset(videos, MultiViewSampler(**CLIP), FlipLabelMap(), 0)
    return EvalLoader(clips, DistributedEvalBatchSampler(len(videos), 2), WorkerConfig(workers), skipped)


@pytest.mark.parametrize("workers", [0, 1])
def test_eval_loader_raises_at_a_bad_video(small_motion, tmp_path, workers):
    with pytest.raises(VideoError, match=r"^\S*broken1\.mp4: cannot be opened \([^\n]*\)$"):
        list(scoring_loader(tmp_path, small_motion, workers, None))


@pytest.mark.parametrize("workers", [0, 1])
def test_eval_loader_records_left_out_videos(small_motion, tmp_path, workers, caplog):
    skipped: dict[int, str] = {}
    loader = scoring_loader(tmp_path, small_motion, workers, skipped)
    with caplog.at_level(logging.WARNING):
        batches = list(loader) + list(loader)
    assert sorted(video for batch in batches[:8] for video in batch.videos.tolist()) == [0, *range(4, 16)]
    assert len(batches[1].videos) == 0, "its two videos are bad"
    assert [len(batch.frames) for batch in batches[:3]] == [1, 0, 2]
    assert {tuple(batch.frames.shape[1:]) for batch in batches} == {(1, 4, 24, 32, 3)}
    assert sorted(skipped) == [1, 2, 3]
    assert "broken2.mp4: cannot be opened" in skipped[2]
    assert len(caplog.messages) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_eval_loader_empty_batch_has_the_shape_of_the_views(small_motion, workers):
    videos = list(Motion(root=small_motion).videos("val"))[:3]
    clips = ClipDataset(videos, MultiViewSampler(**CLIP, temporal=4, also_report=(1, 2), spatial=3), FlipLabelMap(), 0)
    loaders = [
        EvalLoader(clips, DistributedEvalBatchSampler(3, 1, rank, 2), WorkerConfig(workers)) for rank in range(2)
    ]
    first, second = ([batch.frames for batch in loader] for loader in loaders)
    assert [len(frames) for frames in first + second] == [1, 1, 1, 0]
    assert {frames.shape[1:] for frames in first + second} == {(15, 4, 24, 32, 3)}
    assert second[1].dtype == torch.uint8


class Scripted(ClipDataset):
    """Hangs at video 9, whatever it is told; dies at video 12."""

    def clip(self, ticket, rng):
        path = self.videos[ticket.row].path
        if path == "9.mp4":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as if it hung inside a library
            time.sleep(200)
        if path == "12.mp4":
            os.kill(os.getpid(), signal.SIGKILL)
        return Clip(np.zeros((1, 2, 3, 4, 3), np.uint8), (0,), ticket.row)


def scripted(rows, timeout):
    videos = [Video(f"{row}.mp4", (0,)) for row in rows]
    clips = Scripted(videos, MultiViewSampler(**CLIP), FlipLabelMap(), 0)
    return ClipLoader(clips, DistributedEvalBatchSampler(len(videos), 3), WorkerConfig(2, 2, timeout)).batches()


@pytest.mark.slow
def test_worker_that_hangs_is_an_error_with_the_files():
    began, before = time.perf_counter(), {child.pid for child in active_children()}
    with pytest.raises(ConfigError, match=r"data\.timeout=4: .* hangs at one of 9\.mp4, 10\.mp4, 11\.mp4;") as error:
        list(scripted(range(12), 4.0))
    assert error.value.key == "data.timeout"
    assert time.perf_counter() - began < 150
    assert {child.pid for child in active_children()} <= before, "nobody is left to wait for"


def test_worker_that_is_killed_stops_the_run():
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(scripted([*range(9), *range(12, 15)], 0.0))


def test_collate_of_no_samples():
    bad = DecodeFailure(3, "x.mp4: is damaged")
    batch = collate([bad])
    assert batch.bad == (bad,)
    assert [len(part) for part in batch[:3]] == [0, 0, 0]
    assert batch.frames.dtype == torch.uint8


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (
            RuntimeError("[enforce fail at alloc.cpp:1] can't allocate memory: you tried to allocate 6021 bytes."),
            "6021 bytes",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of"), "2.00 GiB"),
        (MemoryError("Unable to allocate 56.1 GiB for an array with shape (1,)"), "56.1 GiB"),
    ],
)
def test_memory_that_ran_out_is_explained_in_one_line_with_advice(error, needed):
    assert is_user_error(error)
    assert not is_user_error(RuntimeError("shapes do not fit"))
    assert format_error(MemoryError()).startswith("memory ran out: set smaller data.batch_size")
    message = format_error(error)
    assert message.startswith(f"memory ran out, where {needed} more were needed: set smaller data.batch_size")


def test_worker_lost_is_explained_in_one_line_with_advice():
    message = format_error(RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "))
    assert message.startswith("DataLoader worker (pid 12) is killed by signal: Killed.")
    assert (
        "lower data.num_workers, data.prefetch_factor or data.batch_size, outside of train.py num_workers or batch_size"
        in message
    )


def collect_in_worker() -> None:
    init_worker()
    gc.collect()


def test_workers_never_free_what_the_main_process_has(tmp_path):
    """A decoder that nobody needs any more waits, when it is freed, for threads that a fork does not have."""
    freed = tmp_path / "freed"

    class Decoder:
        def __del__(self) -> None:
            with freed.open("a") as file:
                file.write(f"{os.getpid()} ")

    gc.collect()
    gc.disable()
    try:
        circle = [Decoder()]
        circle.append(circle)
        del circle
        worker = multiprocessing.get_context("fork").Process(target=collect_in_worker)
        worker.start()
        worker.join()
    finally:
        gc.enable()
    assert worker.exitcode == 0
    assert not freed.exists()
    gc.collect()
    assert freed.read_text() == f"{os.getpid()} "
