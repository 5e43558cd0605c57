"""What others put around the names of their weights: sets beside each other in one file, and prefixes of wrappers."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

SETS = ("state_dict", "model", "state_dict_ema", "model_ema", "ema")
"""Keys under which a pickle keeps its weights where it holds more than them; the first that is there is taken."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DistributedDataParallel, torch.compile, and modules around a network put before all of its names."""


def chosen_set(content: Mapping[Any, Any], key: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return the key of the set of weights to take from a file, and what is to be said of it.

    None stands for the file itself. Raises ValueError where ``key`` is not there, or where nobody says which it is.
    """
    sets = [str(name) for name, inside in content.items() if isinstance(inside, Mapping) and _weights(inside)]
    if key is not None and key not in sets:
        raise ValueError(f"weights.key={key}: there is no such set of weights; there are {', '.join(sets) or 'none'}")
    taken = key or next((name for name in SETS if isinstance(content.get(name), Mapping)), None)
    if taken is None and not _weights(content):
        if len(sets) > 1:
            raise ValueError(f"it holds several sets of weights, {', '.join(sets)}: say which with weights.key")
        taken = next(iter(sets), None)
    others = [name for name in sets if name != taken]
    if taken is None or not (key or others or taken not in SETS[:2]):
        return taken, ()
    beside = f"; weights.key takes another: {', '.join(others)}" if others else ""
    return taken, (f"of the file the weights under {taken!r} were taken{beside}",)


def unwrapped(names: Mapping[str, Tensor]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Map names without the prefixes of wrappers to those in the source, and say which prefixes those were.

    Raises ValueError where two names become one.
    """
    aside = [name for name, tensor in names.items() if not (tensor.ndim or "." in name or "/" in name)]
    found = {name: name for name in names if name not in aside or len(aside) == len(names)}
    dropped = ""
    while prefix := next((each for each in PREFIXES if found and all(new.startswith(each) for new in found)), None):
        found = {new.removeprefix(prefix): name for new, name in found.items()}
        dropped += prefix
    bare: dict[str, str] = {}
    for new, name in found.items():
        short = re.sub(r"(^|\.)_orig_mod\.", r"\1", new)  # where single blocks were compiled
        if short in bare:
            raise ValueError(f"{bare[short]!r} and {name!r} are both {short!r} without the prefixes of wrappers")
        bare[short] = name
    within = any("_orig_mod." in new for new in found)
    said = [f"all names begin with {dropped!r}, which was left out"] if dropped else []
    said += [f"{', '.join(aside)} belong to no layer and were left out"] if aside else []
    said += ["names have '_orig_mod.' within them, which was left out"] if within else []
    return bare, tuple(said)


def _weights(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())
