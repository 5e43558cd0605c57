"""Where the files of a data set lie."""

from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Column


def filled(pattern: str, **columns: Column) -> Column:
    """Fill a pattern such as ``{list}/{label}/{id}_{start:06}.mp4`` for every row; ``:06`` pads with zeros.

    Raises where the pattern asks for a column that there is not.
    """
    parts: list[Column | str] = []
    for literal, field, spec, _ in Formatter().parse(pattern):
        parts.append(literal)
        if field is None:
            continue
        if field not in columns:
            raise ValueError(f"the pattern {pattern!r} asks for {field!r}; there are {', '.join(columns)}")
        text = columns[field].cast(pa.string())
        parts.append(pc.utf8_lpad(text, int(spec), "0") if spec else text)
    return pc.binary_join_element_wise(*parts, "")
