"""Which frames and crops of a video a network takes: from configurations to the plain values that any format stores."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.view_samplers import MultiViewSampler, check_rate
from vivit.data.views import format_views
from vivit.evaluation import get_aggregation
from vivit.inference.preprocessing import DEFAULT_VIEWS
from vivit.launch import Job
from vivit.overrides import DATA_KEYS, override_key

CLIP_KEYS = ("stride", "resize", "views", "resampling")
"""Keys of a data set that define the clips of a file, beside their size, which the network has."""
TOGETHER = {"stride": ("stride", "fps"), "resampling": ("resampling", "square_pixels")}
"""Keys that define one thing: what is typed of one of them replaces what a file has of all."""
STORED_KEYS = (*CLIP_KEYS, "fps", "square_pixels")
"""What files of other formats store of it."""


def to_plain(node: DictConfig) -> dict[str, Any]:
    """Return a part of a configuration in plain values."""
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return plain


def clip_settings_to_plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a data set's configuration."""
    plain: dict[str, Any] = {key: int(data[key]) for key in ("stride", "resize") if data.get(key) is not None}
    if data.get("fps") is not None:
        plain["fps"] = data["fps"]
    if views := data.get("views"):
        plain["views"] = {key: views.get(key, default) for key, default in DEFAULT_VIEWS.items()}
        if counts := views.get("also_report"):
            plain["views"]["also_report"] = list(counts)
    if resize := data.get("resampling"):
        plain["resampling"] = str(resize["_target_"]).rpartition(".")[2].removesuffix("Resize").lower()
        plain["square_pixels"] = bool(resize.get("square_pixels", False))
    return plain


def data_record(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a checkpoint's record that describe the configuration of a data set, in plain values."""
    check_rate(data.get("stride"), data.get("fps"))
    clip = {"frames": int(data["frames"]), "crop": [int(side) for side in data["crop"]]}
    source = {key: data[key] for key in DATA_KEYS if data.get(key) not in (None, "???")}
    return {"preprocessing": clip | clip_settings_to_plain(data), "data": source}


def merge_clip_settings(
    recorded: Mapping[str, Any], cfg: DictConfig, job: Job, *, complete: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return in plain values how clips are cut, and which of ``CLIP_KEYS`` nobody has set.

    What is typed counts before what a file has, which is ``recorded``, and that before the configuration's defaults;
    these are not needed for a ``complete`` record. The choice of a data set counts as typed where the file has nothing.
    """
    configured = clip_settings_to_plain(to_plain(cfg.data))
    check_rate(configured.get("stride"), configured.get("fps"))
    plain: dict[str, Any] = {}
    assumed: list[str] = []
    dataset_typed = any(override_key(override) == "data" for override in job.cli_overrides("data"))
    for key in CLIP_KEYS:
        names = TOGETHER.get(key, (key,))
        groups = [key] if key in ("views", "resampling") else []
        typed = job.cli_overrides(*(f"data.{name}" for name in names), *groups)
        if not typed and (complete or any(name in recorded for name in names)):
            plain |= {name: recorded[name] for name in names if name in recorded}
            continue
        plain |= {name: configured[name] for name in names if name in configured}
        assumed += [] if typed or dataset_typed else [key]
    return plain, tuple(assumed)


def merge_typed_settings(recorded: Mapping[str, Any], cfg: DictConfig, job: Job) -> dict[str, Any]:
    """Return a checkpoint's preprocessing with the views and the resampling that its command says, in plain values.

    Typed views count before the checkpoint's, and are averaged as its are, unless that is typed too. Views that only a
    data set brings count where the checkpoint has none. What a checkpoint stores never becomes a configuration: Hydra
    would build what it names. Raises ConfigError for views that are impossible.
    """
    groups = {key: cfg[key] for key in ("views", "resampling") if cfg.get(key)}  # None where a group is null
    configured = clip_settings_to_plain({key: to_plain(node) for key, node in groups.items()})
    views, stored = configured.pop("views", None), recorded.get("views")
    if views:  # as keys of the command, before they are taken for the checkpoint's
        get_aggregation(views["average"])
        MultiViewSampler(frames=1, stride=1, resize=1, crop=(1, 1), **views)
    if not views or (stored and not job.cli_overrides("views")):
        views = stored
    elif stored and not job.cli_overrides("views.average"):
        views |= {"average": stored.get("average", DEFAULT_VIEWS["average"])}
    return {**recorded, **configured, **({"views": views} if views else {})}


def format_clip_settings(plain: Mapping[str, Any], keys: Sequence[str] = CLIP_KEYS) -> str:
    """Return plain values as they can be typed."""
    parts = []
    for key in keys:
        if key == "classes" and key in plain:
            parts.append(f"{sum(map(len, plain[key].values()))} classes")
        elif key == "multi_label" and key in plain:
            parts.append(f"multi_label={','.join(plain[key])}, with their thresholds")
        elif key == "views" and key in plain:
            views = plain[key]
            parts.append(f"views={format_views(views['temporal'], views['spatial'])} of {views['average']}")
        elif key == "resampling" and plain.get("square_pixels"):
            parts.append(f"resampling={plain[key]}, resampling.square_pixels=true")
        elif key == "stride" and "fps" in plain:
            parts.append(f"data.fps={plain['fps']:g}")
        elif key in plain:
            parts.append(f"{'' if key == 'resampling' else 'data.'}{key}={plain[key]}")
    return ", ".join(parts)
