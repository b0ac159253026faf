"""Reads the text of a labels file, and its rows, as spreadsheets and scripts write them.

Runs and erasures read labels with this module, so that an erasure finds the lines that a run would take.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from functions.domain.errors import MalformedManifest

REQUIRED_COLUMNS = ("filename", "label")
OPTIONAL_COLUMNS = ("studyId", "seriesId", "split", "studyLabel")
INSTEAD = {"label": "studyLabel"}  # a column that may be there in place of a required one
DELIMITERS = (",", ";", "\t", "|")
BYTE_ORDER_MARK = "\ufeff"
# Excel writes the delimiter into an extra first line, with which it opens the file rightly.
DELIMITER_LINE = re.compile(r'"?sep=(.)\1*"?', re.IGNORECASE)
MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, which are ZIP files; .xls


@dataclass(frozen=True)
class Row:
    """The cells of one row, and its lines: from ``start`` to before ``end``, counted from 0."""

    start: int
    end: int
    cells: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A CSV file: the names in its first row, the lines before its second, and the other rows as they are read.

    Iterating ``rows`` raises csv.Error, as ``table`` does.
    """

    columns: Sequence[str]
    head: int
    rows: Iterator[Row]


def decoded(body: bytes) -> tuple[str, str]:
    """Return the text of a labels file, its byte order mark included, and its encoding; raise MalformedManifest."""
    if body.startswith(WORKBOOKS):
        raise MalformedManifest("The manifest is a workbook or a ZIP file; save the sheet as CSV in UTF-8.")
    encoding = next((name for mark, name in MARKS.items() if body.startswith(mark)), "utf-8")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise MalformedManifest(
            f"The manifest is not {encoding[:6].upper()} text (line {line}); save it as UTF-8."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise MalformedManifest(f"The manifest has a NUL character (line {line}); save it as UTF-8.")
    return text, encoding


def table(lines: Sequence[str]) -> Table:
    """Read a CSV file from its lines, which keep their ends; raise csv.Error if its first row cannot be read.

    Cells are separated by commas, semicolons, tabs or vertical bars, whichever its first row has between our columns.
    """
    skipped = 0
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines and DELIMITER_LINE.fullmatch(lines[first].removeprefix(BYTE_ORDER_MARK).strip(" \r\n")):
        skipped = first + 1  # what it says may be of an earlier state of the file: the columns decide
    best = max(DELIMITERS, key=lambda one: _columns_named(lines, skipped, one))
    rows = _rows(lines, skipped, best)
    head = next(rows, Row(skipped, skipped, ()))
    return Table([cell.strip() for cell in head.cells], head.end, rows)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends, which may be any of the three kinds."""
    return list(io.StringIO(text, newline=""))


def _columns_named(lines: Sequence[str], skipped: int, delimiter: str) -> tuple[int, int]:
    """Return how many required and how many optional columns the first row names with a delimiter."""
    try:
        head = next(_rows(lines, skipped, delimiter), None)
    except csv.Error:
        return 0, 0
    names = {cell.strip() for cell in head.cells} if head else set()
    return len(names & set(REQUIRED_COLUMNS)), len(names & set(OPTIONAL_COLUMNS))


def _rows(lines: Sequence[str], skipped: int, delimiter: str) -> Iterator[Row]:
    """Yield the rows that have any text, after so many skipped lines. Quoted cells may span several lines."""
    rest = (line.removeprefix(BYTE_ORDER_MARK) if not at else line for at, line in enumerate(lines) if at >= skipped)
    reader = csv.reader(rest, delimiter=delimiter, strict=True, skipinitialspace=True)
    start = skipped
    try:
        for cells in reader:
            end = skipped + reader.line_num
            if any(cell.strip() for cell in cells):
                yield Row(start, end, cells)
            start = end
    except csv.Error as error:
        raise csv.Error(f"line {skipped + reader.line_num}: {error}") from error
