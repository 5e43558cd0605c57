"""Uploads to the demo page. Gradio stores equal files once; a file stays until all its senders have a prediction."""

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
    """Counts the predictions that each stored file is still needed for. Deletes files that are not.

    During any upload nothing is deleted: it may be the same file, stored already and not yet counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: Counter[str] = Counter()
        self._uploading = 0
        self._answered: set[str] = set()

    def begin(self) -> None:
        """Count an upload that begins."""
        with self._lock:
            self._uploading += 1

    def add(self, paths: Iterable[str]) -> None:
        """Count stored files, once for each upload, before the sender receives the response."""
        with self._lock:
            self._pending.update(paths)

    def end(self) -> None:
        """Count an upload that has arrived or was broken off."""
        with self._lock:
            self._uploading -= 1
            self._delete()

    def release(self, path: str) -> None:
        """Count one prediction of a file that is made."""
        with self._lock:
            self._pending[path] = max(0, self._pending[path] - 1)
            self._answered.add(path)
            self._delete()

    def _delete(self) -> None:
        if self._uploading:
            return
        for path in [path for path in self._answered if not self._pending[path]]:
            self._answered.discard(path)
            del self._pending[path]
            Path(path).unlink(missing_ok=True)
            with suppress(OSError):
                Path(path).parent.rmdir()  # which gradio made for it, unless it contains another


class CountUploads:
    """Middleware of the page's server that counts every upload in ``Uploads``."""

    def __init__(self, app: Application, uploads: Uploads) -> None:
        self.app, self.uploads = app, uploads

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        body, stored = bytearray(), False

        async def count(message: Message) -> None:
            nonlocal stored
            if message["type"] == "http.response.start":
                stored = message["status"] == 200
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if stored and not message.get("more_body", False):
                    self.uploads.add(_paths(bytes(body)))
            await send(message)

        self.uploads.begin()
        try:
            await self.app(scope, receive, count)
        finally:
            self.uploads.end()


def _paths(body: bytes) -> list[str]:
    """Return where gradio stored uploaded files, by its response."""
    try:
        paths = json.loads(body)
    except ValueError:
        return []
    return [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
