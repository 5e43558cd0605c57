"""``video_scores.parquet``: one row a video, its views averaged."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vivit.evaluation.averages import average_named
from vivit.evaluation.scores_reader import ScoresFile
from vivit.io import atomic_write


def write_video_scores(file: ScoresFile, target: Path, *, views: str, average: str) -> None:
    """Write labels, first choices and averaged scores of every video of a file of scores."""
    writer = None
    with atomic_write(target) as place:
        for table in _tables(file, views, average):
            writer = writer or pq.ParquetWriter(place, table.schema, compression="zstd", use_dictionary=["path"])
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _tables(file: ScoresFile, views: str, average: str) -> Iterator[pa.Table]:
    about, rule = file.about, average_named(average)
    chosen, sizes = file.chosen(views), [len(classes) for classes in about.heads.values()]
    for part in file.parts():
        scores = rule(part.views[:, chosen].double(), sizes)
        said = [head.argmax(1).numpy() for head in scores.split(sizes, 1)]
        columns = {"video": part.videos, "path": part.paths, "name": pa.array(part.names, pa.string())}
        for at, head in enumerate(about.heads):
            columns |= {f"label_{head}": part.labels[:, at], f"said_{head}": said[at]}
        columns["scores"] = pa.FixedSizeListArray.from_arrays(scores.float().flatten().numpy(), sum(sizes))
        yield pa.table(columns)
