"""Files of features: an Arrow file with a row a video, and the pieces that it is made of, which outlive a kill."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from vivit.errors import ConfigError, DataError
from vivit.io import atomic_write

METADATA_KEY = b"vivit.features"
MERGED = 256
"""Videos that are written at once."""


@dataclass(frozen=True, kw_only=True)
class FeatureMetadata:
    """What features are of, in plain values."""

    model: str
    """The network and its options, as text."""
    weights: str
    """The file that it was loaded from."""
    fingerprint: str
    """SHA-256 of the weights, abbreviated: equal where they are."""
    precision: str
    """Of the trainer, as "32-true"."""
    layer: int | None
    """Blocks of the (spatial) encoder behind which the features are taken; None: what the classifier takes."""
    shape: tuple[int, int, int]
    """Views, temporal indices and dimensions of the features of a video."""
    clips: Mapping[str, Any]
    """How clips are cut: frames, stride or fps, resize, crop, views, resampling."""
    data: Mapping[str, Any]
    """The data set."""
    split: str
    heads: Mapping[str, Sequence[str]]
    """Class names of each head."""
    skipped_videos: Mapping[str, Any] = field(default_factory=dict)
    """Videos that could not be read, by split."""

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def differences(self, other: "FeatureMetadata") -> list[str]:
        """Return the names of what other features do not have in common.

        Where weights are equal it does not matter in which file they were, nor which videos were skipped.
        """
        one, another = (json.loads(each.to_json()) for each in (self, other))
        return [name for name in one if name not in ("weights", "skipped_videos") and one[name] != another[name]]


class VideoFeatures(NamedTuple):
    """Features of the videos of a file."""

    frames: Float[np.ndarray, "n v t d"]
    """Of each temporal index of each view."""
    video: Float[np.ndarray, "n d"]
    """The mean over views of what the classifier takes."""
    labels: Int[np.ndarray, "n heads"]
    """Class numbers, -1 where there is no label."""
    paths: list[str]
    names: list[str | None]


class FeatureFile:
    """A file of features. Raises ConfigError where there is no such file, DataError where it is another."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError("target", path, "there is no such file", "set the folder that features.py has written")
        self.path = path
        self.metadata = read_metadata(path)

    def read(self) -> VideoFeatures:
        """Return all features, which stay in the file until they are used."""
        with pa.memory_map(str(self.path)) as source:
            table = pa.ipc.open_file(source).read_all()
        views, t, d = self.metadata.shape
        frames, video, labels = (_matrix(table[name]) for name in ("frames", "video", "labels"))
        return VideoFeatures(
            frames.reshape(-1, views, t, d), video, labels, table["path"].to_pylist(), table["name"].to_pylist()
        )


def read_metadata(path: Path) -> FeatureMetadata:
    """Return the metadata of a file. Raises DataError where it is no file of features."""
    try:
        with pa.memory_map(str(path)) as source:
            return _parse_metadata(pa.ipc.open_file(source).schema)
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DataError(path, "is no file of features", "set a file that features.py has written") from error


def _parse_metadata(schema: pa.Schema) -> FeatureMetadata:
    content = json.loads((schema.metadata or {})[METADATA_KEY])
    return FeatureMetadata(**content | {"shape": tuple(content["shape"])})


class PieceWriter:
    """Writes features batch by batch: whatever ends the process, the batches before are in the file."""

    def __init__(self, path: Path, metadata: FeatureMetadata) -> None:
        views, t, d = metadata.shape
        self._schema = pa.schema(
            {
                "row": pa.int64(),
                "labels": pa.list_(pa.int64(), len(metadata.heads)),
                "frames": pa.list_(pa.float32(), views * t * d),
                "video": pa.list_(pa.float32(), d),
            },
            {METADATA_KEY: metadata.to_json()},
        )
        self._sink = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_stream(self._sink, self._schema)

    def add(
        self,
        rows: Int[np.ndarray, " b"],
        labels: Int[np.ndarray, "b heads"],
        frames: Float[np.ndarray, "b v t d"],
        video: Float[np.ndarray, "b d"],
    ) -> None:
        """Write a batch of videos."""
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values[0].size)
            for values in (labels, frames, video)
        ]
        self._stream.write_batch(pa.record_batch([pa.array(rows), *lists], schema=self._schema))
        self._sink.flush()

    def close(self) -> None:
        """Complete the file."""
        self._stream.close()
        self._sink.close()


class Pieces:
    """The pieces of one file of features, in a folder beside it, of this run and of those before it that were killed.

    Raises ConfigError where they are of other features.
    """

    def __init__(self, target: Path, metadata: FeatureMetadata) -> None:
        self.target, self.metadata = target, metadata
        self.folder = target.with_name(f".{target.name}.parts")

    def rows(self) -> list[int]:
        """Return the rows of the videos that are done."""
        return sorted({row for batch in self._batches() for row in batch["row"].to_pylist()})

    def open(self, rank: int) -> PieceWriter:
        """Return the writer of a new piece for one of the ranks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self.folder.glob(f"{rank}_*.arrows")))
        return PieceWriter(self.folder / f"{rank}_{number}.arrows", self.metadata)

    def merge(self, paths: pa.ChunkedArray, names: pa.ChunkedArray | None, metadata: FeatureMetadata) -> None:
        """Write the file, a row a video in the order of the data set, and delete the pieces."""
        places = {row: (batch, i) for batch in self._batches() for i, row in enumerate(batch["row"].to_pylist())}
        rows = sorted(places)
        if not rows:
            problem = f"no video of the split {metadata.split!r} could be read, so it is not written"
            raise DataError(self.target, problem)
        with atomic_write(self.target) as partial:
            writer = None
            for start in range(0, len(rows), MERGED):
                part = rows[start : start + MERGED]
                batch = pa.Table.from_batches([batch.slice(i, 1) for batch, i in (places[row] for row in part)])
                table = _with_names(batch.combine_chunks(), paths, names)
                table = table.replace_schema_metadata({METADATA_KEY: metadata.to_json()})
                writer = writer or pa.ipc.new_file(str(partial), table.schema)
                writer.write_table(table)
            assert writer is not None
            writer.close()
        for file in self.folder.glob("*.arrows"):
            file.unlink()
        self.folder.rmdir()

    def _batches(self) -> list[pa.RecordBatch]:
        return [batch for file in sorted(self.folder.glob("*.arrows")) for batch in self._read(file)]

    def _read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Yield the complete batches of a piece; the last one of a process that was killed may be torn."""
        try:
            stream = pa.ipc.open_stream(pa.memory_map(str(file)))
            metadata = _parse_metadata(stream.schema)
        except (pa.ArrowInvalid, OSError, KeyError):
            return  # killed before its first batch
        if different := self.metadata.differences(metadata):
            problem = f"its pieces in {self.folder.name} are of other features ({', '.join(different)})"
            raise ConfigError("target", self.target, problem, "set another target, or delete that folder")
        while True:
            try:
                yield stream.read_next_batch()
            except (StopIteration, pa.ArrowInvalid, OSError):
                return


def _with_names(table: pa.Table, paths: pa.ChunkedArray, names: pa.ChunkedArray | None) -> pa.Table:
    rows = table["row"]
    named = pa.nulls(len(rows), pa.string()) if names is None else names.take(rows)
    return table.append_column("path", paths.take(rows)).append_column("name", named)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    return flat.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
