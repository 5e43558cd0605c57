"""Hold the names and shapes that a source gives against those that a network needs."""

from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

LISTED = 5
"""A message names so many keys of a kind at most."""


def check_names(given: Shapes, needed: Shapes) -> None:
    """Raise ValueError, saying everything that is wrong at once, unless both have the same names and shapes."""
    wrong = [
        f"{name!r} has the shape {given[name]}, but this model with clips of this size needs {shape}"
        for name, shape in needed.items()
        if name in given and given[name] != shape
    ]
    missing = [f"{name!r} is missing" for name in needed if name not in given]
    unexplained = [f"{name!r} is unexplained: this model has no such parameter" for name in given if name not in needed]
    problems = [problem for kind in (wrong, missing, unexplained) for problem in kind[:LISTED]]
    more = len(wrong) + len(missing) + len(unexplained) - len(problems)
    if problems:
        raise ValueError("; ".join(problems) + (f"; and {more} more" if more else ""))
