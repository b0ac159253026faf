"""All reasons are listed; a risk is accepted by its name and nothing else is."""

from __future__ import annotations

import json

import pytest

from functions.domain.verdict import (
    DataProblem,
    LabelProblem,
    ModelProblem,
    Places,
    Reason,
    Rest,
    Risk,
    Verdict,
    trimmed,
)


def test_nothing_found_passes_and_anything_found_does_not() -> None:
    assert Verdict().passed
    assert not Verdict((Reason(code=Risk.TOO_FEW_PATIENTS, message="m."),)).passed


def test_a_risk_passes_when_it_is_accepted_by_name_and_stays_listed() -> None:
    found = Verdict(
        (Reason(code=Risk.TOO_FEW_PATIENTS, message="m."), Reason(code=Risk.STUDY_ACROSS_SPLIT, message="n."))
    )
    assert not found.accepting([Risk.TOO_FEW_PATIENTS]).passed
    accepted = found.accepting(["TooFewPatients", "StudyAcrossSplit", "SeriesAcrossSplit"])
    assert accepted.passed
    assert accepted.to_json() == {
        "Schema": "verdict/1",
        "Passed": True,
        "Reasons": [
            {"Code": "TooFewPatients", "Message": "m.", "Accepted": True},
            {"Code": "StudyAcrossSplit", "Message": "n.", "Accepted": True},
        ],
    }


@pytest.mark.parametrize("code", [*DataProblem, *ModelProblem, *LabelProblem])
def test_a_code_that_is_not_a_risk_cannot_be_accepted(code: DataProblem | ModelProblem | LabelProblem) -> None:
    assert not Verdict((Reason(code=code, message="m."),)).accepting([code]).passed


def test_what_the_state_machine_carries_is_short_and_hides_no_refusal() -> None:
    reasons = [Reason(code=Risk.TOO_FEW_PATIENTS, message="ü" * 5000, accepted=True)] * 60
    reasons.append(Reason(code=DataProblem.MALFORMED_AUDIT, message="m."))
    shown = trimmed(reasons)
    assert len(shown) == 51
    assert shown[0] == {"Code": "MalformedAudit", "Message": "m.", "Accepted": False}
    assert shown[-1]["Code"] == Rest.MORE_REASONS
    assert shown[-1]["Message"].startswith("11 more")
    assert len(json.dumps(shown)) < 200_000


def test_few_reasons_are_carried_as_they_are() -> None:
    reason = Reason(code=DataProblem.MALFORMED_AUDIT, message="m.")
    assert trimmed([reason]) == [reason.to_json()]


def test_lines_and_entries_read_as_a_sentence() -> None:
    lines, entries = Places.of("s3://bucket/cohorts/c/Labels.CSV"), Places.of("s3://bucket/cohorts/c/manifest.json")
    assert lines.named([3]) == "line 3"
    assert lines.named([7, 3, 7]) == "lines 3 and 7"
    assert entries.named([3, 7]) == "entries 3 and 7"
    assert entries.begin([3]) == "Entry 3"
    assert lines.named(range(1, 15)) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more"


def test_an_entry_is_named_with_its_file_for_the_person_who_has_it() -> None:
    entries = Places(are_lines=False, names={3: "s1/IM3.dcm"})
    assert entries.begin([3]) == "Entry 3 (s1/IM3.dcm)"
    assert entries.named([4, 3]) == "entries 3 (s1/IM3.dcm) and 4"
    assert entries.naming("Entry 3: no.") == "Entry 3 (s1/IM3.dcm): no."
    assert entries.naming("Entries 1, 3, 4 and 3 more.") == "Entries 1, 3 (s1/IM3.dcm), 4 and 3 more."
    assert entries.naming("3 files, at entries 2 and 3") == "3 files, at entries 2 and 3 (s1/IM3.dcm)"
