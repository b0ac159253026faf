"""Renders the report on a run's data from audit/2: what a refusal names, with the slices side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model_code.audit.document import SUBJECTS
from model_code.audit.perceptual_hash import BITS
from model_code.evaluation.pictures import BurnedIn, ReportPictures, picture_of
from model_code.evaluation.report.page import FOLDER as STYLE
from model_code.evaluation.report.png import data_uri
from model_code.evaluation.training_record import parts_of
from model_code.snapshot import Case, Snapshot

FOLDER = Path(__file__).parent
TEMPLATE = "page.html.j2"
# Of each kind of finding; the document names more, without pictures.
MOST_SHOWN = 12
KINDS = {
    "NearIdentical": (
        "Nearly the same picture in two parts",
        "A copy in another part makes the test part easier than new patients are: remove one of the two.",
    ),
    "SamePatient": (
        "Two patients who look like one",
        "Neighbouring slices of one patient are this much alike. Give both the same PatientID, or keep both in one "
        "part.",
    ),
    "Identical": ("The same picture in two parts", "Every pixel is the same: remove one of the two."),
}
WORDS = {
    "Acquisition": "scanner and protocol",
    "Person": "age and sex",
    "Position": "the slice's position",
    "Background": "what lies around the body",
}


@dataclass(frozen=True)
class Side:
    """One slice of a pair, with a PNG; ``picture`` is b"" if it may not be shown."""

    case: Case
    burned_in: BurnedIn
    picture: bytes


def render(document: Mapping[str, Any], snapshot: Snapshot, folder: Path, pictures: ReportPictures) -> str:
    """Return the report as one HTML text that loads nothing; the slices in ``folder`` have been decoded before."""
    environment = Environment(
        loader=FileSystemLoader([FOLDER, STYLE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = data_uri
    cases = {case.line: case for case in snapshot.cases}
    findings = [_finding(name, document[name], cases, folder, pictures) for name in KINDS]
    return environment.get_template(TEMPLATE).render(
        document=document,
        snapshot=snapshot,
        patients=len({case.patient for case in snapshot.cases}),
        parts=parts_of(snapshot),
        findings=[one for one in findings if one["count"]],
        subjects=[(WORDS[name], document[name]) for name in SUBJECTS],
        pictures=pictures,
    )


def _finding(
    name: str, found: Mapping[str, Any], cases: Mapping[int, Case], folder: Path, pictures: ReportPictures
) -> dict[str, Any]:
    title, advice = KINDS[name]
    return {
        "title": title,
        "advice": advice,
        "count": found["Count"],
        "pairs": [_pair(one, cases, folder, pictures) for one in found["Examples"][:MOST_SHOWN]],
    }


def _pair(
    example: Mapping[str, Any], cases: Mapping[int, Case], folder: Path, pictures: ReportPictures
) -> dict[str, Any]:
    """Return the first slice of each part, and how alike they are."""
    first = {part: line for line, part in reversed(list(zip(example["Lines"], example["Splits"], strict=True)))}
    sides = [Side(cases[line], *picture_of(cases[line], folder, pictures)) for line in sorted(first.values())]
    alike = ""
    if "Similarity" in example:
        alike = f"correlation of detail {example['Similarity']:.2f}"
    elif "Distance" in example:
        alike = f"{example['Distance']} of {BITS} bits differ"
    return {"sides": sides, "alike": alike, "more": len(example["Lines"]) - len(sides)}
