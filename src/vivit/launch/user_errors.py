"""Which errors a user can mend, and each of them as one line."""

from hydra.errors import InstantiationException
from omegaconf.errors import OmegaConfBaseException

LOST_RANK_MESSAGES = ("gloo/transport", "Connection closed by peer", "ncclRemoteError")
"""What gloo and NCCL report when another rank is gone."""


def is_user_error(error: BaseException) -> bool:
    """Whether an error is about the command or the machine; faults of this code keep their traceback."""
    known = isinstance(error, ValueError | OSError | InstantiationException | OmegaConfBaseException)
    return known or _lost_worker(error) or _lost_rank(error)


def _lost_worker(error: BaseException) -> bool:
    """Whether a decoding process died or hangs, as torch says it and ``ClipLoader`` too."""
    return isinstance(error, RuntimeError) and str(error).startswith(("DataLoader worker", "DataLoader timed out"))


def _lost_rank(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(message in str(error) for message in LOST_RANK_MESSAGES)


def format_error(error: BaseException) -> str:
    """Return an error in one line, without what Hydra wraps around it, and with the key at which it arose."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return format_error(error.__cause__) + (f" (in {key.strip()})" if key else "")
    message = " ".join(str(error).split()) or type(error).__name__
    if _lost_worker(error):
        train, others = "data.num_workers, data.prefetch_factor or data.batch_size", "num_workers or batch_size"
        message += f" (if memory ran out: lower {train}, outside of train.py {others})"
    if _lost_rank(error):
        message = "another rank has ended: it was killed, often because memory ran out, or its own error stands above"
    return message
