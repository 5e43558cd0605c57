"""Requests to file systems of fsspec: tried again until a deadline, and errors that name the file without secrets."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from vivit.addresses import is_address, without_secrets
from vivit.data.warn_once import warn_once
from vivit.errors import DataError

DEADLINE = 120.0
"""Seconds after which a request is given up, all tries together."""
ONE_TRY = 60.0
"""Seconds that one try may take."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
"""Seconds before the second try, and before a later one at most; they double."""
QUIET_TRIES = 4
"""Tries without a word; then one warning says what is waited for."""
FINAL = (
    *(PermissionError, IsADirectoryError, NotADirectoryError, ImportError, NotImplementedError),
    *(AttributeError, KeyError, TypeError, ValueError),
)
"""Errors that another try would not mend."""
FINAL_STATUS, TRIED_AGAIN, ABSENT_STATUS = range(400, 500), (408, 425, 429), (404, 410)
"""Answers of web servers about a request, those of them about the moment, and those about files that are not there."""
VERSIONS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "updated", "mtime", "created")
"""What storages call the digest of a file, or its time of change, the best first."""
Result = TypeVar("Result")


class UnreachableError(DataError):
    """A file could not be fetched within the deadline, which is no fault of the file."""


def open_file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises ``DataError`` without its package, and for a name that contains ``::``, with which fsspec joins addresses.
    Credentials are found by the package itself: environment, configuration files. Never kept across a fork: fsspec
    makes each process its own.
    """
    import fsspec
    from fsspec.registry import known_implementations

    for part in address.split("::")[1:]:
        if "://" not in part and part not in known_implementations:
            problem = "has a :: in a name, which joins two addresses: rename it, or write %3A%3A in a web address"
            raise DataError(without_secrets(address), problem)
    try:
        return fsspec.url_to_fs(address)
    except ImportError:
        scheme = address.partition("://")[0]
        needs = known_implementations.get(scheme, {}).get("err", "a package that is not installed")
        raise DataError(without_secrets(address), f"{scheme}:// needs a package", f"{needs}") from None
    except ValueError as error:
        reason = without_secrets(str(error))
        raise DataError(without_secrets(address), f"cannot be opened ({reason})", "see fsspec for schemes") from None


def attempt(address: str, request: Callable[[Any, str], Result], deadline: float | None = None) -> Result:
    """Return what ``request(file_system, path)`` returns, tried again with growing waits until the deadline.

    Raises ``FileNotFoundError`` where there is no such file, ``DataError`` for other errors that stay, and
    ``UnreachableError`` at the deadline.
    """
    end, wait, tries = time.monotonic() + (DEADLINE if deadline is None else deadline), FIRST_WAIT, 0
    public = without_secrets(address)
    while True:
        tries += 1
        try:
            return request(*open_file_system(address))
        except DataError:
            raise
        except Exception as error:
            cause = _cause(error)
            reason = f"{type(cause).__name__}: {without_secrets(str(cause))}".removesuffix(": ")
            if isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) in ABSENT_STATUS:
                raise FileNotFoundError(f"{public}: there is no such file") from None
            if _is_final(cause):
                raise DataError(public, f"cannot be fetched ({reason})") from None
            if time.monotonic() + wait > end:
                problem = f"was not fetched in {tries} tries ({reason})"
                raise UnreachableError(public, problem, "check the connection, and start again") from None
            if tries == QUIET_TRIES + 1:
                warn_once(
                    __name__, f"{public}: not fetched yet ({reason}); tried again for {end - time.monotonic():.0f} s"
                )
        time.sleep(wait * random.SystemRandom().uniform(0.5, 1.0))
        wait = min(2 * wait, LONGEST_WAIT)


def fetch(
    address: str, ranges: Sequence[tuple[int, int]], size: int | None = None, deadline: float | None = None
) -> list[bytes]:
    """Return the bytes of ranges of a file, asked for at once. Raises as ``attempt`` does.

    A server that knows no ranges answers with the file, of ``size`` bytes. An answer that is too short is an error
    that is tried again.
    """
    begins, ends = map(list, zip(*ranges, strict=True))

    def request(system: Any, path: str) -> list[bytes]:
        paths = [path] * len(ranges)
        answers = system.cat_ranges(paths, begins, ends, on_error="return", **_time_limit(system))
        return [_part(*each, size) for each in zip(answers, begins, ends, strict=True)]

    return attempt(address, request, deadline)


def _part(answer: bytes | Exception, begin: int, end: int, size: int | None) -> bytes:
    if isinstance(answer, Exception):
        raise answer
    data = answer[begin:end] if len(answer) != end - begin and len(answer) == size else answer
    if len(data) != end - begin:
        raise OSError(f"{len(data)} bytes came of {end - begin}")
    return data


def fetch_file(address: str) -> bytes:
    """Return all bytes of a file. Raises as ``attempt`` does."""
    return attempt(address, lambda system, path: system.cat_file(path, **_time_limit(system)))


def size_and_version(address: str) -> tuple[int | None, str | None]:
    """Return the bytes of a file, and its digest or time of change; None where its storage does not say.

    Raises as ``attempt`` does.
    """
    info = attempt(address, lambda system, path: system.info(path))
    size, version = info.get("size"), next((str(info[name]) for name in VERSIONS if info.get(name)), None)
    return None if size is None else int(size), version


def read_file(path: str) -> bytes:
    """Return all bytes of a file, local or not."""
    if is_address(path):
        return fetch_file(path)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def _time_limit(system: Any) -> dict[str, float]:
    return {"timeout": ONE_TRY} if getattr(system, "async_impl", False) else {}


def _cause(error: BaseException) -> BaseException:
    """Return what went wrong: fsspec reports any failure of a web server as a file that is not there."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return _cause(error.__cause__)
    return error


def _is_final(error: BaseException) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int) and status in FINAL_STATUS:
        return status not in TRIED_AGAIN
    return isinstance(error, FINAL)
