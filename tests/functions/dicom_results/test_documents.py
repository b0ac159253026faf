"""From a study/1 document and rows to what is delivered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.dicom_results.documents import check, read_of, reference_row
from functions.dicom_results.making import results_of
from functions.dicom_results.refused import NoResultsCode
from functions.dicom_results.stage import Kind
from functions.domain.errors import NoResults
from functions.domain.header import read_header
from functions.domain.instance import describe, identified, identity_was_repaired
from functions.domain.row import Row, Status
from tests.fakes.dicom import ct
from tests.functions.dicom_results.rows import document, rows
from tests.functions.dicom_results.studies import SERIES, STUDY, Series, subject
from tests.phi_leak import with_elements


def test_a_document_gives_the_findings_of_the_study_and_of_its_series() -> None:
    read = read_of(document(), rows(), {SERIES[0]: 4, SERIES[1]: 2}, predecessor=None)
    assert (read.study_uid, read.revision, read.predicted, read.forced) == (STUDY, 1, "covid", False)
    assert read.closed_at == datetime(2026, 1, 2, 11, 30, 15, tzinfo=UTC)
    assert [(one.series_uid, one.label, one.score) for one in read.findings] == [
        ("", "covid", 0.91),
        ("", "normal", 0.09),
        ("", "cap", 0.02),
        (SERIES[1], "covid", 0.91),
        (SERIES[1], "normal", 0.09),
        (SERIES[1], "cap", 0.02),
    ]
    assert read.series == (Series(uid=SERIES[1], number=2), Series(uid=SERIES[0], number=4)), "as archives list them"
    assert len(read.members) == 12
    assert read.aggregation == "top_mean k=3, not fitted"
    assert read.cautions == tuple(document()["Cautions"])


def test_a_fitted_rule_is_called_so() -> None:
    rule = document()["Aggregation"] | {"Rule": "logistic", "Fitted": True}
    assert read_of(document(Aggregation=rule), rows(), {}, None).aggregation == "logistic k=3, fitted"


def test_a_class_rests_on_its_slices_and_the_reference_class_on_those_of_the_highest() -> None:
    read = read_of(document(), rows(), {}, predecessor=None)
    covid, normal, cap = read.of_study
    assert [one.sop_uid for one in covid.evidence] == [f"{SERIES[1]}.{n}" for n in (3, 4, 5)]
    assert normal.evidence == covid.evidence
    assert [one.sop_uid for one in cap.evidence] == [f"{SERIES[1]}.1"]


def test_the_model_is_named_by_the_end_of_its_package_s_arn() -> None:
    model = read_of(document(), rows(), {}, predecessor=None).model
    assert (model.name, model.version, model.form) == ("wetread", "7", "openvino-fp32")
    bare = document(Model={"Package": "local", "WeightsSHA256": "ab"})
    assert (read_of(bare, rows(), {}, None).model.name, read_of(bare, rows(), {}, None).model.form) == (
        "unknown",
        "unknown",
    )


def test_why_there_is_no_class_is_the_first_caution() -> None:
    read = read_of(document(Class=None, Code="Abstained", Cautions=["Gaps"]), rows(), {}, None)
    assert read.cautions == ("Abstained", "Gaps")


def test_a_document_gives_results() -> None:
    read = read_of(document(), rows(), {}, predecessor=None)
    made = results_of(replace(subject(), read=read), tuple(Kind))
    assert [one.kind for one in made] == [Kind.SR, Kind.CARD, Kind.KEYS]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Model": None, "Code": "MixedModels"}, NoResultsCode.NO_SCORES),
        ({"Scores": {}, "Code": "NothingRead"}, NoResultsCode.NO_SCORES),
        ({"Uploads": {"Read": [f"upload-{n}" for n in range(13)]}}, NoResultsCode.ROWS_GONE),
    ],
)
def test_a_revision_without_an_answer_gives_no_results(changes: dict[str, Any], code: NoResultsCode) -> None:
    with pytest.raises(NoResults) as refused:
        check(document(**changes), rows())
    assert refused.value.code == code


def test_a_revision_with_an_erased_row_gives_no_results() -> None:
    with pytest.raises(NoResults) as refused:
        check(document(), rows({3: {"status": Status.ERASED}}))
    assert refused.value.code == NoResultsCode.ROWS_GONE


@pytest.mark.parametrize("level", ["Study", "Series", "SOP"])
def test_repaired_identifiers_give_no_results(level: str) -> None:
    repair = f"{level}InstanceUID was a UUID, not a UID: mapped under 2.25."
    with pytest.raises(NoResults) as refused:
        check(document(), rows({3: {"repairs": (repair,)}}))
    assert refused.value.code == NoResultsCode.REPAIRED_IDENTITY


def test_other_repairs_change_nothing() -> None:
    repairs = (
        "MediaStorageSOPInstanceUID did not name this SOPInstanceUID: ignored.",
        "Modality was absent or empty: CT, by the SOP class.",
    )
    check(document(), rows({3: {"repairs": repairs}}))


def test_several_patients_give_no_results() -> None:
    with pytest.raises(NoResults) as refused:
        check(document(), rows({3: {"patient_hash": "another"}}))
    assert refused.value.code == NoResultsCode.SEVERAL_PATIENTS


def test_the_reference_is_the_first_slice_of_the_largest_series() -> None:
    fewer: dict[str, Row] = {upload: row for upload, row in rows().items() if upload not in {"upload-0", "upload-1"}}
    assert reference_row(fewer).upload_id == "upload-6"
    unnumbered = rows({n: {"instance_number": None} for n in (0, 1, 2)})
    assert reference_row(unnumbered).upload_id == "upload-3"


def repaired(body: bytes) -> bool:
    return identity_was_repaired(identified(describe(read_header(body, len(body))), "ab" * 32).repairs)


def test_what_ingest_repairs_of_identifiers_is_known_as_such() -> None:
    assert not repaired(ct())
    assert repaired(with_elements(ct(), {"StudyInstanceUID": "study-1"}))
    assert repaired(with_elements(ct(), {"SeriesInstanceUID": "6d4f0d3e-3a59-4f0e-9a39-0d0ef5a5c0aa"}))
    assert repaired(with_elements(ct(), {"SOPInstanceUID": ""}))
