"""The registry of data sets: the names that ``data.dataset.name`` may have, each with its class."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vivit.data.datasets.base import VideoDataset
from vivit.data.datasets.option_types import check_option_types
from vivit.data.storage.remote_path import RemotePath, as_folder
from vivit.errors import ConfigError

DatasetClass = TypeVar("DatasetClass", bound=type[VideoDataset])
_CLASSES: dict[str, type[VideoDataset]] = {}
KEYS_OF_DATA = ("root", "train_share", "val_share")
"""Arguments of every data set that are keys of ``data`` itself."""


def register_dataset(name: str) -> Callable[[DatasetClass], DatasetClass]:
    """Return a class decorator that makes a data set available as ``data.dataset.name=<name>``.

    Raises ``ConfigError`` where another class has the name. A module that is loaded again registers its classes anew.
    """

    def register(cls: DatasetClass) -> DatasetClass:
        if not (isinstance(cls, type) and issubclass(cls, VideoDataset)):
            raise ConfigError(
                "data.dataset.name", name, f"{cls!r} is no VideoDataset", "derive it from vivit.data.datasets"
            )
        taken = _CLASSES.get(name)
        if taken is not None and import_path(taken) != import_path(cls):
            problem = f"is the name of {import_path(taken)}, so {import_path(cls)} cannot have it"
            raise ConfigError("data.dataset.name", name, problem, "register it by another name")
        _CLASSES[name] = cls
        return cls

    return register


def dataset_class(name: str) -> type[VideoDataset]:
    """Return the class that is registered by a name. Raises ``ConfigError``, with all names, where there is none."""
    if not isinstance(name, str) or name not in _CLASSES:
        known = ", ".join(sorted(_CLASSES))
        remedy = f"set one of {known}, or plugins=[module] with the module that registers it"
        raise ConfigError("data.dataset.name", name, "is not the name of a data set", remedy)
    return _CLASSES[name]


def build_dataset(name: str, **options: Any) -> VideoDataset:
    """Return the data set of a name. Raises ``ConfigError`` for options that are unknown, missing, or mistyped."""
    cls = dataset_class(name)
    parameters = inspect.signature(cls).parameters
    names = [option for option in parameters if option not in KEYS_OF_DATA]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not open_ended and (unknown := [option for option in options if option not in parameters]):
        raise ConfigError(
            f"data.dataset.{unknown[0]}",
            options[unknown[0]],
            f"is no option of data.dataset.name={name}",
            f"set one of {', '.join(sorted(names))}",
        )
    required = [option for option, parameter in parameters.items() if _is_required(parameter)]
    if missing := [option for option in required if option not in options]:
        key = f"data.{missing[0]}" if missing[0] in KEYS_OF_DATA else f"data.dataset.{missing[0]}"
        raise ConfigError(key, problem="is not set", remedy=f"data.dataset.name={name} needs {', '.join(required)}")
    check_option_types(cls, {option: value for option, value in options.items() if option not in KEYS_OF_DATA})
    return cls(**options)


def dataset_from_options(
    options: Mapping[str, Any], *, root: str | Path, train_share: float = 1.0, val_share: float | None = None
) -> VideoDataset:
    """Return the data set of the plain values of ``data.dataset``: its ``name``, and the options of its class."""
    if not isinstance(options, Mapping):
        problem = f"is {options!r}, and not the name and the options of a data set"
        raise ConfigError("data.dataset", problem=problem, remedy="set data.dataset.name, or data= to a configuration")
    if options.get("name") is None:
        raise ConfigError("data.dataset.name", problem="is not set", remedy=f"set one of {', '.join(sorted(_CLASSES))}")
    if doubled := [key for key in KEYS_OF_DATA if key in options]:
        raise ConfigError(f"data.dataset.{doubled[0]}", problem="is no key of its own", remedy=f"set data.{doubled[0]}")
    if not isinstance(root, str | Path | RemotePath):
        remedy = "set the folder of the videos; one that is called by a number is written ./5"
        raise ConfigError("data.root", root, "is no folder", remedy)
    return build_dataset(**options, root=as_folder(root, "data.root"), train_share=train_share, val_share=val_share)


def import_path(cls: type) -> str:
    """Return module and name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    return parameter.default is parameter.empty and not variable
