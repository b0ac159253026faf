"""A sender's marker (complete/1): the objects that a study has, by which its read need not wait for quiet.

It comes from outside, so every value has a bound. A marker that promises more than arrives holds nothing up: the study
closes when it is quiet, and its read names what is missing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import Refusal, RefusalCode
from functions.domain.instance import UuidOf, as_uid
from functions.domain.member import Member

SCHEMA = "complete/1"
SUFFIX = ".complete.json"
MOST_BYTES = 256 * 1024
MOST_SERIES = 1000
MOST_INSTANCES = 1_000_000
MOST_TEXT = 300_000  # of a marker as it is kept: an item of DynamoDB has 400 KB
MOST_NAMED = 100  # missing instances of a series that are named


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The objects that a series has: their number, or their SOPInstanceUIDs."""

    series: str
    number: int
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Marker:
    """What a study has, as its sender says."""

    study_instance_uid: str
    series: tuple[Expected, ...]

    def text(self) -> str:
        """Return the marker in the form in which it is kept."""
        return json.dumps([[one.series, one.number, *one.instances] for one in self.series], separators=(",", ":"))

    def missing(self, members: Iterable[Member]) -> list[dict[str, Any]]:
        """Return what has not arrived, one entry a series; empty where all has."""
        arrived: dict[str, set[str]] = defaultdict(set)
        for one in members:
            arrived[one.series].add(one.sop_instance_uid or one.upload_id)
        return [entry for one in self.series if (entry := _missing(one, arrived[one.series]))]


def kept(study_instance_uid: str, text: str) -> Marker:
    """Return the marker whose ``text`` is kept."""
    series = (Expected(series=one[0], number=one[1], instances=tuple(one[2:])) for one in json.loads(text))
    return Marker(study_instance_uid=study_instance_uid, series=tuple(series))


def parse(body: bytes, uuid_of: UuidOf) -> Marker:
    """Read a marker object; identifiers are mapped as those of uploads. Raises Refusal if it is not complete/1."""
    if len(body) > MOST_BYTES:
        raise _refusal(f"it has more than {MOST_BYTES:,} bytes; give NumberOfInstances instead of SOPInstanceUIDs")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _refusal("it is not JSON") from None
    if not isinstance(document, Mapping) or document.get("Schema") != SCHEMA:
        raise _refusal(f"its Schema is not {SCHEMA}")
    series = document.get("Series")
    if not isinstance(series, list) or not 1 <= len(series) <= MOST_SERIES:
        raise _refusal(f"Series is not a list of 1 to {MOST_SERIES} series")
    marker = Marker(
        study_instance_uid=_uid(document, "StudyInstanceUID", uuid_of),
        series=tuple(_expected(one, uuid_of) for one in series),
    )
    if len({one.series for one in marker.series}) < len(marker.series):
        raise _refusal("a series is in it twice")
    if len(marker.text()) > MOST_TEXT:
        raise _refusal("it names too many instances; give NumberOfInstances instead of SOPInstanceUIDs")
    return marker


def _expected(entry: Any, uuid_of: UuidOf) -> Expected:
    if not isinstance(entry, Mapping):
        raise _refusal("a series in it is no object")
    uid, uids, number = _uid(entry, "SeriesInstanceUID", uuid_of), entry.get("SOPInstanceUIDs"), 0
    if uids is not None:
        if not isinstance(uids, list) or not uids:
            raise _refusal("SOPInstanceUIDs is not a list of UIDs")
        mapped = tuple(sorted({_uid({"SOPInstanceUIDs": one}, "SOPInstanceUIDs", uuid_of) for one in uids}))
        return Expected(series=uid, number=len(mapped), instances=mapped)
    number = entry.get("NumberOfInstances", 0)
    if type(number) is not int or not 1 <= number <= MOST_INSTANCES:
        raise _refusal(f"NumberOfInstances is not a whole number from 1 to {MOST_INSTANCES:,}")
    return Expected(series=uid, number=number)


def _uid(document: Mapping[str, Any], name: str, uuid_of: UuidOf) -> str:
    text = document.get(name)
    uid = as_uid(text, uuid_of) if isinstance(text, str) and text.isascii() else ""
    if not uid:
        raise _refusal(f"{name} is absent or not a UID")
    return uid


def _missing(expected: Expected, arrived: set[str]) -> dict[str, Any]:
    """Return what a series lacks, or {}."""
    named = sorted(set(expected.instances) - arrived)
    number = len(named) if expected.instances else max(expected.number - len(arrived), 0)
    entry: dict[str, Any] = {"SeriesInstanceUID": expected.series, "Expected": expected.number, "Missing": number}
    return entry | ({"SOPInstanceUIDs": named[:MOST_NAMED]} if named else {}) if number else {}


def _refusal(what: str) -> Refusal:
    return Refusal(RefusalCode.MALFORMED_MARKER, f"The object's name ends in {SUFFIX}, but {what}.")
