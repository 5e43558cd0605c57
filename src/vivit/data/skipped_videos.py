"""Videos that were left out: those that a data set lacks, and in evaluation the unreadable ones, of all ranks."""

from collections.abc import Mapping
from typing import Any

import torch.distributed

from vivit.data.datasets import Split, SplitStats


def gather_skipped(
    skipped: Mapping[Split, Mapping[int, str]], stats: Mapping[Split, SplitStats]
) -> dict[str, dict[str, Any]]:
    """Return, for each split, how many videos were left out and why; all ranks must call it at once.

    ``skipped`` has the unreadable videos of this rank, by row; ``stats`` those that were not even listed.
    """
    ranks = [skipped]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ranks = [{} for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(ranks, skipped)
    results: dict[str, dict[str, Any]] = {}
    for split in skipped:
        bad = {row: why for rank in ranks for row, why in rank[split].items()}
        of_split = stats.get(split)
        why = {f"{path}: {reason}" for path, reason in of_split.reasons.items()} if of_split else set()
        if count := len(bad) + (of_split.skipped if of_split else 0):
            results[split] = {"videos": count, "why": sorted(why | set(bad.values()))}
    return results
