"""Times of CSV files as a clock shows them: ``00:01:30.5``."""

from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.Array | pa.ChunkedArray

CLOCK = r"^(?P<h>\d+):(?P<m>\d+):(?P<s>\d+(?:\.\d+)?)$"


def clock_seconds(texts: Column) -> Column:
    """Return the seconds of times ``HH:MM:SS.ff``; null of other texts."""
    parts = pc.extract_regex(texts, CLOCK)
    hours, minutes, seconds = (pc.struct_field(parts, [i]).cast(pa.float64()) for i in range(3))
    return pc.add(pc.add(pc.multiply(hours, 3600.0), pc.multiply(minutes, 60.0)), seconds)


def clock_as_number(texts: Column) -> Column:
    """Return texts in which a time as ``01:30.5`` or ``00:01:30.5`` is a number of seconds; others stay."""
    if not pc.any(pc.match_substring(texts, ":")).as_py():
        return texts
    short = pc.match_substring_regex(texts, r"^\d+:\d+(\.\d+)?$")
    seconds = clock_seconds(pc.if_else(short, pc.binary_join_element_wise("0:", texts, ""), texts))
    return pc.if_else(pc.is_valid(seconds), seconds.cast(pa.string()), texts)
