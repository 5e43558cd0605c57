"""A web server on this machine, as object storage is: ranges, latency, listings, and answers that fail now and then."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import quote, unquote

LISTED = '<a href="{0}">{0}</a>'


class Storage:
    """A folder that is served, and what was asked for.

    Answers are ``latency`` seconds late; every ``fail_every``-th is an error, 0: none; without ``ranges`` each has all.
    """

    def __init__(self, folder: Path, latency: float = 0.0) -> None:
        self.folder, self.latency, self.fail_every, self.ranges = folder, latency, 0, True
        self.requests: list[tuple[str, str, int]] = []
        """Method, path and bytes of every answer."""
        self.numbers = count(1)
        """Numbers of requests, in the order in which they came."""
        self.address = ""

    @property
    def fetched(self) -> int:
        """Bytes that were answered."""
        return sum(count for method, _, count in self.requests if method == "GET")

    @property
    def gets(self) -> int:
        """Requests for content."""
        return sum(method == "GET" for method, _, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    """Answers requests for files, ranges of them, and lists of folders."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as servers of objects have it: content would wait 40 ms for the header's receipt
    storage: Storage

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        """Answer with the size of a file."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer with a file, a range of one, or a list of links."""
        storage = self.storage
        number = next(storage.numbers)
        time.sleep(storage.latency)
        path = storage.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if storage.fail_every and number % storage.fail_every == 0:
            self.answer(503, b"")
            return
        if path.is_dir():
            names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
            page = "".join(LISTED.format(quote(name)) for name in names).encode()
            self.answer(200, page, kind="text/html")
            return
        if not path.is_file():
            self.answer(404, b"")
            return
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and storage.ranges:
            begin = int(asked[1])
            end = int(asked[2]) + 1 if asked[2] else size
            with path.open("rb") as file:
                file.seek(begin)
                self.answer(206, file.read(end - begin), f"bytes {begin}-{end - 1}/{size}")
            return
        self.answer(200, path.read_bytes())

    def answer(self, status: int, body: bytes, content_range: str = "", kind: str = "application/octet-stream") -> None:
        """Send an answer, and note it."""
        self.storage.requests.append((self.command, self.path, len(body)))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serving(folder: Path, latency: float = 0.0) -> Iterator[Storage]:
    """Serve a folder from threads of this process meanwhile."""
    storage = Storage(folder, latency)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"storage": storage}))
    server.daemon_threads = True
    storage.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield storage
    finally:
        server.shutdown()
        server.server_close()
