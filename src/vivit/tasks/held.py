"""What decides which frames and which part of them a network sees, in plain values that any format can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.views import format_views
from vivit.evaluation import get_aggregation
from vivit.launch import Job

CUT = ("stride", "resize", "views", "resampling")
"""Keys of a data set that decide a clip of a file, beside its size, which the network tells."""
VIEWS = {"temporal": 1, "spatial": 1, "average": "logits"}
RESAMPLING = {
    "fused": "vivit.data.transforms.resize.FusedResize",
    "reference": "vivit.data.transforms.resize.ReferenceResize",
}


@dataclass(frozen=True)
class Cut:
    """How clips are cut, as a configuration, and what of that nobody has told."""

    data: Mapping[str, Any]
    assumed: tuple[str, ...] = field(default=())


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration tells of how clips are cut."""
    found: dict[str, Any] = {key: int(data[key]) for key in ("stride", "resize") if data.get(key) is not None}
    if views := data.get("views"):
        found["views"] = {key: views.get(key, usual) for key, usual in VIEWS.items()}
    if scaling := data.get("resampling"):
        found["resampling"] = str(scaling["_target_"]).rpartition(".")[2].removesuffix("Resize").lower()
        found["square_pixels"] = bool(scaling.get("square_pixels", False))
    return found


def configured(told: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Make a configuration again of what a file tells. Raises ValueError where it tells what cannot be."""
    found: dict[str, Any] = {}
    for key in ("stride", "resize"):
        if (number := told.get(key)) is not None:
            found[key] = _whole(number, f"{key} of its clips", source)
    if (views := told.get("views")) is not None:
        if not isinstance(views, Mapping) or set(views) - set(VIEWS):
            raise ValueError(f"{source} tells {views!r} of its views, where {', '.join(VIEWS)} are known")
        numbers = {key: _whole(views.get(key, 1), f"{key} views", source) for key in ("temporal", "spatial")}
        average = str(views.get("average", "logits"))
        get_aggregation(average)
        found["views"] = {
            "_target_": "vivit.data.view_samplers.MultiViewSampler",
            "_partial_": True,
            **numbers,
            "average": average,
        }
    if (name := told.get("resampling")) is not None:
        if name not in RESAMPLING:
            raise ValueError(f"{source} tells resampling={name!r}, which is none of {', '.join(RESAMPLING)}")
        if not isinstance(square := told.get("square_pixels", False), bool):
            raise ValueError(f"{source} tells square_pixels={square!r}, which is neither true nor false")
        found["resampling"] = {"_target_": RESAMPLING[name], "square_pixels": square}
    return found


def heads_told(told: Mapping[str, Any], outputs: int, source: object) -> dict[str, list[str]] | None:
    """Return the class names of every head that a file tells; None where it tells none."""
    heads = told.get("heads")
    if heads is None:
        return None
    fine = isinstance(heads, Mapping) and all(isinstance(names, Sequence) for names in heads.values())
    if not fine or sum(map(len, heads.values())) != outputs:
        raise ValueError(f"{source} tells other classes than its network's {outputs} outputs")
    return {str(head): [str(name) for name in names] for head, names in heads.items()}


def settled(told: Mapping[str, Any], cfg: DictConfig, job: Job) -> Cut:
    """Join what is typed, what a source tells, and what is left to assume, in this order.

    ``told`` is all of a checkpoint's data set, or what a file of others tells. The choice of a data set counts as
    typed where the source tells nothing.
    """
    configured: Any = OmegaConf.to_container(cfg.data, resolve=True)
    whole = "_target_" in told
    data, assumed = dict(told) if whole else dict(configured), []
    chosen = any(said.partition("=")[0] == "data" for said in job.cli_overrides("data"))
    for key in CUT:
        if job.cli_overrides(f"data.{key}", *([key] if key in ("views", "resampling") else [])):
            data[key] = configured[key]
        elif key in told:
            data[key] = told[key]
        elif not whole:
            data[key] = configured[key]
            assumed += [] if chosen else [key]
    return Cut(data, tuple(assumed))


def in_words(told: Mapping[str, Any], keys: Sequence[str] = CUT) -> str:
    """Write plain values as they can be typed."""
    words = []
    for key in keys:
        if key == "classes" and key in told:
            words.append(f"{sum(map(len, told[key].values()))} classes")
        elif key == "views" and key in told:
            views = told[key]
            words.append(f"views={format_views(views['temporal'], views['spatial'])} of {views['average']}")
        elif key == "resampling" and told.get("square_pixels"):
            words.append(f"resampling={told[key]}, resampling.square_pixels=true")
        elif key in told:
            words.append(f"{'' if key == 'resampling' else 'data.'}{key}={told[key]}")
    return ", ".join(words)


def _whole(number: Any, what: str, source: object) -> int:
    if type(number) is not int or number < 1:
        raise ValueError(f"{source} tells {number!r} for the {what}, and a whole number from 1 on is wanted")
    return number
