"""The members of tar files, as WebDataset writes them: read once, header by header, then kept beside the index."""

import hashlib
import io
import logging
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from vivit.addresses import without_secrets
from vivit.data.find_videos import is_video
from vivit.data.readers.video_error import StorageError, VideoError
from vivit.data.storage.byte_ranges import BLOCK, ByteRanges
from vivit.data.storage.remote_path import Folder
from vivit.data.storage.stored_file import StoredFile
from vivit.errors import DataError
from vivit.io import atomic_write

log = logging.getLogger(__name__)

MEMBERS = "members"
"""The folder, below that of the index, with a file of members for each tar file."""
LARGEST_LABEL = 1 << 20
"""Bytes of the largest member that is read as a label."""
TOGETHER = 8
"""Tar files that are read at once: each waits for its storage."""
SCHEMA = pa.schema(
    {
        "shard": pa.string(),  # the tar file, relative to the root
        "member": pa.string(),
        "offset": pa.int64(),
        "bytes": pa.int64(),
        "kind": pa.string(),  # suffix of a member of the same key with a label: cls, txt, json
        "label": pa.string(),  # its content
        "version": pa.string(),  # digest of the header and the first bytes of a video
    }
)
VERSION = b"tar file"
"""The entry of a table's metadata with the version of the tar file."""
DIGESTED = 1 << 14
"""Bytes of a video that its digest is of; they come with its header from storage."""


def read_members(root: Folder, shards: Sequence[str], prepared: Folder, labels: Sequence[str]) -> pa.Table:
    """Return a row for each video in tar files below ``root`` and each of its ``labels``, in the order of the files.

    ``labels`` are suffixes of members that have the key of the video: its name up to the first dot. What was read once
    is kept in ``prepared``, where that is on a local disk, until the tar file changes: its size, its time of change or
    what its storage calls its version. A ``prepared`` in storage is taken as it is. Raises ``DataError`` for a tar file
    that cannot be read.
    """
    with ThreadPoolExecutor(TOGETHER) as pool:
        tables = list(pool.map(lambda shard: _members_of(root, shard, prepared, labels), shards))
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def _members_of(root: Folder, shard: str, prepared: Folder, labels: Sequence[str]) -> pa.Table:
    place = root / shard
    address = str(place) if isinstance(place, Path) else place.address
    try:
        file = StoredFile(without_secrets(address), address, plan=ByteRanges([], [], [], []), ahead=BLOCK).open()
        with closing(file):
            name = hashlib.sha256(
                repr((shard, file.size, tuple(labels))).encode("utf-8", "surrogateescape")
            ).hexdigest()
            target = prepared / MEMBERS / f"{name[:24]}.arrow"
            table, version = _read_table(target), (file.version or "").encode()
            if table is None or (isinstance(target, Path) and table.schema.metadata.get(VERSION) != version):
                with tarfile.open(fileobj=io.BufferedReader(file.cursor(), 512), mode="r:") as tar:
                    schema = SCHEMA.with_metadata({VERSION: version})
                    table = pa.Table.from_pylist(_rows(tar, shard, labels), schema)
                _write_table(target, table)
            return table.replace_schema_metadata()
    except (VideoError, StorageError) as error:
        raise DataError(place, error.problem) from None
    except tarfile.TarError as error:
        remedy = "tar files are read without compression; unpack and pack it again without"
        raise DataError(place, f"cannot be read as a tar file ({error})", remedy) from None


def _rows(tar: tarfile.TarFile, shard: str, labels: Sequence[str]) -> list[dict[str, object]]:
    """Return a row for each video of a tar file and each of its labels; one without any has one row."""
    videos: dict[str, tuple[str, int, int, str]] = {}
    texts: dict[str, dict[str | None, str | None]] = {}
    no_label: dict[str | None, str | None] = {None: None}
    for member in tar:
        folder, slash, base = member.name.rpartition("/")
        key, _, suffix = base.partition(".")
        key = f"{folder}{slash}{key}"
        if not member.isfile():
            continue
        if is_video(base) and key not in videos:
            videos[key] = member.name, member.offset_data, member.size, _digest(tar, member)
        elif suffix in labels and member.size <= LARGEST_LABEL and (content := tar.extractfile(member)):
            texts.setdefault(key, {})[suffix] = content.read().decode("utf-8", "replace").strip()
    return [
        {"shard": shard, "member": member, "offset": offset, "bytes": size, "kind": kind, "label": text, "version": of}
        for key, (member, offset, size, of) in videos.items()
        for kind, text in (texts.get(key) or no_label).items()
    ]


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member)
    begin = content.read(DIGESTED) if content else b""
    return hashlib.blake2b(f"{member.mtime} {member.size} ".encode() + begin, digest_size=12).hexdigest()


def _read_table(file: Folder) -> pa.Table | None:
    try:
        table = pa.ipc.open_file(pa.BufferReader(file.read_bytes())).read_all()
    except (OSError, pa.ArrowInvalid):
        return None
    return table if table.schema == SCHEMA and table.schema.metadata else None


def _write_table(file: Folder, table: pa.Table) -> None:
    """Keep what was read, where there is a place for it."""
    if not isinstance(file, Path):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_write(file) as part,
            pa.OSFile(str(part), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as content,
        ):
            content.write_table(table)
    except OSError as error:
        log.warning("%s cannot be written (%s): tar files will be searched again", file, error.strerror)
