"""Addresses of files that are not on a local disk, as s3://bucket/a.mp4: recognised, joined, shown without secrets."""

import hashlib
import os
import re
from urllib.parse import parse_qsl, unquote, urlencode

from vivit.errors import ConfigError

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
LOGIN = re.compile(
    r"((?:https?|ftps?)://)[^/\s'\"]*@"
    r"|([a-z][a-z0-9+.-]*://)(?![^/@\s'\"]*:\d+/)[^:/@\s'\"]*:(?!:)(?:[^/\s'\"]*|(?:(?!://)[^@\s'\"])*)@",
    re.I,
)
"""User and password in an address; a name before @ alone is a secret of the web, and a container in abfs://."""
QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^'\"?\n]*)\?((?:(?!::)[^\s'\"<>)])*=(?:(?!::)[^\s'\"<>)])*)", re.I)
"""The part of an address behind its question mark; in a chain of addresses up to the next one."""
SIGNED = re.compile(
    r"sig|token|key|credential|secret|passw|auth|expire|policy|accessid|x-amz|x-goog|^s[eprtv]$|^sk|^spr$", re.I
)
"""Names of parameters of a query that grant access, or change with it."""


def is_address(path: str) -> bool:
    """Return whether a path is an address with a scheme, as s3://bucket/a.mp4, rather than one of a local disk."""
    return SCHEME.match(path) is not None


def join_address(address: str, path: str) -> str:
    """Return the address of what lies below another: of a chain, as zip://::https://host/a.zip, below its first part.

    In a web address, signs of a name are encoded that would begin a query, or another part of a chain.
    """
    first, chain, rest = address.partition("::")
    if SCHEME.match(first) and first.lower().startswith("http"):
        path = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23").replace("::", "%3A%3A")
    separator = "" if first.endswith("/") else "/"
    return f"{first}{separator}{path}{chain}{rest}"


def join_path(root: str, path: str) -> str:
    """Return the path or address of ``path``, relative to ``root`` unless it is absolute or an address itself."""
    if is_address(path):
        return path
    return join_address(root, path) if is_address(root) else os.path.join(root, path)  # noqa: PTH118


def listed_name(address: str, name: str) -> str:
    """Return the name of a file as a listing of an address has it: web servers encode it."""
    return unquote(name) if address.lower().startswith("http") else name


def without_secrets(text: str) -> str:
    """Return a text in which addresses have no user, no password and no signed query.

    What else a query contains becomes a short digest, so that two addresses stay two. Other texts stay as they are.
    """
    return QUERY.sub(_without_query, LOGIN.sub(r"\1\2", text)) if "://" in text else text


def has_secrets(address: str) -> bool:
    """Return whether an address contains what grants access: a user and a password, or a query of the web."""
    return "://" in address and (
        LOGIN.search(address) is not None or any(_is_query(match) for match in QUERY.finditer(address))
    )


def check_address(key: str, value: object) -> None:
    """Raise ``ConfigError`` where a key is an address that contains credentials, which a run folder would keep."""
    if isinstance(value, str) and has_secrets(value):
        remedy = "leave it out; its package reads the environment and its own configuration files"
        raise ConfigError(key, without_secrets(value), "was typed with a password or a query", remedy)


def _is_query(match: re.Match[str]) -> bool:
    """Return whether it is one: of other storage than the web only where it grants access, for names may contain ?."""
    names = [name for name, _ in parse_qsl(match[2], keep_blank_values=True)]
    return match[1].lower().startswith("http") or any(SIGNED.search(name) for name in names)


def _without_query(match: re.Match[str]) -> str:
    if not _is_query(match):
        return match[0]
    plain = [(name, value) for name, value in parse_qsl(match[2], keep_blank_values=True) if not SIGNED.search(name)]
    return match[1] + (f"?{hashlib.sha256(urlencode(plain).encode()).hexdigest()[:8]}" if plain else "")
