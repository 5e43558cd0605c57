"""A training step as ``bench=gpu`` times it, on one device or on several that share it. It needs torch and the models.

Nothing of Lightning or Hydra is imported, so that a bare machine with a GPU can run it.
"""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import destroy_process_group, init_process_group
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing import start_processes
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from vivit.benchmarks.gpu_plan import StepCase
from vivit.benchmarks.model import ModelSpec, build_model
from vivit.cores import allowed_cores
from vivit.device.clock import Marks, measure_seconds
from vivit.device.malloc import disable_malloc_trim, peak_memory, reset_peak_memory
from vivit.models.blocks import ResidualBlock
from vivit.structures import normalize_frames

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
"""Number formats of products, by the names of ``bench.precision``; weights and optimizer are float32."""
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
"""Forms of torch's attention, by the names of ``bench.attention``."""
WARM_UP = 3
"""Steps that are not counted; the first of them compiles."""
CLASSES = 400


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What all cases have in common; ``device`` is cpu or cuda, ``compiler`` a backend of torch.compile."""

    frames: int
    image_size: int
    precision: str
    repeats: int
    compiler: str
    device: str


@dataclass(frozen=True)
class StepTimes:
    """Seconds of every counted step and, of them, those in which its clips came from the host; of the first step, too.

    ``peak_bytes`` is the most memory in use at once, on this device (on a CPU: by the process).
    """

    seconds: list[float]
    waits: list[float]
    first_seconds: float
    peak_bytes: int


def model_spec(case: StepCase, settings: StepSettings) -> ModelSpec:
    """Return the network of a case, for 400 classes."""
    return ModelSpec(case.model, case.model, case.size, None, None, settings.frames, settings.image_size)


def time_case(case: StepCase, settings: StepSettings, patience: float) -> StepTimes:
    """Train a few steps, in a process for each device where they share the work, for at most ``patience`` seconds.

    Only processes of their own can be stopped then. Raises TimeoutError for those, and what torch raises.
    """
    if case.parallel == "none":
        return time_steps(case, settings, number_device(settings.device))
    with TemporaryDirectory() as folder:
        arguments = (case, settings, Path(folder))
        ranks = start_processes(_run_rank, arguments, case.devices, join=False, start_method="spawn")
        end = time.monotonic() + patience
        try:
            while not ranks.join(timeout=max(0.0, end - time.monotonic())):
                if time.monotonic() >= end:
                    raise TimeoutError("stopped: out of time")
        finally:
            for process in ranks.processes:
                process.kill()
                process.join()
        return StepTimes(**json.loads((Path(folder) / "times.json").read_text(encoding="utf-8")))


def time_steps(case: StepCase, settings: StepSettings, place: torch.device) -> StepTimes:
    """Train ``WARM_UP`` steps and ``repeats`` more, queued one behind the other, and return the times of those.

    A step is what the training does with a batch: copy its bytes from (pinned) memory of the host, normalise, forward
    pass, loss, backward pass, clip the gradients to a norm of 1, AdamW. The copy stands between two steps in the
    queue, as Lightning has it: the device waits for it.
    """
    assert case.batch is not None
    prepare_process(place)
    reset_peak_memory()
    train = _build_step(case, settings, place)
    batch = _host_batch(case.batch, settings, place)
    first_seconds = measure_seconds(lambda: train(batch.to(place, non_blocking=True)), place)
    for _ in range(WARM_UP - 1):
        train(batch.to(place, non_blocking=True))
    marks = Marks(place)
    marks.add()
    for _ in range(settings.repeats):
        clips = batch.to(place, non_blocking=True)
        marks.add()
        train(clips)
        marks.add()
    parts = marks.seconds()
    waits, works = parts[::2], parts[1::2]
    seconds = [wait + work for wait, work in zip(waits, works, strict=True)]
    return StepTimes(seconds, waits, first_seconds, peak_memory(place))


def number_device(kind: str, number: int = 0) -> torch.device:
    """Return a device of the kind cpu or cuda, by its number where there are several."""
    return torch.device(kind, number) if kind == "cuda" else torch.device(kind)


def prepare_process(place: torch.device) -> None:
    """Set this process as ``trainer=gpu`` does: float32 in TF32 on GPUs; on a CPU memory that stays for the next."""
    disable_malloc_trim()
    if place.type == "cuda":
        torch.cuda.set_device(place)
        torch.set_float32_matmul_precision("high")


def _build_step(case: StepCase, settings: StepSettings, place: torch.device) -> Callable[[Tensor], None]:
    """Return the function that trains on a batch of bytes [b, f, h, w, 3] on the device."""
    torch.manual_seed(0)
    with place:
        network: nn.Module = build_model(model_spec(case, settings)).train()
        labels = torch.arange(case.batch or 0) % CLASSES
    if case.compiled:
        network.compile(backend=settings.compiler)
    network = _share(network, case, place)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=place.type == "cuda")
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    if settings.precision != "fp32":
        precision = partial(torch.autocast, place.type, DTYPES[settings.precision])
    backend: Callable[[], AbstractContextManager[Any]] = nullcontext
    if case.attention != "auto":
        backend = partial(sdpa_kernel, BACKENDS[case.attention])

    def train(frames: Tensor) -> None:
        with backend():
            with precision():
                loss = F.cross_entropy(network(normalize_frames(frames, torch.float32)).float(), labels)
            loss.backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return train


def _host_batch(clips: int, settings: StepSettings, place: torch.device) -> Tensor:
    """Return bytes [b, f, h, w, 3] in the host's memory; all clips are the same, which changes no time."""
    shape = (1, settings.frames, settings.image_size, settings.image_size, 3)
    clip = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = clip.repeat(clips, 1, 1, 1, 1)
    return batch.pin_memory() if place.type == "cuda" else batch


def _share(network: nn.Module, case: StepCase, place: torch.device) -> nn.Module:
    """Return the network as its device shares it with others, as ``trainer=ddp`` and ``fsdp`` do."""
    if case.parallel == "ddp":
        devices = [place] if place.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True, static_graph=True)
    if case.parallel == "fsdp":
        mesh = init_device_mesh(place.type, (case.devices,))
        for block in [module for module in network.modules() if isinstance(module, ResidualBlock)]:
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
    return network


def _run_rank(rank: int, case: StepCase, settings: StepSettings, folder: Path) -> None:
    """Train on one of several devices; the first writes its times, which are those of all: they wait for each other."""
    place = number_device(settings.device, rank)
    on_gpu = place.type == "cuda"
    if not on_gpu:
        torch.set_num_threads(max(1, len(allowed_cores()) // case.devices))
    prepare_process(place)
    init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=case.devices,
        device_id=place if on_gpu else None,
    )
    times = time_steps(case, settings, place)
    if rank == 0:
        (folder / "times.json").write_text(json.dumps(asdict(times)), encoding="utf-8")
    destroy_process_group()
