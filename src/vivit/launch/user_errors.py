"""Which errors a user can mend, and each of them as one line."""

import re
import traceback
from collections.abc import Callable
from typing import Any

from hydra.errors import InstantiationException
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from vivit.errors import ConfigError, UserError
from vivit.ranks import is_rank_zero

LOST_RANK_MESSAGES = ("gloo/transport", "Connection closed by peer", "ncclRemoteError")
"""What gloo and NCCL report when another rank is gone."""
OUT_OF_MEMORY = ("out of memory", "tried to allocate")
"""What torch reports where a tensor does not fit."""
ALLOCATED = re.compile(r"to allocate ([\d.]+ ?\w+)")
"""How torch and NumPy write its size."""
REQUIRED = {
    "ckpt_path": "set ckpt_path=, a checkpoint or the folder of a run, as ckpt_path=logs/train/runs/...",
    "video": "set video=, a file, a folder, a pattern or a list of them",
    "source": "set source=, a file or folder of weights",
    "target": "set target=, a file or folder that does not exist yet",
    "data.root": "set data.root=, the folder of the videos",
    "bench.videos": "set bench.videos=, a folder of video files",
}
"""What to set where a key has no value, by its name."""


def is_user_error(error: BaseException) -> bool:
    """Whether an error is about the command or the machine; faults of this code keep their traceback."""
    known = isinstance(error, ValueError | OSError | InstantiationException | OmegaConfBaseException)
    return known or _lost_worker(error) or _lost_rank(error) or _out_of_memory(error)


def _lost_worker(error: BaseException) -> bool:
    """Whether a decoding process died or hangs, as torch says it and ``ClipLoader`` too."""
    return isinstance(error, RuntimeError) and str(error).startswith(("DataLoader worker", "DataLoader timed out"))


def _lost_rank(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(message in str(error) for message in LOST_RANK_MESSAGES)


def _out_of_memory(error: BaseException) -> bool:
    of_torch = isinstance(error, RuntimeError) and any(message in str(error) for message in OUT_OF_MEMORY)
    return of_torch or isinstance(error, MemoryError)


def format_error(error: BaseException) -> str:
    """Return an error in one line, without what Hydra wraps around it, and with the key at which it arose."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return format_error(error.__cause__) + (f" (in {key.strip()})" if key else "")
    if isinstance(error, InterpolationResolutionError) and (cause := _cause(error)) is not None:
        return format_error(cause)
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return _format_omegaconf(error)
    message = " ".join(str(error).split()) or type(error).__name__
    message = re.sub(r"^Interpolation key '(.*)' not found$", r"${\1}: refers to a key that there is not", message)
    if _lost_worker(error):
        train, others = "data.num_workers, data.prefetch_factor or data.batch_size", "num_workers or batch_size"
        message += f" (if memory ran out: lower {train}, outside of train.py {others})"
    if _lost_rank(error):
        message = "another rank has ended: it was killed, often because memory ran out, or its own error stands above"
    if _out_of_memory(error):
        size = ALLOCATED.search(message)
        needed = f", where {size[1]} more were needed" if size else ""
        smaller = "data.batch_size, data.frames or data.crop, or a smaller size="
        message = f"memory ran out{needed}: set smaller {smaller} (outside of train.py batch_size)"
    return message


def _cause(error: BaseException | None) -> UserError | None:
    """Return the error that a resolver of ours raised; None where the chain of an error has none."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def missing_value(key: str) -> ConfigError:
    """Return the error of a key that has no value and needs one."""
    return ConfigError(key, problem="is not set", remedy=REQUIRED.get(key, f"set {key}="))


def _format_omegaconf(error: OmegaConfBaseException) -> str:
    """Return an error of OmegaConf about a key in its words, but for what they say of Python."""
    key, problem = str(error.full_key), " ".join(str(error.msg or error).partition("\n")[0].split())
    if isinstance(error, MissingMandatoryValue):
        return str(missing_value(key))
    if isinstance(error, InterpolationKeyError | InterpolationResolutionError):
        problem = problem.removeprefix("Interpolation")
        return str(ConfigError(key, problem=f"refers to what there is not: {problem.strip()}", remedy="set a value"))
    return str(ConfigError(key, problem=problem))


def exit_on_user_error(check: Callable[[], Any]) -> Any:
    """Return the result of a check; end the process where it raises, with one line for what a user can mend."""
    try:
        return check()
    except (UserError, OmegaConfBaseException) as error:
        raise SystemExit(f"error: {format_error(error)}" if is_rank_zero() else 1) from None
    except Exception:  # Hydra would only warn of it, and run the task
        if is_rank_zero():
            traceback.print_exc()
        raise SystemExit(1) from None
