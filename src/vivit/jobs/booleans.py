"""One reader of yes and no for every key of every command."""

import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

SWITCHES = ("decode", "explain", "metrics", "push", "skip_bad", "skip_recorded", "test")
"""Keys of the commands themselves that are true or false; below them, classes and functions say which of theirs are."""
WORDS = dict.fromkeys(("true", "yes", "on", "y"), True) | dict.fromkeys(("false", "no", "off", "n"), False)
"""What YAML 1.1 takes for true and false; Hydra's command line takes the first of each, and the rest for text."""
Container = DictConfig | ListConfig


def settle_booleans(cfg: DictConfig) -> None:
    """Turn words for true and false into booleans wherever a boolean is asked for. Raises ``ValueError`` at others.

    Whether one is asked for is told by ``SWITCHES`` and, of what is built from the configuration, by the annotations
    of its arguments. A key that takes text too keeps all text but those words, and numbers where it takes numbers.
    """
    with flag_override(cfg, ["readonly"], [False]):
        for key in SWITCHES:
            if key in cfg:
                _settle(cfg, key, key, {bool})
        for node, name in _nodes(cfg, ""):
            for key, kinds in _asked(node).items():
                _settle(node, key, f"{name}.{key}", kinds)


def _settle(node: DictConfig, key: str, name: str, kinds: set[Any]) -> None:
    try:
        value = node[key]
    except Exception:
        return  # a value that is missing or cannot be worked out, whose own error follows
    word = WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if word is not None:
        node[key] = word
    elif not isinstance(value, bool) and not _taken(value, kinds):
        shown = "null" if value is None else value
        raise ValueError(f"{name}={shown}: is neither true nor false; set {name}=true or {name}=false")


def _taken(value: Any, kinds: set[Any]) -> bool:
    """Whether a key takes a value that is no boolean, too."""
    plain = (int, float, str, type(None))
    if type(value) in plain:
        return type(value) in kinds or Any in kinds or (type(value) is int and float in kinds)
    return any(kind not in (*plain, bool) for kind in kinds)


def _nodes(node: Container, name: str) -> Iterator[tuple[DictConfig, str]]:
    """Yield every part of a configuration that something is built from, and its key."""
    if isinstance(node, DictConfig) and OmegaConf.select(node, "_target_", throw_on_missing=False) is not None:
        yield node, name
    keys = list(node) if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if key == "hydra" and not name:
            continue
        below = node._get_node(key)
        if isinstance(below, Container) and not (below._is_none() or below._is_missing() or below._is_interpolation()):
            yield from _nodes(below, f"{name}.{key}" if name else str(key))


def _asked(node: DictConfig) -> dict[str, set[Any]]:
    """Return, of the keys of a node that take a boolean, all kinds of values that they take."""
    with suppress(Exception):  # a class that is not there: building it says so
        arguments = _arguments(get_object(node._target_))
        return {str(key): arguments[str(key)] for key in node if bool in arguments.get(str(key), ())}
    return {}


def _arguments(target: Callable[..., Any]) -> dict[str, set[Any]]:
    found = inspect.signature(target, eval_str=True).parameters.values()
    return {argument.name: _kinds(argument) for argument in found if argument.annotation is not argument.empty}


def _kinds(argument: inspect.Parameter) -> set[Any]:
    kinds = _alternatives(argument.annotation)
    return kinds | ({type(None)} if argument.default is None else set())


def _alternatives(annotation: Any) -> set[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return set().union(*map(_alternatives, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    return {annotation}
