"""A web server on this machine, as object storage is: ranges, latency, listings, and answers that fail now and then."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

LISTED = '<a href="{0}">{0}</a>'


class Storage:
    """The server of a folder, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.latency, self.fail_every, self.breaks, self.ranges = folder, 0.0, 0, False, True
        self.requests: list[tuple[str, str, int]] = []
        """Method, path and bytes of every answer."""
        self.asked = 0
        self.address = ""

    @property
    def fetched(self) -> int:
        return sum(count for method, _, count in self.requests if method == "GET")

    @property
    def gets(self) -> int:
        return sum(method == "GET" for method, _, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: Storage

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        storage = self.storage
        storage.asked += 1
        time.sleep(storage.latency)
        path = storage.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if storage.fail_every and storage.asked % storage.fail_every == 0:
            return self.answer(503, b"")
        if path.is_dir():
            names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
            page = "".join(LISTED.format(quote(name)) for name in names).encode()
            return self.answer(200, page, kind="text/html")
        if not path.is_file():
            return self.answer(404, b"")
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and storage.ranges:
            begin = int(asked[1])
            end = int(asked[2]) + 1 if asked[2] else len(content)
            return self.answer(206, content[begin:end], f"bytes {begin}-{end - 1}/{len(content)}")
        self.answer(200, content)

    def answer(self, status: int, body: bytes, content_range: str = "", kind: str = "application/octet-stream") -> None:
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
def serving(folder: Path) -> Iterator[Storage]:
    """Serve a folder meanwhile."""
    storage = Storage(folder)
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
