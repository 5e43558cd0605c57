"""Values as their keys need them: words for true and false become booleans, and words are refused as numbers."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

from vivit.errors import ConfigError

BOOLEAN_KEYS = (
    *("full_decode", "look_alike", "explain", "compute_metrics", "push", "remaining"),
    *("skip_unreadable", "skip_recorded", "test", "test_train", "time", "dense"),
)
"""Boolean keys of the commands themselves; annotations of classes and functions tell those of nodes with a target."""
REGISTERED = {"data.dataset": "vivit.data.datasets.dataset_class", "model": "vivit.models.registry.model_config"}
"""Nodes that name a registered class, and the function that returns what its options are arguments of."""
BOOLEANS = dict.fromkeys(("true", "yes", "on", "y"), True) | dict.fromkeys(("false", "no", "off", "n"), False)
"""Booleans of YAML 1.1; Hydra's command line parses the first of each, and leaves the rest as text."""
AUTOMATIC = {"data.batch_size": "auto"}
"""Words that keys of numbers accept, which are replaced by a number later."""
Container = DictConfig | ListConfig


def parse_typed_values(cfg: DictConfig) -> None:
    """Replace words for true and false by booleans wherever a key is boolean.

    Raises ConfigError for other values there, and for a text or a list where a key is a number alone.

    A key is boolean by ``BOOLEAN_KEYS`` or by the annotations of the arguments of its node's class. A key that accepts
    text too keeps all text but those words, and numbers where it accepts numbers.
    """
    with flag_override(cfg, ["readonly"], [False]):
        for key in BOOLEAN_KEYS:
            if key in cfg:
                _parse(cfg, key, key, {bool})
        for node, name in _nodes(cfg, ""):
            for key, types in _typed_arguments(node, name).items():
                if bool in types:
                    _parse(node, key, f"{name}.{key}", types)
                elif types & {int, float} and not types & {str, Any}:
                    _check_number(node, key, f"{name}.{key}", types)


def _parse(node: DictConfig, key: str, name: str, types: set[Any]) -> None:
    try:
        value = node[key]
    except Exception:
        return  # a value that is missing or cannot be resolved raises its own error later
    boolean = BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None
    if boolean is not None:
        node[key] = boolean
    elif not isinstance(value, bool) and not _is_accepted(value, types):
        raise ConfigError(name, value, "is neither true nor false", f"set {name}=true or {name}=false")


def _check_number(node: DictConfig, key: str, name: str, types: set[Any]) -> None:
    try:
        value = node[key]
    except Exception:
        return
    scalar = not any(map(get_origin, types))
    is_fraction = isinstance(value, float) and not types & {float, Any} and not value.is_integer()
    if isinstance(value, float) and value.is_integer() and not types & {float, Any}:
        node[key] = int(value)
    is_text = isinstance(value, str) and AUTOMATIC.get(name) != value
    if is_text or is_fraction or (scalar and isinstance(value, ListConfig)):
        kind = "number" if float in types else "whole number"
        example = ", as 1e-3" if name.endswith(".lr") else ""
        listed = list(value) if isinstance(value, ListConfig) else value
        raise ConfigError(name, listed, f"is no {kind}", f"set one{example}")


def _is_accepted(value: Any, types: set[Any]) -> bool:
    """Whether a key accepts a value that is no boolean, too."""
    plain = (int, float, str, type(None))
    if type(value) in plain:
        return type(value) in types or Any in types or (type(value) is int and float in types)
    return any(type_ not in (*plain, bool) for type_ in types)


def _nodes(node: Container, name: str) -> Iterator[tuple[DictConfig, str]]:
    """Yield every node of a configuration that has a target or a registered class, and its key."""
    target = "name" if name in REGISTERED else "_target_"
    if isinstance(node, DictConfig) and OmegaConf.select(node, target, throw_on_missing=False) is not None:
        yield node, name
    keys = list(node) if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if key == "hydra" and not name:
            continue
        below = node._get_node(key)
        if isinstance(below, Container) and not (below._is_none() or below._is_missing() or below._is_interpolation()):
            yield from _nodes(below, f"{name}.{key}" if name else str(key))


def _typed_arguments(node: DictConfig, name: str) -> dict[str, set[Any]]:
    """Return the annotated keys of a node, each with all types that it accepts."""
    with suppress(Exception):  # a class that does not exist raises when it is built
        registered = REGISTERED.get(name)
        target = get_object(registered)(node.name) if registered else get_object(node._target_)
        arguments = _arguments(target)
        return {str(key): arguments[str(key)] for key in node if str(key) in arguments}
    return {}


def _arguments(target: Callable[..., Any]) -> dict[str, set[Any]]:
    parameters = inspect.signature(target, eval_str=True).parameters.values()
    return {argument.name: _types(argument) for argument in parameters if argument.annotation is not argument.empty}


def _types(argument: inspect.Parameter) -> set[Any]:
    types = _union_members(argument.annotation)
    return types | ({type(None)} if argument.default is None else set())


def _union_members(annotation: Any) -> set[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_union_members, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    return {annotation}
