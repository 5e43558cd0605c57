"""Which frames and crops of a video a network takes: as a configuration, and as plain values that any format stores."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.views import format_views
from vivit.inference.preprocessing import DEFAULT_VIEWS, parse_preprocessing
from vivit.launch import Job
from vivit.overrides import override_key

CLIP_KEYS = ("stride", "resize", "views", "resampling")
"""Keys of a data set that define the clips of a file, beside their size, which the network has."""
STORED_KEYS = (*CLIP_KEYS, "square_pixels")
"""What files of other formats store of it."""
DATA_KEYS = ("root", "dataset", "train_share")
"""Keys of a data set that name its videos."""
VIEW_SAMPLER = {"_target_": "vivit.data.view_samplers.MultiViewSampler", "_partial_": True}
"""Configuration of the sampler of test views; its defaults are one view."""
RESIZE_CLASSES = {
    "fused": "vivit.data.transforms.resize.FusedResize",
    "reference": "vivit.data.transforms.resize.ReferenceResize",
}


def clip_settings_to_plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a data set's configuration."""
    plain: dict[str, Any] = {key: int(data[key]) for key in ("stride", "resize") if data.get(key) is not None}
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
    clip = {"frames": int(data["frames"]), "crop": [int(side) for side in data["crop"]]}
    source = {key: data[key] for key in DATA_KEYS if key in data and data[key] != "???"}
    return {"preprocessing": clip | clip_settings_to_plain(data), "data": source}


def clip_settings_from_plain(plain: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Return the configuration of a data set from plain values of a file. Raises CheckpointError for wrong ones."""
    values = parse_preprocessing(plain, source)
    config: dict[str, Any] = {key: values[key] for key in ("stride", "resize") if key in values}
    if "views" in values:
        config["views"] = VIEW_SAMPLER | values["views"]
    if "resampling" in values:
        target = RESIZE_CLASSES[values["resampling"]]
        config["resampling"] = {"_target_": target, "square_pixels": values["square_pixels"]}
    return config


def merge_clip_settings(
    recorded: Mapping[str, Any], cfg: DictConfig, job: Job, *, complete: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return in plain values how clips are cut, and which of ``CLIP_KEYS`` nobody has set.

    What is typed counts before what a file has, which is ``recorded``, and that before the configuration's defaults;
    these are not needed for a ``complete`` record. The choice of a data set counts as typed where the file has nothing.
    """
    configured = clip_settings_to_plain(OmegaConf.to_container(cfg.data, resolve=True))  # type: ignore[arg-type]
    plain: dict[str, Any] = {}
    assumed: list[str] = []
    dataset_typed = any(override_key(override) == "data" for override in job.cli_overrides("data"))
    for key in CLIP_KEYS:
        names = (key, "square_pixels") if key == "resampling" else (key,)
        typed = job.cli_overrides(f"data.{key}", *([key] if key in ("views", "resampling") else []))
        if not typed and (key in recorded or complete):
            plain |= {name: recorded[name] for name in names if name in recorded}
            continue
        plain |= {name: configured[name] for name in names if name in configured}
        assumed += [] if typed or dataset_typed else [key]
    return plain, tuple(assumed)


def merge_views(recorded: Any, cfg: DictConfig, job: Job) -> Any:
    """Return the configuration of views: the typed one, averaged as the checkpoint's unless that is typed too.

    ``recorded`` is the checkpoint's, which counts where nothing is typed; a converted checkpoint may have none.
    """
    configured = cfg.get("views")  # None where the group is null
    if not configured or (recorded and not job.cli_overrides("views")):
        return recorded
    if not recorded or job.cli_overrides("views.average"):
        return configured
    return OmegaConf.merge(configured, {"average": recorded.average})


def format_clip_settings(plain: Mapping[str, Any], keys: Sequence[str] = CLIP_KEYS) -> str:
    """Return plain values as they can be typed."""
    parts = []
    for key in keys:
        if key == "classes" and key in plain:
            parts.append(f"{sum(map(len, plain[key].values()))} classes")
        elif key == "views" and key in plain:
            views = plain[key]
            parts.append(f"views={format_views(views['temporal'], views['spatial'])} of {views['average']}")
        elif key == "resampling" and plain.get("square_pixels"):
            parts.append(f"resampling={plain[key]}, resampling.square_pixels=true")
        elif key in plain:
            parts.append(f"{'' if key == 'resampling' else 'data.'}{key}={plain[key]}")
    return ", ".join(parts)
