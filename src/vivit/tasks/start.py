"""Where a training run starts."""

import logging

import torch

from vivit.launch import Job
from vivit.tasks.checkpoint import checkpoint_file, read_record

log = logging.getLogger(__name__)


def starting_point(ckpt_path: str | None, job: Job) -> str | None:
    """Path of the checkpoint to go on from; None, for a start at step 0, where there is none to be had.

    A run that goes on in its own folder has precedence over the checkpoint that it once started from.
    """
    own = job.folder / "checkpoints" / "last.ckpt"
    if own.is_file() and (job.resumes or ckpt_path == "auto"):
        file = own
    elif ckpt_path is None or ckpt_path == "auto":
        if ckpt_path == "auto":
            log.info("no checkpoint in %s yet: a start at step 0", own.parent)
        return None
    else:
        file = checkpoint_file(ckpt_path)
        if said := [typed for typed in job.cli_overrides("weights") if typed != "weights=null"]:
            raise ValueError(
                f"{said[0]} has no effect beside ckpt_path={ckpt_path}: a run that goes on has its weights from there; "
                "leave one of them out"
            )
    read_record(file)
    step = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    log.info("resumed at step %d, from %s", step, file)
    return str(file)
