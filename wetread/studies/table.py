"""Reads of studies for people: a line of a table each, and one in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aggregation.study import Caution
from functions.aws.deliveries import Delivery
from functions.domain.study_document import StudyCaution, StudyCode
from wetread.console import how_many, note, print_table
from wetread.formats import SYNTHETIC, ago, short
from wetread.studies.answers import Answer

COLUMNS = ("Study", "Class", "Score", "Slices read", "Evidence", "Revision", "Age", "Cautions")
ELASTIC = ("Study", "Cautions")
OPEN = "open"
SHOWN = 20
"""How many conflicts, and how many of each kind of change, are shown one by one."""
SENTENCES: dict[str, str] = {
    StudyCaution.FORCED: "it was closed since it had been open for too long: what came later is in the next revision",
    StudyCaution.GAPS: "numbers of slices are missing in a series",
    StudyCaution.MISSING: "objects that the sender named have not arrived",
    StudyCaution.CONFLICTS: "objects with one SOPInstanceUID differ: the last one read counts",
    StudyCaution.SEVERAL_PATIENTS: "its objects are of several patients",
    StudyCaution.SYNTHETIC: "its model has seen phantoms only: about a person it says nothing",
    Caution.FEW_SLICES: "no series has 10 slices that count",
    Caution.AGGREGATOR_NOT_FITTED: "how slices become one answer was not chosen on labelled studies",
    Caution.OUT_OF_DISTRIBUTION: "the model abstained on a series, which is left out, or on all",
    Caution.NO_POSITIONS: "where slices are is not known, and the rule needs their order",
    Caution.NO_REFERENCE: "the model has no class that means none of the others",
    StudyCode.NOTHING_READ: "no class: no slice counts",
    StudyCode.ABSTAINED: "no class: each series is unlike the model's training",
    StudyCode.MIXED_MODELS: "no class: several model versions have read it",
    StudyCode.TOO_MANY_MEMBERS: "no class: it has more members than are read",
    StudyCode.WITHDRAWN: "no class: the version that read it was withdrawn, and not all is read again",
    StudyCode.NO_CLASS: "no class: no score reaches its threshold",
}
"""What the codes of a study/1 document mean, for people."""


def print_answers(answers: Sequence[Answer], now: datetime, title: str | None = None) -> None:
    """Print a table of studies, each with its whole UID, by which it can be asked for, and what the codes mean."""
    print_table(COLUMNS, (line(one, now) for one in answers), elastic=ELASTIC, title=title)
    counted = Counter(code for one in answers for code in codes(one.document))
    if counted:
        note("Codes (number of studies):")
    for code, count in counted.most_common():
        note(f"  {count:>5}  {code}: {SENTENCES.get(code, 'see docs/studies.md')}.")


def line(answer: Answer, now: datetime) -> tuple[str, ...]:
    """Return a study in COLUMNS."""
    read = answer.document
    counts = read.get("Counts", {})
    opened = (f"{OPEN} {ago(answer.study.opened_at, now)}",) if answer.is_open else ()
    return (
        answer.study.study_instance_uid,
        predicted(answer),
        score(read),
        _read(counts) if counts else "-",
        evidence(read),
        str(answer.study.revision or "-"),
        ", ".join((*((ago(read["ClosedAt"], now),) if read else ()), *opened)) or "-",
        ", ".join(read.get("Cautions", ())) or "-",
    )


def _read(counts: Mapping[str, int]) -> str:
    """Return how many members were read, and on how many of these the model abstained."""
    abstained = counts.get("Abstained", 0)
    return f"{counts['Read']} of {counts['Members']}" + (f", {abstained} abstained" if abstained else "")


def predicted(answer: Answer) -> str:
    """Return the class of a study; without one its code, or that it is not read yet."""
    if not answer.document:
        return "(expired)" if answer.study.revision else "(not read yet)"
    return _class(answer.document)


def _class(document: Mapping[str, Any]) -> str:
    said = str(document["Class"] or document["Code"])
    answered = document["Class"] or said == StudyCode.ABSTAINED  # other codes are no answer of a model
    return f"{SYNTHETIC} {said}" if answered and StudyCaution.SYNTHETIC in document["Cautions"] else said


def score(document: Mapping[str, Any]) -> str:
    """Return the score of the class. It is no probability, so it is not in percent."""
    label = document.get("Class")
    return f"{document['Scores'][label]:.2f}" if label else "-"


def evidence(document: Mapping[str, Any]) -> str:
    """Return the slices that a class rests on: their series, and their InstanceNumbers or ends of ids."""
    slices = document.get("Evidence", {}).get(document.get("Class") or "", ())
    if not slices:
        return "-"
    numbers = ((one["InstanceNumber"], one["UploadId"]) for one in slices)
    names = (short(upload) if number is None else str(number) for number, upload in numbers)
    return f"{short(slices[0]['SeriesInstanceUID'])}: {', '.join(names)}"


def codes(document: Mapping[str, Any]) -> list[str]:
    """Return the cautions of a read, and why it has no class."""
    code = document.get("Code")
    return [*([code] if code else []), *document.get("Cautions", ())]


def print_read(answer: Answer, document: Mapping[str, Any], now: datetime, delivery: Delivery | None = None) -> None:
    """Print one revision in full; ``delivery`` is what became of its DICOM results, if it is known."""
    facts = [*_facts(answer, document, now), *_delivered(delivery)]
    print_table(("Study", document["StudyInstanceUID"]), facts)
    print_table(
        ("Series", "Members", "Read", "Not counted", "Scores"), map(_series, document["Series"]), title="Series"
    )
    slices = [_slice(label, one) for label, several in document["Evidence"].items() for one in several]
    if slices:
        columns = ("Class", "Series", "Instance", "Position", "Probability", "SOPInstanceUID", "Upload")
        print_table(
            columns,
            slices,
            elastic=("SOPInstanceUID", "Upload"),
            title="Evidence: the slices with the highest probability of each class",
        )
    for code in codes(document):
        note(f"{code}: {SENTENCES.get(code, 'see docs/studies.md')}.")
    for text in (*_missing(document), *_changes(document), *_conflicts(document), *_not_delivered(delivery)):
        note(text)


def _facts(answer: Answer, document: Mapping[str, Any], now: datetime) -> list[tuple[str, str]]:
    model, rule, counts = document["Model"] or {}, document["Aggregation"], document["Counts"]
    scores = (f"{label} {value:.3f}" for label, value in sorted(document["Scores"].items(), key=lambda one: -one[1]))
    read_by = model.get("Package") or ", ".join(document["Models"] or ()) or "-"
    fitted = "fitted" if rule["Fitted"] else "not fitted"
    facts = [
        ("Class", _class(document)),
        ("Scores (no probabilities)", ", ".join(scores) or "-"),
        ("Revision", f"{document['Revision']} of {answer.study.revision}"),
        ("Closed", f"{ago(document['ClosedAt'], now)} ago, {document['CloseReason']}"),
        ("Coverage", document["Coverage"]),
        ("Members", _members(counts)),
        ("Read by", read_by),
        ("Rule", f"{rule['Rule']} of {rule['K']}, {fitted}" if rule["Rule"] == "top_mean" else fitted),
    ]
    if answer.is_open:
        facts.append(
            ("Now", f"{OPEN} for {ago(answer.study.opened_at, now)}: it waits for more, or for what is read again")
        )
    return facts


def _members(counts: Mapping[str, int]) -> str:
    """Return the members by what became of them; Abstained are some of those that were read."""
    read = f"{counts['Read']} Read" + (
        f" ({abstained} of them Abstained)" if (abstained := counts.get("Abstained", 0)) else ""
    )
    others = (f"{count} {name}" for name, count in counts.items() if name not in {"Members", "Read", "Abstained"})
    return ", ".join((read, *others))


def why_none(delivery: Delivery | None) -> str:
    """Return why the bucket has no DICOM results of a revision; ``delivery`` is what became of them, if it is known."""
    if delivery is None:
        return (
            "none were made so far. A stage makes them by its setting dicom_results, within minutes of the read, and "
            "of no revision before it was set."
        )
    if delivery.code:
        return f"{delivery.code}: {delivery.reason}"
    return "they have expired (the setting dicom_results_days), or were erased."


def _delivered(delivery: Delivery | None) -> list[tuple[str, str]]:
    if delivery is None:
        return []
    return [("DICOM results", ", ".join(sorted(delivery.keys)) or f"none: {delivery.code}")]


def _not_delivered(delivery: Delivery | None) -> list[str]:
    """Return why a revision has no DICOM results, or lacks heat pictures."""
    if delivery is None:
        return []
    lines = [f"{delivery.code}: {delivery.reason}"] if delivery.code else []
    if delivery.not_rejected:
        lines.append(f"Results of a withdrawn version have no note that rejects them: {delivery.not_rejected}.")
    lines += [f"Not drawn: {name}: {code}, see docs/studies.md." for name, code in sorted(delivery.undrawn.items())]
    return lines


def _series(one: Mapping[str, Any]) -> tuple[str, ...]:
    why = ", ".join(f"{count} {code}" for code, count in one["Why"].items())
    scores = ", ".join(f"{label} {value:.2f}" for label, value in one.get("Scores", {}).items())
    return (
        one["SeriesInstanceUID"] or "(none)",
        str(one["Counts"]["Members"]),
        str(one["Counts"]["Read"]),
        why or "-",
        "abstained" if one.get("Abstained") else scores or "-",
    )


def _slice(label: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    position = one["Position"]
    return (
        label,
        short(one["SeriesInstanceUID"]),
        "-" if one["InstanceNumber"] is None else str(one["InstanceNumber"]),
        "-" if position is None else f"{position:g} mm",
        f"{100 * one['Probability']:.1f} %",
        one.get("SOPInstanceUID") or "-",
        one["UploadId"],
    )


def _missing(document: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Series {short(one['SeriesInstanceUID'])} lacks {one['Missing']} of {one['Expected']} that the sender named."
        for one in document["Missing"]
    ]
    lines += [
        f"Series {short(one['SeriesInstanceUID'])} lacks {how_many(one['Missing'], 'number')}: "
        f"{_runs(one['InstanceNumbers'])}."
        for one in document["Gaps"]
    ]
    return lines[:SHOWN]


def _runs(numbers: Sequence[int]) -> str:
    """Return numbers, those that follow one another as their first and last: ``2, 5 to 9``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)


def _changes(document: Mapping[str, Any]) -> list[str]:
    changes = dict(document["Changes"] or {})
    model = changes.pop("ModelChanged", None)
    lines = []
    for kind, uploads in changes.items():
        lines.append(f"{kind} since the last revision: {how_many(len(uploads), 'upload')}.")
        lines += [f"  {upload}" for upload in uploads[:SHOWN]]
        lines += [f"  and {len(uploads) - SHOWN} more, which --json has"] if len(uploads) > SHOWN else []
    return lines + ([f"Read by {model['To']}, before by {model['From']}."] if model else [])


def _conflicts(document: Mapping[str, Any]) -> list[str]:
    return [
        f"Object {short(one['SOPInstanceUID'])} came {len(one['Uploads'])} times with different bytes; "
        f"{one['Counted'] or 'none'} counts."
        for one in document["Conflicts"][:SHOWN]
    ]
