"""Predictions over HTTP: a video is posted, its classes come back as JSON."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vivit.errors import UserError
from vivit.text import one_line

log = logging.getLogger(__name__)

PATH = "/predict"
FIELD = "video"
"""Name of the form's field with the file; a body that is no form is the file itself."""
USAGE = f"post a video to {PATH}: curl -F {FIELD}=@clip.mp4 ADDRESS{PATH}"
FORM_BYTES = 10_000
"""Bytes of a form beside its file."""


class PredictionService:
    """The route ``POST /predict``: a form with the field ``video``, or a file as the body with ``?name=clip.mp4``.

    ``answer`` returns a prediction in plain values for a stored file, and raises UserError where there is none.
    ``folder`` stores files until they are answered; files of more than ``max_bytes`` are refused unread.
    """

    def __init__(self, answer: Callable[[Path], dict[str, Any]], folder: Path, max_bytes: int) -> None:
        self.answer, self.folder, self.max_bytes = answer, folder, max_bytes

    @property
    def routes(self) -> list[Route]:
        """The routes of the service."""
        return [Route(PATH, self.post, methods=["POST"]), Route(PATH, self.get, methods=["GET"])]

    async def get(self, request: Request) -> Response:
        """Return how the service is used."""
        return _error(405, USAGE)

    async def post(self, request: Request) -> Response:
        """Return the classes of the posted video; an ``error`` and status 4xx where there are none."""
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            return _error(411, "the request has no Content-Length")
        if int(length) > self.max_bytes + FORM_BYTES:
            return _error(413, f"the file is larger than {self.max_bytes / 1e6:g} MB")
        with TemporaryDirectory(dir=self.folder) as folder:
            try:
                file = await self._store(request, Path(folder))
            except ValueError as error:
                return _error(400, f"{error}; {USAGE}")
            try:
                return JSONResponse(await run_in_threadpool(self.answer, file))
            except (UserError, OSError) as error:
                return _error(422, str(error).replace(str(file), file.name))

    async def _store(self, request: Request, folder: Path) -> Path:
        """Write the posted file into ``folder``; return its path. Raises ValueError where there is none."""
        kind = request.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            file = folder / _file_name(request.query_params.get("name"))
            with file.open("wb") as target:
                async for part in request.stream():
                    target.write(part)
            if not file.stat().st_size:
                raise ValueError("the body is empty")
            return file
        async with request.form() as form:
            upload = form.get(FIELD)
            if upload is None or isinstance(upload, str):
                raise ValueError(f"the form has no file {FIELD}")
            file = folder / _file_name(upload.filename)
            with file.open("wb") as target:
                while part := await upload.read(1 << 20):
                    target.write(part)
        return file


def _file_name(name: str | None) -> str:
    """Return the last part of a file's name, of which only the suffix matters; ``video.mp4`` where it has none."""
    name = one_line(Path((name or "").replace("\\", "/")).name).replace("\0", "")
    name = name.encode()[-200:].decode(errors="ignore")
    return "video.mp4" if name in ("", "..") else name


def _error(status: int, problem: str) -> Response:
    return Response(json.dumps({"error": problem}), status, media_type="application/json")
