"""How the clips of a step are shared out: ``${clips_a_device:64}`` in a configuration."""

import math

from omegaconf import DictConfig


def clips_a_device(step: int, *, _root_: DictConfig) -> int:
    """Share the clips of a step evenly among nodes, their devices, and the parts that a step accumulates.

    Raises ValueError where that leaves a remainder, or only Lightning would know the number of devices.
    """
    trainer = _root_.trainer
    numbers = {key: trainer.get(key, 1) for key in ("num_nodes", "devices", "accumulate_grad_batches")}
    said = ", ".join(f"trainer.{key}={number}" for key, number in numbers.items() if key in trainer)
    if not all(isinstance(number, int) and number > 0 for number in numbers.values()):
        raise ValueError(f"{step} clips a step are shared by devices, so trainer.devices must be a number, not {said}")
    parts = math.prod(numbers.values())
    if step % parts:
        raise ValueError(
            f"{step} clips a step cannot be shared evenly with {said}; "
            f"set numbers whose product divides {step}, or data.batch_size"
        )
    return step // parts
