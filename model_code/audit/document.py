"""Builds audit/2 from the readings of the slices. It holds lines, figures and keywords, never the value of a tag."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from model_code.audit import acquisition, background, person, position
from model_code.audit.confounding import Tags, Unit, confounding
from model_code.audit.likeness import Likeness
from model_code.audit.lookalikes import Lookalike, lookalikes
from model_code.audit.pairs import NEAR_BITS, identical_groups, near_pairs
from model_code.audit.perceptual_hash import Fingerprint, distance
from model_code.snapshot import Case, Snapshot

SCHEMA = "audit/2"
MOST_EXAMPLES = 50
# What must not predict the class, by the name in the document, and the tags that are asked.
SUBJECTS = {
    "Acquisition": (*acquisition.KEYWORDS, acquisition.TRANSFER_SYNTAX),
    "Person": person.COLUMNS,
    "Position": position.KEYWORDS,
    "Background": background.KEYWORDS,
}


@dataclass(frozen=True)
class Reading:
    """What the audit keeps of a decoded slice; ``fingerprint`` and ``likeness`` are None if no body is visible.

    The tags may describe a person.
    """

    pixel_digest: str
    fingerprint: Fingerprint | None
    tags: Tags = field(repr=False)
    likeness: Likeness | None = None


@dataclass(frozen=True)
class Unreadable:
    """Why a slice could not be decoded: an InstanceCode and its sentence."""

    code: str
    message: str


def build(snapshot: Snapshot, readings: Iterable[Reading | Unreadable]) -> dict[str, Any]:
    """Return the audit/2 document; ``readings`` are of the snapshot's cases, in their order."""
    pairs = list(zip(snapshot.cases, readings, strict=True))
    unreadable = [(case, one) for case, one in pairs if isinstance(one, Unreadable)]
    seen = [(case, one) for case, one in pairs if isinstance(one, Reading)]
    cases = [case for case, _ in seen]
    digests, splits = [one.pixel_digest for _, one in seen], [case.part for case in cases]
    identical = identical_groups(digests, splits)
    prints, patients = [one.fingerprint for _, one in seen], [case.patient for case in cases]
    near, closest = near_pairs(prints, digests, splits, MOST_EXAMPLES)
    alike = lookalikes([one.likeness for _, one in seen], digests, splits, patients)
    # A copy in another form is no copy by the fingerprints, whose pairs are counted already.
    changed = [one for one in alike.copies if not _near(prints[one.first], prints[one.second])]
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
            near + len(changed),
            [_across([cases[pair.first], cases[pair.second]]) | {"Distance": pair.distance} for pair in closest]
            + [_alike(one, cases) for one in changed],
        )
        | {"Threshold": NEAR_BITS, "SimilarityThreshold": round(alike.copy_threshold, 3)},
        "SamePatient": _counted(len(alike.same_patient), [_alike(one, cases) for one in alike.same_patient])
        | {"SimilarityThreshold": round(alike.same_patient_threshold, 3), "Compared": alike.compared},
        **{
            subject: confounding(units, patients, snapshot.labels, snapshot.seed, keywords)
            for subject, keywords in SUBJECTS.items()
        },
    }


def _near(one: Fingerprint | None, other: Fingerprint | None) -> bool:
    return one is not None and other is not None and distance(one, other) <= NEAR_BITS


def _alike(pair: Lookalike, cases: list[Case]) -> dict[str, Any]:
    return _across([cases[pair.first], cases[pair.second]]) | {"Similarity": round(pair.similarity, 3)}


def _counted(count: int, examples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Count": count, "Examples": examples[:MOST_EXAMPLES]}


def _across(cases: list[Case]) -> dict[str, Any]:
    """Return the lines and splits of slices with the same picture; if there are many, the first of each split."""
    first = [next(case for case in cases if case.part == part) for part in dict.fromkeys(one.part for one in cases)]
    shown = cases if len(cases) <= MOST_EXAMPLES else first
    return {"Lines": [case.line for case in shown], "Splits": [case.part for case in shown]}
