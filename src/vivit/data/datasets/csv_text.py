"""CSV files as text: their encoding, the character between their entries, and the line that Excel adds for it."""

import codecs
import csv
import io
from collections.abc import Sequence

from vivit.data.datasets.class_names import fold_name
from vivit.data.storage.remote_path import Folder
from vivit.errors import ConfigError, DataError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks, and the encodings that they stand for."""
DELIMITERS = ",;\t|"
"""Characters between entries that are recognised by the first line."""
PATH_NAMES = ("file", "filename", "file_name", "filepath", "file_path", "video", "video_path", "videopath")
"""Names, in any letters, of the column of video files in lists that do not call it ``path``."""
EXCEL = "sep="
"""What the line begins with by which Excel notes the delimiter."""

SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of what Excel, LibreOffice and Numbers save, which may be called .csv."""


def read_text(file: Folder, encoding: str | None = None) -> str:
    """Return the content of a file in ``encoding``; None: by its byte-order mark, or in UTF-8.

    Raises ``DataError`` with the line that is not text in it, and ``ConfigError`` for an encoding that there is not.
    """
    content = file.read_bytes()
    if content.startswith(SPREADSHEETS):
        raise DataError(file, "is a spreadsheet", "save it as CSV, in UTF-8")
    if not content.strip():
        raise DataError(file, "is empty", "list a video a row, below a first row with the columns, as path,label")
    used = encoding or _marked_encoding(content)
    try:
        return codecs.lookup(used).decode(content)[0].removeprefix("\ufeff")
    except LookupError:
        raise ConfigError(
            "data.dataset.encoding", encoding, "is no encoding", "set utf-8, latin-1, cp1252 or alike"
        ) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        remedy = "save it as UTF-8, or set data.dataset.encoding=latin-1 or the one that it has"
        problem = f"byte 0x{content[error.start]:02x} is no text in {used}"
        raise DataError(file, problem, remedy, row=line) from None


def _marked_encoding(content: bytes) -> str:
    """Return the encoding of a file by its mark or, of UTF-16 without one, by the zeros between its letters."""
    for mark, name in MARKS:
        if content.startswith(mark):
            return name
    head = content[:64]
    if len(head) > 1 and b"\0" in head[:4]:
        return "utf-16-le" if not head[1] else "utf-16-be"
    return "utf-8"


def split_excel_line(text: str) -> tuple[str, str | None]:
    """Return the text behind a first line ``sep=;``, and its delimiter; the text and None where there is none."""
    first, _, rest = text.partition("\n")
    mark = first.strip().strip('"')
    return (rest, mark[-1]) if len(mark) == len(EXCEL) + 1 and mark.lower().startswith(EXCEL) else (text, None)


def find_delimiter(text: str) -> str:
    """Return the character that separates the entries of the first line: the one that occurs there most, or a comma."""
    line = text.lstrip("\r\n").partition("\n")[0]
    counts = {
        delimiter: len(next(csv.reader(io.StringIO(line), delimiter=delimiter, skipinitialspace=True), []))
        for delimiter in DELIMITERS
    }
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter])


def columns_as_expected(names: list[str], expected: Sequence[str]) -> list[str]:
    """Return the names of a header, those that are expected ones in other letters as these.

    Where ``path`` is expected and no column has the name, the only column with one of PATH_NAMES is it.
    """
    folded = {fold_name(name): name for name in expected}
    exact = set(names)
    renamed = [name if name in expected else folded.get(fold_name(name), name) for name in names]
    columns = [
        old if new != old and (new in exact or renamed.count(new) > 1) else new
        for old, new in zip(names, renamed, strict=True)
    ]
    paths = [name for name in columns if fold_name(name) in PATH_NAMES and name not in expected]
    if "path" in expected and "path" not in columns and len(paths) == 1:
        columns[columns.index(paths[0])] = "path"
    return columns


def missing_columns_remedy(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Return what to do about columns that a file lacks, by those that it has."""
    if "youtube_id" in columns:
        return "this is a list of Kinetics: set data=kinetics400, kinetics600 or kinetics700"
    if len(columns) == 1:
        return "set data.dataset.delimiter to what stands between its entries, as in 'data.dataset.delimiter=\" \"'"
    if "path" in missing:
        return "call the column of video files path, or name the columns of a file without header: data.dataset.header"
    return f"rename one of them, or set data.dataset.label_columns=[...] in place of {', '.join(missing)}"
