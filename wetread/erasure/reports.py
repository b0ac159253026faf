"""What reports of runs show of single slices, by their lines: pictures with their captions, and lines of tables."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

# With a picture or without: its caption has the slice's line, class and keyed hash.
PICTURE = re.compile(
    r'<figure>\s*(?:<img\b[^>]*alt="Slice of line (\d{1,9})"[^>]*>'
    r'|<p class="withheld">[^<]*</p>\s*<figcaption><b>line (\d{1,9})</b>).*?</figure>',
    re.DOTALL,
)
ROW = re.compile(r'<tr\b[^>]*\bdata-line="(\d{1,9})"[^>]*>.*?</tr>', re.DOTALL)
NO_ROWS = re.compile(r"<tbody\b[^>]*>\s*</tbody>")


@dataclass(frozen=True)
class Shown:
    """The lines of slices to erase from one report: of its ``pictures``, and of the ``rows`` of its tables."""

    pictures: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pictures or self.rows)

    @classmethod
    def of(cls, page: str, kept: Collection[int]) -> Shown:
        """Return what a page shows of slices whose lines are not ``kept``."""
        pictures = [int(one or other) for one, other in PICTURE.findall(page)]
        rows = map(int, ROW.findall(page))
        return cls(*(tuple(line for line in lines if line not in kept) for lines in (pictures, rows)))

    def erased_from(self, page: str) -> str:
        """Return the page without these; a table's part that is empty then, named by a patient's hash, goes too."""

        def without(picture: re.Match[str]) -> str:
            line = int(picture[1] or picture[2])
            return f"<p>The picture of line {line} was erased.</p>" if line in self.pictures else picture[0]

        page = PICTURE.sub(without, page)
        return NO_ROWS.sub("", ROW.sub(lambda row: "" if int(row[1]) in self.rows else row[0], page))
