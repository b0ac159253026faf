"""Reads one entry of labels: the names of its fields, what contradicts itself in it, and its values."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from functions.domain.errors import MalformedEntry, MalformedManifest
from functions.domain.slices import LabelledSlice, Split
from functions.domain.table import INSTEAD, OPTIONAL_COLUMNS, REQUIRED_COLUMNS

NAMES = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
IDS = ("studyId", "seriesId")
OTHERS = frozenset({"studyuid", "seriesuid"})  # one letter from ours, and other things
CONTENT, CONTENT_TYPE, STUDY_TYPE = "content", "classification", "study"
LONGEST_NAME = 40  # characters of a name that may be one of ours
LONGEST_TEXT = 1024  # characters of any value: what an S3 key may have


class Contradictory(dict[str, Any]):
    """A JSON object that gives a name two values."""


def composed(text: str) -> str:
    """Return a text in Unicode's composed form: macOS writes "é" as two characters, others as one."""
    return unicodedata.normalize("NFC", text)


def check_columns(columns: Sequence[str]) -> None:
    """Raise MalformedManifest if columns of ours are absent, repeated or misspelt; other columns are ignored."""
    missing = [name for name in REQUIRED_COLUMNS if name not in columns and INSTEAD.get(name) not in columns]
    near = [(number, ours) for number, name in enumerate(columns, start=1) if (ours := _nearly(name, NAMES))]
    repeated = [name for name in NAMES if columns.count(name) > 1]
    known = {number for number, _ in near}
    unknown = [
        str(number)
        for number, name in enumerate(columns, start=1)
        if missing and name and name not in NAMES and number not in known
    ]
    what = [f"lacks {', '.join(missing)}"] if missing else []
    what += [f"has one that is nearly {ours}, number {number}" for number, ours in near]
    amount = "an unknown one, number" if len(unknown) == 1 else "unknown ones, numbers"
    what += [f"has {amount} {', '.join(unknown)}"] if unknown else []
    what += [f"repeats {', '.join(repeated)}"] if repeated else []
    if missing or near or repeated:
        raise MalformedManifest(
            "The first line must name the columns, separated by commas, semicolons or tabs "
            f"({', '.join(NAMES)}; the first two at least); it {' and '.join(what)}."
        )


def entry_of(line: int, record: Any, labels: Mapping[str, str]) -> LabelledSlice:
    """Return the slice that a CSV record or a JSON element labels; raise MalformedEntry.

    ``labels`` are the classes by their composed names. Another label is left as it is.
    """
    if isinstance(record, tuple):
        raise MalformedEntry(f"it has {record[0]} cells, the header {record[1]}")
    fields = _fields(record)
    study_label = _text(fields, "studyLabel", optional=True)
    if "label" not in fields and not study_label:
        raise MalformedEntry(f"it has no content of the type {CONTENT_TYPE!r} or {STUDY_TYPE!r} with a label")
    split = _text(fields, "split", optional=True)
    if split and split not in set(Split):
        raise MalformedEntry(f"its split is not one of {', '.join(Split)}")
    label = _text(fields, "label", optional=bool(study_label))
    return LabelledSlice(
        line=line,
        filename=_text(fields, "filename"),
        label=labels.get(composed(label), label),
        study_id=_text(fields, "studyId", optional=True),
        series_id=_text(fields, "seriesId", optional=True),
        split=Split(split) if split else None,
        study_label=labels.get(composed(study_label), study_label),
    )


def _fields(record: Any) -> Mapping[str, Any]:
    """Return an entry's fields on one level; raise MalformedEntry if two places in it say different things."""
    if not isinstance(record, Mapping):
        raise MalformedEntry("it is not an object")
    content = record.get(CONTENT)
    contents = [one for one in (content if isinstance(content, list) else [content]) if isinstance(one, Mapping)]
    if any(isinstance(one, Contradictory) for one in (record, *contents)):
        raise MalformedEntry("it gives a field twice, with two values; keep one of them")
    fields = dict(record)
    if isinstance(content, Mapping) and content.get("type") == CONTENT_TYPE:
        fields["label"] = record.get("label") if content.get("label") is None else content["label"]
    if isinstance(content, list):
        said = [one["label"] for one in contents if one.get("type") == CONTENT_TYPE and one.get("label") is not None]
        if said:
            fields.setdefault("label", said[0])
    for one in contents:
        if one.get("type") == STUDY_TYPE:
            _take_study(one, fields)
        elif one.get("type", CONTENT_TYPE) == CONTENT_TYPE:
            _check_content(one, record, fields)
    _check_names(record, {**fields, CONTENT: content})
    return fields


def _take_study(content: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Add the label of a study's content to an entry's fields; raise MalformedEntry if two places differ."""
    said = [one for one in (fields.get("studyLabel"), content.get("label")) if one is not None]
    if len(said) > 1 and not _same(*said):
        raise MalformedEntry("its studyLabel and the label of its study differ; keep the one that is right")
    if misplaced := next((name for name in NAMES if name != "label" and content.get(name) is not None), ""):
        raise MalformedEntry(f"its {misplaced} is in its content; put it beside filename")
    _check_names(content, {"label": content.get("label")})
    if said:
        fields["studyLabel"] = said[0]


def _check_content(content: Mapping[str, Any], record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Raise MalformedEntry if a content says something else than its entry, or what belongs into the entry."""
    for name in NAMES:
        said = [one[name] for one in (record, content) if one.get(name) is not None]
        if name in fields and not all(_same(one, fields[name]) for one in said):
            raise MalformedEntry(f"its {name} and its content's {name} differ; keep the one that is right")
        if said and name not in fields and name != "label":
            raise MalformedEntry(f"its {name} is in its content; put it beside filename")
    _check_names(content, fields)


def _check_names(record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Raise MalformedEntry for a name that is nearly one of ours, unless it repeats what that one says.

    Extra fields are usual in JSON, and many are about studies and series. An id is only there to tell files of one name
    apart, so another id beside ours says nothing against it.
    """
    for name in record:
        ours = _nearly(name, (*NAMES, CONTENT))
        is_other_id = ours in IDS and (ours in fields or _folded(name) != _folded(ours))
        if ours and not is_other_id and not _same(record[name], fields.get(ours)):
            raise MalformedEntry(f"it has a field that is nearly {ours}; correct its name, or remove it")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return composed(one.strip()) == composed(other.strip())
    return one is not None and type(one) is type(other) and one == other


def _text(fields: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    value = fields.get(name)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not (value.strip() or optional):
        raise MalformedEntry(f"its {name} is not a text of 1 to {LONGEST_TEXT} characters")
    return value.strip()


@functools.lru_cache(maxsize=256)  # every entry has the same names
def _nearly(name: str, ours: tuple[str, ...]) -> str:
    """Return the one of our names that this name is nearly, in another case or with one mistake; "" if it is none."""
    if name in ours or len(name) > LONGEST_NAME:
        return ""
    folded = _folded(name.removeprefix(f"{CONTENT}."))  # so pandas flattens JSON
    if folded in OTHERS:
        return ""
    return next((one for one in ours if _is_one_off(folded, _folded(one))), "")


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _is_one_off(one: str, other: str) -> bool:
    """Return whether two texts are equal but for one letter more, less or other, or two that are swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, of_other = one[start:], other[start:]
    return (
        rest[1:] == of_other[1:]
        or rest[1:] == of_other
        or rest == of_other[1:]
        or (rest[:2] == of_other[1::-1] and rest[2:] == of_other[2:])
    )
