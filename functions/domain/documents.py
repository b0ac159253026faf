"""Reads the JSON documents of a training run's jobs strictly: every value has its kind and its range."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Mapping
from typing import Any

from functions.domain.errors import MalformedDocument

# Of a document. In memory it takes up to 25 times its bytes, and the gate has 512 MB. An evaluation of a thousand
# classes has two tables of a million numbers, in 14 MiB.
MOST_BYTES = 16 * 1024**2
MOST_VALUES = 3_000_000
MOST = 2**53  # of a count: every reader of JSON keeps it exactly
_SHOWN = reprlib.Repr()  # for values of any depth and length: Python's own repr fails at depths that json parses
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 80


def load(body: bytes, schemas: tuple[str, ...], snapshot_digest: str) -> Fields:
    """Return the fields of a document; raise MalformedDocument for other schemas or another snapshot.

    The document is bounded before it is parsed: a function that ends at its memory limit gives no reason.
    """
    if len(body) > MOST_BYTES or sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise MalformedDocument(f"The document has more than {MOST_BYTES:,} bytes or {MOST_VALUES:,} values.")
    try:
        document = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(f"The document is no JSON: {type(error).__name__}.") from error
    fields = Fields(document, schemas[0])
    if fields.text("Schema") not in schemas:
        raise fields.wrong("Schema", f"not {' or '.join(map(repr, schemas))}")
    if fields.text("SnapshotDigest") != snapshot_digest:
        raise fields.wrong("SnapshotDigest", f"the run is about {snapshot_digest[:12]}…")
    return fields


class Fields:
    """One JSON object, with fields that are read by name and kind. ``where`` names the object in messages."""

    def __init__(self, document: Any, where: str) -> None:
        if not isinstance(document, Mapping):
            raise MalformedDocument(f"{where} is no object.")
        self._document = document
        self._where = where

    def has(self, name: str) -> bool:
        """Return whether a field is there that older documents lack."""
        return name in self._document

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._get(name)
        if not _is_text(value):
            raise self.wrong(name, "not a text")
        return str(value)

    def text_or_none(self, name: str) -> str | None:
        """Return a text, or None if the document has null."""
        return None if self._get(name) is None else self.text(name)

    def count(self, name: str) -> int:
        """Return a whole number from 0 to MOST."""
        value = self._get(name)
        if not _is_count(value):
            raise self.wrong(name, "not a whole number from 0")
        return int(value)

    def fraction(self, name: str, low: float = 0.0) -> float:
        """Return a number from ``low`` to 1."""
        value = self.fraction_or_none(name, low)
        if value is None:
            raise self.wrong(name, "not a number")
        return value

    def fraction_or_none(self, name: str, low: float = 0.0) -> float | None:
        """Return a number from ``low`` to 1, or None if the document has null: undefined."""
        value = self._get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 (a NaN)
            raise self.wrong(name, "not a number")
        if not low <= value <= 1:
            raise self.wrong(name, f"not between {low:g} and 1")
        return float(value)

    def number(self, name: str) -> float:
        """Return a finite number from 0."""
        value = self.number_or_none(name)
        if value is None:
            raise self.wrong(name, "not a number from 0")
        return value

    def number_or_none(self, name: str) -> float | None:
        """Return a finite number from 0, or None if the document has null: undefined."""
        value = self._get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
            raise self.wrong(name, "not a number from 0")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return whether a field is true; it must be true or false."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "neither true nor false")
        return value

    def fields(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self._get(name), f"{self._where} {name}")

    def fields_or_none(self, name: str) -> Fields | None:
        """Return an object, or None if the document has null."""
        return None if self._get(name) is None else self.fields(name)

    def list_of_fields(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        return [Fields(one, f"{self._where} {name}") for one in self._list(name)]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self._list(name)
        if not all(map(_is_text, values)):
            raise self.wrong(name, "not a list of texts")
        return tuple(values)

    def counts(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers from 0 to MOST."""
        values = self._list(name)
        if not all(map(_is_count, values)):
            raise self.wrong(name, "not a list of whole numbers")
        return tuple(values)

    def wrong(self, name: str, what: str) -> MalformedDocument:
        """Return the error for a field: its object, its value, and what it should be."""
        return MalformedDocument(f"{self._where}: {name} is {_SHOWN.repr(self._document.get(name)):.80}, {what}.")

    def _get(self, name: str) -> Any:
        if name not in self._document:
            raise MalformedDocument(f"{self._where} has no field {name}.")
        return self._document[name]

    def _list(self, name: str) -> list[Any]:
        value = self._get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "not a list")
        return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise ValueError for a field that is there twice, of which readers take different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is there twice")
    return found


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _is_text(value: Any) -> bool:
    """Return whether a value is a text that encodes to UTF-8: JSON can have a lone surrogate."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
