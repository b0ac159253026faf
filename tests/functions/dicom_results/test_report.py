"""The content of the report, item by item, and its header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from functions.dicom_results.stage import Kind
from tests.functions.dicom_results.studies import SERIES, dataset, made, read


def items(of: Dataset, depth: int = 0) -> Iterator[tuple[int, str, str, str]]:
    """Yield depth, relationship, concept and value of each content item below one."""
    for item in of.ContentSequence:
        name = item.ConceptNameCodeSequence[0]
        yield depth, item.RelationshipType, f"{name.CodeValue} {name.CodingSchemeDesignator}", value_of(item)
        if "ContentSequence" in item:
            yield from items(item, depth + 1)


def value_of(item: Dataset) -> str:
    match item.ValueType:
        case "CODE":
            code = item.ConceptCodeSequence[0]
            return f"{code.get('CodeValue') or code.LongCodeValue} {code.CodingSchemeDesignator} {code.CodeMeaning}"
        case "NUM":
            measured = item.MeasuredValueSequence[0]
            return f"{float(measured.NumericValue)} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
        case "IMAGE":
            return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        case "TEXT":
            return str(item.TextValue)
        case "UIDREF":
            return "2.25." if str(item.UID).startswith("2.25.") else str(item.UID)
    return str(item.ValueType)


@pytest.fixture(scope="module")
def sr() -> Dataset:
    return dataset(made(kinds=(Kind.SR,))["sr"])


def test_the_report_is_about_the_imaging_procedure_by_a_device(sr: Dataset) -> None:
    assert sr.SOPClassUID == Comprehensive3DSRStorage
    assert sr.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    top = [(concept, value) for depth, _, concept, value in items(sr) if depth == 0]
    assert top == [
        ("121049 DCM", "en-US RFC5646 English (United States)"),
        ("121005 DCM", "121007 DCM Device"),
        ("121012 DCM", "2.25."),
        ("121013 DCM", "wetread"),
        ("121014 DCM", "wetread project"),
        ("121015 DCM", "chest-ct"),
        ("121016 DCM", "7"),
        ("121058 DCM", "25045-6 LN CT unspecified body region"),
        ("111028 DCM", "CONTAINER"),
        ("126010 DCM", "CONTAINER"),
    ]


def test_the_image_library_has_the_evidence_and_no_other_slice(sr: Dataset) -> None:
    (library,) = [one for one in sr.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "111028"]
    images = [value for _, _, concept, value in items(library) if concept == "260753009 SCT"]
    assert images == [f"{SERIES[0]}.{n}" for n in (1, 2, 3)] + [f"{SERIES[1]}.{n}" for n in (3, 4, 5)]


def test_a_group_says_which_class_how_sure_by_what_and_from_where(sr: Dataset) -> None:
    (group,) = [one for one in groups(sr) if ("112039 DCM", "study: covid") in concepts(one)]
    evidence = [f"{SERIES[1]}.{n}" for n in (3, 4, 5)]
    assert [(depth, relation, concept, value) for depth, relation, concept, value in items(group)] == [
        (0, "HAS OBS CONTEXT", "112039 DCM", "study: covid"),
        (0, "HAS OBS CONTEXT", "112040 DCM", "2.25."),
        (0, "CONTAINS", "121071 DCM", "covid 99WETREAD covid"),
        (0, "HAS CONCEPT MOD", "111001 DCM", "chest-ct"),
        (0, "HAS CONCEPT MOD", "111003 DCM", "7"),
        (0, "HAS CONCEPT MOD", "111002 DCM", "aggregation=top_mean k=3"),
        (0, "HAS CONCEPT MOD", "111002 DCM", f"WeightsSHA256={'ab' * 32}"),
        (0, "HAS CONCEPT MOD", "111002 DCM", "Form=openvino-fp32"),
        (0, "HAS CONCEPT MOD", "111002 DCM", "Revision=1"),
        (0, "HAS CONCEPT MOD", "111002 DCM", "AI result for research, not verified by a person"),
        (0, "HAS CONCEPT MOD", "111000 DCM", "123110 DCM Artificial Intelligence"),
        (0, "CONTAINS", "111012 DCM", "91.0 %"),
        *((1, "INFERRED FROM", "121112 DCM", one) for one in evidence),
        *((0, "CONTAINS", "121112 DCM", one) for one in evidence),
    ]


def test_every_class_of_the_study_and_of_each_series_has_a_group(sr: Dataset) -> None:
    tracked = [value for one in groups(sr) for concept, value in concepts(one) if concept == "112039 DCM"]
    labels = ("normal", "cap", "covid")
    assert tracked == [f"{where}: {label}" for where in ("study", "series 301", "series 302") for label in labels]


def test_a_score_of_zero_is_written(sr: Dataset) -> None:
    (group,) = [one for one in groups(sr) if ("112039 DCM", "study: cap") in concepts(one)]
    assert ("111012 DCM", "0.0 %") in concepts(group)


def test_a_class_has_the_code_of_the_stage_or_a_private_one(sr: Dataset) -> None:
    findings = {value for one in groups(sr) for concept, value in concepts(one) if concept == "121071 DCM"}
    assert findings == {"17621005 SCT Normal", "cap 99WETREAD cap", "covid 99WETREAD covid"}
    assert [one.CodingSchemeDesignator for one in sr.CodingSchemeIdentificationSequence] == ["99WETREAD"]


def test_a_long_label_is_a_long_code_value() -> None:
    label = "ground glass opacity"
    findings = tuple(replace(one, label=label) for one in read().findings)
    found = dataset(made(kinds=(Kind.SR,), findings=findings)["sr"])
    assert ("121071 DCM", f"{label} 99WETREAD {label}") in concepts(groups(found)[0])


def test_the_report_is_never_final(sr: Dataset) -> None:
    assert (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in sr
    assert dataset(made(kinds=(Kind.SR,), forced=True)["sr"]).CompletionFlag == "PARTIAL"


def test_cautions_are_in_words_at_the_study_s_groups() -> None:
    found = dataset(made(kinds=(Kind.SR,), cautions=("Gaps", "Novel"))["sr"])
    comments = [[value for concept, value in concepts(one) if concept == "121106 DCM"] for one in groups(found)]
    said = ["Slices of a series are missing, by their numbers.", "Caution: Novel."]
    assert comments == [said] * 3 + [[]] * 6


def test_every_slice_that_was_read_is_evidence(sr: Dataset) -> None:
    (study,) = sr.CurrentRequestedProcedureEvidenceSequence
    assert [len(one.ReferencedSOPSequence) for one in study.ReferencedSeriesSequence] == [6, 6]


def test_a_revision_names_the_last_delivered_one_before_it(sr: Dataset) -> None:
    assert "PredecessorDocumentsSequence" not in sr
    third = dataset(made(kinds=(Kind.SR,), revision=3, predecessor=1)["sr"])
    (series,) = third.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.SeriesInstanceUID == sr.SeriesInstanceUID == third.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sr.SOPInstanceUID
    assert third.InstanceNumber == 3


def test_tracking_uids_are_the_same_in_every_revision(sr: Dataset) -> None:
    later = dataset(made(kinds=(Kind.SR,), revision=2)["sr"])
    assert [tracking(one) for one in groups(sr)] == [tracking(one) for one in groups(later)]
    assert len({tracking(one) for one in groups(sr)}) == 9


def groups(sr: Dataset) -> list[Dataset]:
    return list(sr.ContentSequence[-1].ContentSequence)


def concepts(group: Dataset) -> list[tuple[str, str]]:
    return [(concept, value) for _, _, concept, value in items(group)]


def tracking(group: Dataset) -> str:
    return next(str(one.UID) for one in group.ContentSequence if one.ValueType == "UIDREF")
