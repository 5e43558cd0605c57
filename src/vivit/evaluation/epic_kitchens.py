"""EPIC-KITCHENS-100's own scores, and what its action recognition challenge wants to be sent.

As in https://github.com/epic-kitchens/C1-Action-Recognition: an action's score is the product of the softmaxes of verb
and noun; an action is of the tail where its verb or its noun is; a participant is unseen who is in no training video.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vivit.evaluation.averages import average_named
from vivit.evaluation.measures import Measured
from vivit.evaluation.scores_reader import ScoresFile
from vivit.evaluation.standings import ACTION
from vivit.io import atomic_write

log = logging.getLogger(__name__)

CLASSES = {"noun": 300, "verb": 97}


def official(measured: Measured, heads: Sequence[str], lists: Mapping[str, Any]) -> dict[str, float]:
    """Accuracies in per cent under the official names: of all videos, of tail classes, of unseen participants.

    ``lists`` has ``tail``, class numbers of each head, and ``unseen``, participants; what is None, or has no video, is
    left out.
    """
    labels = dict(zip(heads, measured.labels.T, strict=True))
    everything = np.ones(len(measured.labels), bool)
    groups = {"all": dict.fromkeys([*heads, ACTION], everything)}
    if lists.get("tail") is not None:
        tail = {head: np.isin(labels[head], lists["tail"][head]) for head in heads}
        groups["tail"] = tail | {ACTION: np.logical_or.reduce(list(tail.values()))}
    if lists.get("unseen") is not None:
        unseen = np.isin([participant(name) for name in measured.names], lists["unseen"])
        groups["unseen"] = dict.fromkeys([*heads, ACTION], unseen)
    return {
        f"{group}_{task}_accuracy_at_{top}": 100 * float((measured.standings[task][chosen] < top).mean())
        for group, tasks in groups.items()
        for task, chosen in tasks.items()
        for top in ((1, 5) if group == "all" else (1,))
        if chosen.any()
    }


def participant(name: str | None) -> str:
    """Tell who is seen in a segment from its narration_id: P01 of P01_11_0."""
    if not name or "_" not in name:
        raise ValueError(f"{name!r} is no narration_id of EPIC-Kitchens, such as P01_11_0")
    return name.split("_")[0]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Writes a submission. The three numbers are the supervision levels (SLS) that the challenge asks for, 0 to 5.

    They are those of pre-training, of training labels and of training data: https://github.com/epic-kitchens/sls.
    """

    sls_pt: int
    sls_tl: int
    sls_td: int

    def __post_init__(self) -> None:
        for name, level in (("sls_pt", self.sls_pt), ("sls_tl", self.sls_tl), ("sls_td", self.sls_td)):
            if level not in range(6):
                raise ValueError(f"submission.{name}={level} is no supervision level; they go from 0 to 5")

    def __call__(self, file: ScoresFile, target: Path, *, views: str, average: str) -> None:
        """Write a zip file that holds ``test.json``. Raises ``ValueError`` where scores are not of EPIC-Kitchens."""
        about = file.about
        if (sizes := {head: len(names) for head, names in about.heads.items()}) != CLASSES:
            raise ValueError(f"a submission to EPIC-Kitchens has the classes {CLASSES}, and {file.file} has {sizes}")
        levels = {"sls_pt": self.sls_pt, "sls_tl": self.sls_tl, "sls_td": self.sls_td}
        head = json.dumps({"version": "0.2", "challenge": "action_recognition"} | levels)
        written = 0
        with (
            atomic_write(target) as place,
            ZipFile(place, "w", ZIP_DEFLATED, compresslevel=5) as archive,
            archive.open("test.json", "w") as text,
        ):
            text.write(f'{head[:-1]}, "results": {{'.encode())
            for written, (name, result) in enumerate(_results(file, views, average), 1):
                comma = ", " if written > 1 else ""
                text.write(f"{comma}{json.dumps(name)}: {json.dumps(result, allow_nan=False)}".encode())
            text.write(b"}}")
        if written < about.listed:
            log.warning(
                "%s holds %d of the %d videos of the split; the challenge wants all", target, written, about.listed
            )


def _results(file: ScoresFile, views: str, average: str) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Give every video's name, and its scores by head and class number, to six decimals."""
    rule, chosen, seen = average_named(average), file.chosen(views), set[str]()
    for part in file.parts():
        scores = rule(part.views[:, chosen].double(), list(CLASSES.values()))
        for name, row in zip(part.names, scores, strict=True):
            participant(name)
            if name in seen:
                raise ValueError(f"{file.file} names {name} twice")
            seen.add(str(name))
            noun, verb = row.split(list(CLASSES.values()))
            yield str(name), {"verb": _numbered(verb), "noun": _numbered(noun)}


def _numbered(scores: Float[Tensor, " k"]) -> dict[str, float]:
    return {str(number): score for number, score in enumerate(torch.round(scores, decimals=6).tolist())}
