"""The batch that fits: extrapolated from two small ones, beside what a larger one takes."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from omegaconf import OmegaConf

from vivit.device.malloc import disable_malloc_trim, peak_memory, reset_peak_memory
from vivit.errors import ConfigError
from vivit.launch import Job
from vivit.models import create_model
from vivit.tasks.batch_size import check_memory, find_batch_size, resolve_batch_size
from vivit.training.batch_size import BatchMemory, count_batch_memory, measure_batch_memory, run_step

CLIP = (3, 8, 64, 64)
CPU = torch.device("cpu")


def predict_and_measure(size: int) -> tuple[int, int]:
    """Return the bytes that a batch is said to take, and those that it takes, in a process of its own."""
    torch.set_num_threads(1)
    disable_malloc_trim()
    net = create_model("spatiotemporal", size="tiny", num_classes=5, frames=CLIP[1], image_size=CLIP[2])
    memory = measure_batch_memory(net, CLIP, CPU)
    reset_peak_memory()
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(2):
        run_step(net, torch.zeros(size, *CLIP), None)
        optimizer.step()
    return memory.peak(size), peak_memory(CPU)


def test_memory_of_a_larger_batch_is_foretold() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        foretold, measured = pool.apply(predict_and_measure, (32,))
    assert 0.85 < foretold / measured < 1.2


@pytest.mark.parametrize("options", [{}, {"gradient_checkpointing": True}])
def test_counted_memory_is_little_less_than_measured(options: dict[str, bool]) -> None:
    net = create_model("factorised_encoder", size="tiny", num_classes=5, frames=16, image_size=112, **options)
    drawn = torch.get_rng_state()
    counted = count_batch_memory(net, (3, 16, 112, 112))
    assert torch.equal(torch.get_rng_state(), drawn), "training goes on with the same draws"
    saved: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        net(torch.zeros(3, 3, 16, 112, 112))
    weights = {tensor.untyped_storage().data_ptr() for tensor in net.state_dict().values()}
    real = sum(saved[key].untyped_storage().nbytes() for key in saved.keys() - weights)
    assert counted is not None
    assert 3 * counted.clip == pytest.approx(real, rel=0.02)
    assert counted.fixed == pytest.approx(4 * sum(tensor.nbytes for tensor in net.parameters()), rel=0.01)


def test_a_network_that_looks_at_values_is_not_counted() -> None:
    class Reader(torch.nn.Module):
        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return clips.mean((2, 3, 4)) * clips.sum().item()

    assert count_batch_memory(Reader(), CLIP) is None


def test_a_network_may_hold_tensors_that_are_neither_weights_nor_buffers() -> None:
    class Centred(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier, self.mean = torch.nn.Linear(3, 2), torch.ones(3)

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return self.classifier(clips.mean((2, 3, 4)) - self.mean)

    counted = count_batch_memory(Centred(), CLIP)
    assert counted is not None
    assert counted.clip == 3 * 4, "the input of the classifier"


@pytest.mark.parametrize(
    ("free", "sentence"),
    [
        (
            50_000_000,
            r"data\.batch_size=64: a training step takes at least .* and 0\.05 GB .* set (3|4|6|8|12)",
        ),
        (1000, "set fewer data.frames, a smaller data.crop or size"),
    ],
)
def test_a_batch_that_cannot_fit_is_refused(
    free: int, sentence: str, own: Any, on_cpu: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = create_model("spatiotemporal", size="tiny", num_classes=5, frames=4, image_size=64)
    own.data.batch_size, own.data.crop = 64, [64, 64]
    check_memory(own, net, on_cpu)
    monkeypatch.setattr("vivit.tasks.batch_size.free_memory", lambda: free)
    monkeypatch.setattr("vivit.tasks.batch_size.resident_memory", lambda: 0)
    with pytest.raises(ConfigError, match=sentence):
        check_memory(own, net, on_cpu)


def test_a_batch_that_hardly_fits_is_warned_of(
    own: Any, on_cpu: Trainer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    net = create_model("spatiotemporal", size="tiny", num_classes=5, frames=4, image_size=64)
    own.data.batch_size, own.data.crop = 64, [64, 64]
    memory = count_batch_memory(net, (3, 4, 64, 64))
    assert memory is not None
    monkeypatch.setattr("vivit.tasks.batch_size.free_memory", lambda: int(1.1 * memory.peak(64)))
    monkeypatch.setattr("vivit.tasks.batch_size.resident_memory", lambda: 0)
    check_memory(own, net, on_cpu)
    assert "it may be killed; set 48, or auto, which measures it" in caplog.text


@pytest.mark.parametrize(
    ("available", "most", "size"),
    [(1000, 64, 8), (1000, 6, 6), (150, 64, 1), (0, 64, 1), (10**6, 100, 64), (420, 64, 3)],
)
def test_the_largest_that_fits_is_taken(available: int, most: int, size: int) -> None:
    assert BatchMemory(fixed=100, clip=100).largest(available, most) == size


@pytest.fixture
def on_cpu() -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


@pytest.fixture
def own(composed: Callable[..., Any], small_motion: Path) -> Any:
    return composed("data=motion", f"data.root={small_motion}", "data.batch_size=auto", "data.frames=4", "trainer=cpu")


def job(folder: Path) -> Job:
    return Job(folder=folder, choices={}, overrides=[], sweep=None)


def test_an_epoch_keeps_eight_steps_and_what_decided_is_kept(own: Any, tmp_path: Path) -> None:
    resolved = resolve_batch_size(own, job(tmp_path))
    assert resolved.data.batch_size == 6, "of 48 training videos"
    assert own.data.batch_size == "auto"
    kept = json.loads((tmp_path / "batch_size.json").read_text())
    assert set(kept) == {"batch_size", "free", "fixed", "clip"}
    assert 0 < kept["clip"] < kept["fixed"] < kept["free"]


def test_a_resume_and_other_ranks_take_the_folder_s(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "batch_size.json").write_text('{"batch_size": 3}')
    assert resolve_batch_size(own, job(tmp_path)).data.batch_size == 3
    monkeypatch.setattr("vivit.tasks.batch_size.is_rank_zero", lambda: False)
    monkeypatch.setattr("vivit.tasks.batch_size.PATIENCE", 0.0)
    with pytest.raises(ConfigError, match="set a number"):
        resolve_batch_size(own, job(tmp_path / "other"))


def test_a_number_stays_and_shards_are_refused(own: Any, tmp_path: Path) -> None:
    own.data.batch_size = 5
    assert resolve_batch_size(own, job(tmp_path)) is own
    assert not list(tmp_path.iterdir())
    OmegaConf.update(own, "trainer.strategy", {"_target_": "vivit.training.BlockFSDPStrategy"}, force_add=True)
    with pytest.raises(ConfigError, match=r"data\.batch_size=auto"):
        find_batch_size(own)


def test_a_gpu_that_is_too_small_is_a_sentence(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_small(*_: Any) -> BatchMemory:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("vivit.tasks.batch_size.measure_batch_memory", too_small)
    with pytest.raises(ConfigError, match="not even 4 clips fit"):
        find_batch_size(own)
