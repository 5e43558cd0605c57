"""Typed errors of what a user can mend: which key, file, row or column is wrong, and what to set.

A message has one form, ``<where>: <what is wrong>; <what to set>``, where ``<where>`` is ``key=value`` or a file with
its row and column. Commands print it as one line, as they do
with Python's own ValueError and OSError; others keep their traceback.
"""

from typing import Any

ABSENT: Any = object()
"""Default of ``ConfigError.value`` where an error is about a key itself."""


class UserError(ValueError):
    """Something that a user can mend; the base of all errors here."""

    on_every_rank = False
    """Whether every rank raises the same error, so that the first alone prints it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is built again in another process, attributes included."""
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigError(UserError):
    """A key of the configuration, or an argument of the same name, has a value that it cannot have."""

    def __init__(self, key: str, value: Any = ABSENT, problem: str = "", remedy: str = "") -> None:
        where = key if value is ABSENT else f"{key}={format_value(value)}"
        super().__init__(_message(where, problem, remedy))
        self.key = key
        self.value = None if value is ABSENT else value


class DataError(UserError):
    """A file of a data set, or a row or column of it, is not as it has to be."""

    def __init__(
        self, file: object, problem: str = "", remedy: str = "", *, row: int | None = None, column: str | None = None
    ) -> None:
        parts = (str(file), row is not None and f"row {row}", column is not None and f"column {column}")
        super().__init__(_message(", ".join(part for part in parts if part), problem, remedy))
        self.file = str(file)
        self.problem = problem
        self.row = row
        self.column = column


class CheckpointError(UserError):
    """A file of weights cannot be read, or does not fit; ``key`` is the tensor or entry that it is about."""

    def __init__(self, file: object, problem: str = "", remedy: str = "", *, key: str | None = None) -> None:
        super().__init__(_message(str(file) if key is None else f"{file}, {key}", problem, remedy))
        self.file = str(file)
        self.key = key


class RunFolderError(UserError):
    """A run folder is missing, in use, damaged, or holds what would be lost."""

    def __init__(self, folder: object, problem: str = "", remedy: str = "") -> None:
        super().__init__(_message(str(folder), problem, remedy))
        self.folder = str(folder)


def format_value(value: Any) -> str:
    """Return a value as it would be typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(format_value, value))}]"
    return str(value)


def _message(where: str, problem: str, remedy: str) -> str:
    text = f"{where}: {problem}" if problem else where
    return f"{text}; {remedy}" if remedy else text


def _rebuild(kind: type[UserError], args: tuple[Any, ...], attributes: dict[str, Any]) -> UserError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error
