"""The memory of a training batch: measured by two small ones, or counted without computing anything."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.nn import functional as F

from vivit.device.malloc import peak_memory, reset_peak_memory

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Batch sizes to choose from. More than 64 clips a step is the paper's, and a rate for them is no default."""
SMALL, LARGER = 2, 4
"""The batches that are measured."""
STATES = 2
"""Copies of the weights that an optimizer holds beside them, as AdamW does; gradients are measured."""


@dataclass(frozen=True, slots=True)
class BatchMemory:
    """Bytes that training takes: ``fixed`` ones, and those of each clip of a batch."""

    fixed: int
    clip: int

    def peak(self, batch_size: int) -> int:
        """Return the bytes of a batch."""
        return self.fixed + batch_size * self.clip

    def largest(self, available: int, most: int) -> int:
        """Return the largest of ``SIZES`` that is at most ``most`` and fits into so many bytes; at least 1."""
        return max((size for size in SIZES if size <= most and self.peak(size) <= available), default=1)


def measure_batch_memory(
    network: nn.Module, clip: Sequence[int], device: torch.device, autocast: torch.dtype | None = None
) -> BatchMemory:
    """Return the memory of training with batches of clips [3, f, h, w], from the peaks of two small batches.

    The network is moved to the device, and its gradients are gone afterwards. On a CPU the peaks are the process's.
    """
    network.to(device).train()
    run_step(network, torch.zeros(1, *clip, device=device), autocast)  # what libraries allocate once
    peaks = []
    for size in (SMALL, LARGER):
        reset_peak_memory()
        run_step(network, torch.zeros(size, *clip, device=device), autocast)
        peaks.append(peak_memory(device))
    network.zero_grad(set_to_none=True)
    trained = sum(parameter.nbytes for parameter in network.parameters() if parameter.requires_grad)
    of_clip = max(1, (peaks[1] - peaks[0]) // (LARGER - SMALL))
    return BatchMemory(max(0, peaks[0] - SMALL * of_clip) + STATES * trained, of_clip)


def count_batch_memory(
    network: nn.Module, clip: Sequence[int], autocast: torch.dtype | None = None
) -> BatchMemory | None:
    """Return the bytes that training takes at the very least, without computing anything; None where none can be told.

    Counted are weights, gradients, the states of an optimizer, and what the backward pass needs of the forward pass of
    clips [3, f, h, w]. What is freed on the way comes on top: a measured clip took 1.2 to 2.4 times as much.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode(allow_non_fake_inputs=True)  # tensors that a network holds are neither weights nor buffers
    tensors = {id(tensor): fake.from_tensor(tensor) for tensor in chain(network.parameters(), network.buffers())}
    weights = {tensor.untyped_storage()._cdata for tensor in tensors.values()}
    sizes = []
    copied = copy.deepcopy(network, dict(tensors)).train()
    with torch.random.fork_rng(devices=[]), fake:
        for size in (SMALL, LARGER):
            try:
                saved = _saved_tensors(copied, torch.zeros(size, *clip), autocast)
            except Exception:  # a network that looks at values; what is wrong with another, its first step says
                return None
            sizes.append(sum(saved[key].untyped_storage().nbytes() for key in saved.keys() - weights))
    trained = sum(parameter.nbytes for parameter in network.parameters() if parameter.requires_grad)
    of_clip = max(1, (sizes[1] - sizes[0]) // (LARGER - SMALL))
    of_all = max(0, sizes[0] - SMALL * of_clip)  # weights in the format of autocast
    return BatchMemory(sum(tensor.nbytes for tensor in tensors.values()) + (1 + STATES) * trained + of_all, of_clip)


def _saved_tensors(network: nn.Module, clips: torch.Tensor, autocast: torch.dtype | None) -> dict[int, torch.Tensor]:
    """Return the tensors that a backward pass would need, one a storage, by its address."""
    saved: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    context = torch.autocast(clips.device.type, autocast) if autocast else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor), context:
        network(clips)
    return saved


def run_step(network: nn.Module, clips: torch.Tensor, autocast: torch.dtype | None) -> None:
    """Compute the gradients of a batch."""
    with torch.autocast(clips.device.type, autocast) if autocast else nullcontext():
        logits = network(clips)
    F.cross_entropy(logits.float(), torch.zeros(len(clips), dtype=torch.long, device=clips.device)).backward()
