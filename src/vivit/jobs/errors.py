"""Errors in one line that a user can mend."""

from hydra.errors import InstantiationException
from omegaconf.errors import OmegaConfBaseException


def mendable(error: BaseException) -> bool:
    """Whether an error is about what the user asked for, or about the machine, rather than about this code."""
    known = isinstance(error, ValueError | OSError | InstantiationException | OmegaConfBaseException)
    return known or _lost_worker(error) or _lost_rank(error)


def _lost_worker(error: BaseException) -> bool:
    """Whether a process that decodes died or hangs. torch says so from a signal handler, wherever this process was."""
    return isinstance(error, RuntimeError) and str(error).startswith(("DataLoader worker", "DataLoader timed out"))


def _lost_rank(error: BaseException) -> bool:
    """Whether another rank is gone, as gloo and NCCL say it."""
    signs = ("gloo/transport", "Connection closed by peer", "ncclRemoteError")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def explain(error: BaseException) -> str:
    """Say an error in one line, without what Hydra wraps around it, and at which key it arose."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return explain(error.__cause__) + (f" (in {key.strip()})" if key else "")
    said = " ".join(str(error).split()) or type(error).__name__
    if _lost_worker(error):
        train, others = "data.workers, data.prefetch or data.batch_size", "workers or batch_size"
        said += f" (if memory ran out: lower {train}, outside of train.py {others})"
    if _lost_rank(error):
        said = "another rank has ended: it was killed, often because memory ran out, or its own error stands above"
    return said
