"""EPIC-KITCHENS-100: its official metrics, and submissions to its action recognition challenge.

As in https://github.com/epic-kitchens/C1-Action-Recognition: an action's score is the product of the softmaxes of verb
and noun; an action is of the tail where its verb or its noun is; an unseen participant is in no training video.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vivit.errors import ConfigError, DataError
from vivit.evaluation.metrics import ACTION, EvaluationResult
from vivit.evaluation.multi_view import get_aggregation
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.io import atomic_write

log = logging.getLogger(__name__)

NUM_CLASSES = {"noun": 300, "verb": 97}


def compute_official_metrics(
    result: EvaluationResult, heads: Sequence[str], lists: Mapping[str, Any]
) -> dict[str, float]:
    """Return accuracies in percent under the official names: of all videos, tail classes, unseen participants.

    ``lists`` has ``tail``, class indices of each head, and ``unseen``, participants; a subset that is None, or has no
    video, is left out.
    """
    labels = dict(zip(heads, result.labels.T, strict=True))
    everything = np.ones(len(result.labels), bool)
    subsets = {"all": dict.fromkeys([*heads, ACTION], everything)}
    if lists.get("tail") is not None:
        tail = {head: np.isin(labels[head], lists["tail"][head]) for head in heads}
        subsets["tail"] = tail | {ACTION: np.logical_or.reduce(list(tail.values()))}
    if lists.get("unseen") is not None:
        unseen = np.isin([get_participant(name, result.file) for name in result.names], lists["unseen"])
        subsets["unseen"] = dict.fromkeys([*heads, ACTION], unseen)
    return {
        f"{subset}_{task}_accuracy_at_{k}": 100 * float((result.ranks[task][selected] < k).mean())
        for subset, tasks in subsets.items()
        for task, selected in tasks.items()
        for k in ((1, 5) if subset == "all" else (1,))
        if selected.any()
    }


def get_participant(name: str | None, file: Path) -> str:
    """Return the participant of a segment's narration_id, P01 of P01_11_0. Raises DataError about ``file``."""
    if not name or "_" not in name:
        raise DataError(file, f"{name!r} is no narration_id of EPIC-Kitchens, such as P01_11_0", column="name")
    return name.split("_")[0]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Writer of a submission. The three numbers are the supervision levels (SLS) of the challenge, 0 to 5.

    They are those of pre-training, of training labels and of training data: https://github.com/epic-kitchens/sls.
    """

    sls_pt: int
    sls_tl: int
    sls_td: int

    def __post_init__(self) -> None:
        for name, level in asdict(self).items():
            if level not in range(6):
                raise ConfigError(f"submission.{name}", level, "is no supervision level", "set one from 0 to 5")

    def __call__(self, file: PredictionsFile, target: Path, *, views: str, average: str) -> None:
        """Write a zip file that holds ``test.json``. Raises DataError for predictions of another data set."""
        metadata = file.metadata
        if (sizes := {head: len(names) for head, names in metadata.heads.items()}) != NUM_CLASSES:
            raise DataError(file.file, f"has the classes {sizes}, and a submission to EPIC-Kitchens {NUM_CLASSES}")
        head = json.dumps({"version": "0.2", "challenge": "action_recognition"} | asdict(self))
        written = 0
        with (
            atomic_write(target) as partial,
            ZipFile(partial, "w", ZIP_DEFLATED, compresslevel=5) as archive,
            archive.open("test.json", "w") as text,
        ):
            text.write(f'{head[:-1]}, "results": {{'.encode())
            for written, (name, scores) in enumerate(_scores_by_name(file, views, average), 1):
                comma = ", " if written > 1 else ""
                text.write(f"{comma}{json.dumps(name)}: {json.dumps(scores, allow_nan=False)}".encode())
            text.write(b"}}")
        if written < metadata.listed:
            log.warning(
                "%s holds %d of the %d videos of the split; the challenge wants all", target, written, metadata.listed
            )


def _scores_by_name(
    file: PredictionsFile, views: str, average: str
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield every video's name, and its scores by head and class index, to six decimals."""
    aggregation, indices, seen = get_aggregation(average), file.view_indices(views), set[str]()
    for part in file.parts():
        scores = aggregation(part.views[:, indices].double(), list(NUM_CLASSES.values()))
        for name, row in zip(part.names, scores, strict=True):
            get_participant(name, file.file)
            if name in seen:
                raise DataError(file.file, f"has {name} twice", column="name")
            seen.add(str(name))
            noun, verb = row.split(list(NUM_CLASSES.values()))
            yield str(name), {"verb": _by_index(verb), "noun": _by_index(noun)}


def _by_index(scores: Float[Tensor, " k"]) -> dict[str, float]:
    return {str(number): score for number, score in enumerate(torch.round(scores, decimals=6).tolist())}
