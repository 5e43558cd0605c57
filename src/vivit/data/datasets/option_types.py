"""Types of a data set's options, checked before its class is built: a mistyped value is one error about its key."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from vivit.errors import ConfigError, format_value

KINDS = {int: "whole number", float: "number", str: "text", bool: "boolean", Path: "folder"}
EXAMPLES = {
    "annotation_files": "{train:train.csv,val:val.csv,test:test.csv}",
    "backwards": "{label:{open:close,close:open}}",
    "class_columns": "{tags:[walk,wave]}",
    "class_file": "a file below data.root",
    "classes": "{label:[walk,wave]}",
    "copies": "256, the short side of copies that prepare.py made, or null",
    "delimiter": "one character, or null",
    "encoding": "latin-1 or another, or null",
    "file": "videos.csv, or another file below data.root",
    "filter": "{dataset:surv-fight}",
    "flip": "harmless, forbidden, or {label:{left:right,right:left}}",
    "folders": "{train:training,val:validation,test:validation}",
    "group": "the name of a column, as group",
    "group_before": "a regular expression such as _clip",
    "header": "[path,label]",
    "index_dir": "a folder, or null for data.root/prepared",
    "label": "the name of an entry, as label",
    "label_columns": "[label] or [noun,verb]",
    "max_missing": "{train:0.05,val:0,test:0}",
    "path_template": "a path with fields in braces, as {id}.mp4",
    "score_by": "[speed,size], or []",
    "separator": "a text such as ';', or one for some of data.dataset.label_columns: {tags:';'}",
    "tail_classes": "{noun:nouns.csv,verb:verbs.csv}, or null",
    "unseen_participants": "{val:participants.csv}, or null",
}
"""What to set, by option, where its type alone does not show it."""


def check_option_types(cls: type, options: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for the first option whose value is not of the type that the class declares.

    Options without a declared type, and of types that no YAML file has, are left to the class.
    """
    declared: dict[str, Any] = {}
    with suppress(Exception):  # annotations of other packages need not be resolvable
        declared = {name: each.annotation for name, each in inspect.signature(cls, eval_str=True).parameters.items()}
    for name, value in options.items():
        for key, part, hint in _mismatches(name, value, declared.get(name, Any)):
            raise ConfigError(f"data.dataset.{key}", part, _problem(part, hint), _remedy(key, part, hint))


def _mismatches(key: str, value: Any, hint: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, value and type of what is wrong, which may lie below the option's key."""
    if _matches(value, hint):
        return
    for member in _members(hint):
        if get_origin(member) is Mapping and isinstance(value, Mapping):
            for name, entry in value.items():
                if _matches(name, str):
                    yield from _mismatches(f"{key}.{name}", entry, get_args(member)[1])
    yield key, value, hint


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _matches(value: Any, hint: Any) -> bool:
    """Return whether a plain value may stand where a type is declared; a type that is no plain one takes all."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint in (str, None, NoneType):
        return isinstance(value, str if hint is str else NoneType)
    if hint is Path:
        return isinstance(value, str | Path)
    if origin in (Union, UnionType):
        return any(_matches(value, member) for member in arguments)
    if origin is Literal:
        return value in arguments
    if origin is Mapping:
        pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
        return all(_matches(name, arguments[0]) and _matches(entry, arguments[1]) for name, entry in pairs)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_matches(entry, arguments[0]) for entry in value)
    return True


def _problem(value: Any, hint: Any) -> str:
    names = [name for member in _members(hint) if (name := _describe(member)) is not None]
    return f"is no {' or '.join(dict.fromkeys(names))}" if value is not None else "is empty"


def _describe(hint: Any) -> str | None:
    """Return what a type is called in an error; None for that of null."""
    if get_origin(hint) is Mapping:
        return "map of names"
    if get_origin(hint) is Sequence:
        return "list of texts" if get_args(hint)[0] is str else "list"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    return None if hint in (None, NoneType) else KINDS.get(hint, "possible value")


def _remedy(key: str, value: Any, hint: Any) -> str:
    option, _, below = key.partition(".")
    types = _members(hint)
    if str in types and isinstance(value, bool | int | float):
        return f"write a text in both quotes, as 'data.dataset.{key}=\"{format_value(value)}\"'"
    if not below and option in EXAMPLES:
        return f"set {EXAMPLES[option]}"
    if bool in types:
        return "set true or false"
    if int in types or float in types:
        return "set a number" + ("" if int in types else ", as 0.05") + (", or null" if NoneType in types else "")
    return f"set data.dataset.{option}={EXAMPLES[option]}" if option in EXAMPLES else "set one"
