"""Pages of HTML that need nothing beside themselves: templates of a room, in the frame and style that all share."""

import html
import re
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment(package: str, **functions: Any) -> Environment:
    """Return the environment of the templates of a package, which may extend ``page_frame.html.j2``.

    ``functions`` are those that they call, beside ``mark_code``. All text is escaped, and an unknown name is an error.
    """
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader("vivit", ".")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals |= {"mark_code": mark_code} | functions
    return environment


def mark_code(text: str) -> str:
    """Return text as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
