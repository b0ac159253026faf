"""Builds audit/1 from the readings of the slices. It holds lines, figures and keywords, never the value of a tag."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from model_code.audit.acquisition import Tags, Unit, acquisition
from model_code.audit.pairs import NEAR_BITS, identical_groups, near_pairs
from model_code.audit.perceptual_hash import Fingerprint
from model_code.snapshot import Case, Snapshot

SCHEMA = "audit/1"
MOST_EXAMPLES = 50


@dataclass(frozen=True)
class Reading:
    """What the audit keeps of a decoded slice; ``fingerprint`` is None if no body is visible."""

    pixel_digest: str
    fingerprint: Fingerprint | None
    tags: Tags


@dataclass(frozen=True)
class Unreadable:
    """Why a slice could not be decoded: an InstanceCode and its sentence."""

    code: str
    message: str


def build(snapshot: Snapshot, readings: Iterable[Reading | Unreadable]) -> dict[str, Any]:
    """Return the audit/1 document; ``readings`` are of the snapshot's cases, in their order."""
    pairs = list(zip(snapshot.cases, readings, strict=True))
    unreadable = [(case, one) for case, one in pairs if isinstance(one, Unreadable)]
    seen = [(case, one) for case, one in pairs if isinstance(one, Reading)]
    cases = [case for case, _ in seen]
    digests, splits = [one.pixel_digest for _, one in seen], [str(case.split) for case in cases]
    identical = identical_groups(digests, splits)
    near, closest = near_pairs([one.fingerprint for _, one in seen], digests, splits, MOST_EXAMPLES)
    units = [Unit(one.tags, case.label) for case, one in seen]
    return {
        "Schema": SCHEMA,
        "SnapshotDigest": snapshot.digest,
        "Slices": len(snapshot.cases),
        "Unreadable": _counted(
            len(unreadable),
            [{"Line": case.line, "Code": one.code, "Message": one.message} for case, one in unreadable],
        ),
        "Identical": _counted(len(identical), [_across([cases[index] for index in group]) for group in identical]),
        "NearIdentical": _counted(
            near,
            [_across([cases[pair.first], cases[pair.second]]) | {"Distance": pair.distance} for pair in closest],
        )
        | {"Threshold": NEAR_BITS},
        "Acquisition": acquisition(units, [case.patient for case in cases], snapshot.labels, snapshot.seed),
    }


def _counted(count: int, examples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Count": count, "Examples": examples[:MOST_EXAMPLES]}


def _across(cases: list[Case]) -> dict[str, Any]:
    """Return the lines and splits of slices with the same picture; if there are many, the first of each split."""
    first = [next(case for case in cases if case.split is split) for split in dict.fromkeys(c.split for c in cases)]
    shown = cases if len(cases) <= MOST_EXAMPLES else first
    return {"Lines": [case.line for case in shown], "Splits": [str(case.split) for case in shown]}
