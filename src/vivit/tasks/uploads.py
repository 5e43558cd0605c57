"""Uploads to the page: gradio keeps equal ones in one place, where one stays until all who sent it have an answer."""

import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Uploads:
    """How many answers each stored file is still wanted for. Deletes what nobody waits for any more.

    While anything is being sent nothing is deleted, for it may be the same file, stored already and not yet counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Counter[str] = Counter()
        self._sending = 0
        self._answered: set[str] = set()

    def begins(self) -> None:
        """Note that somebody begins to send a file."""
        with self._lock:
            self._sending += 1

    def stored(self, paths: Iterable[str]) -> None:
        """Note where files were stored, once for each that was sent, before whoever sent them is told."""
        with self._lock:
            self._wanted.update(paths)

    def ends(self) -> None:
        """Note that a file has arrived, or does not come any more."""
        with self._lock:
            self._sending -= 1
            self._delete()

    def answered(self, path: str) -> None:
        """Note that one of those who sent a file has an answer."""
        with self._lock:
            self._wanted[path] = max(0, self._wanted[path] - 1)
            self._answered.add(path)
            self._delete()

    def _delete(self) -> None:
        if self._sending:
            return
        for path in [path for path in self._answered if not self._wanted[path]]:
            self._answered.discard(path)
            del self._wanted[path]
            Path(path).unlink(missing_ok=True)
            with suppress(OSError):
                Path(path).parent.rmdir()  # which gradio made for it, unless another lies there


class CountUploads:
    """Tells ``Uploads`` of every file that is sent to the page, as middleware of its server."""

    def __init__(self, app: Application, uploads: Uploads) -> None:
        self.app, self.uploads = app, uploads

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        body, fine = bytearray(), False

        async def counted(message: Message) -> None:
            nonlocal fine
            if message["type"] == "http.response.start":
                fine = message["status"] == 200
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if fine and not message.get("more_body", False):
                    self.uploads.stored(_paths(bytes(body)))
            await send(message)

        self.uploads.begins()
        try:
            await self.app(scope, receive, counted)
        finally:
            self.uploads.ends()


def _paths(body: bytes) -> list[str]:
    """Read where gradio says that it stored what was sent."""
    try:
        found = json.loads(body)
    except ValueError:
        return []
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []
