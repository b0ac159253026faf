"""The key object note names the slices to look at."""

from __future__ import annotations

import pytest
from pydicom.uid import KeyObjectSelectionDocumentStorage

from functions.dicom_results.making import withdrawal_of
from tests.functions.dicom_results.studies import SERIES, dataset, made, subject


@pytest.mark.parametrize("predicted", ["covid", "normal", None])
def test_the_note_names_the_slices_that_the_class_rests_on(predicted: str | None) -> None:
    found = dataset(made(predicted=predicted)["keys"])
    assert found.SOPClassUID == KeyObjectSelectionDocumentStorage
    assert found.ConceptNameCodeSequence[0].CodeValue == "113000"
    named = [one.ReferencedSOPSequence[0] for one in found.ContentSequence if one.ValueType == "IMAGE"]
    assert [one.ReferencedSOPInstanceUID for one in named] == [f"{SERIES[1]}.{n}" for n in (3, 4, 5)]
    (text,) = [
        one.TextValue for one in found.ContentSequence if one.ValueType == "TEXT" and "research" in one.TextValue
    ]
    assert text == f"AI result for research, not verified by a person: {predicted or 'no class'}, revision 1"


def test_the_note_is_evidence_of_nothing_else() -> None:
    (study,) = dataset(made()["keys"]).CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES[1]
    assert len(series.ReferencedSOPSequence) == 3


def test_the_note_that_rejects_refers_to_pictures_as_images_and_to_documents_as_composite_objects() -> None:
    names = ("sr", "card", "keys", "heat-1")
    found = dataset(withdrawal_of(subject(revision=2), dict.fromkeys(names, (1,))).body)
    referred = {
        one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID: one.ValueType
        for one in found.ContentSequence
        if "ReferencedSOPSequence" in one
    }
    uids = {name: str(dataset(body).SOPInstanceUID) for name, body in made().items()}
    assert {name: referred[uids[name]] for name in names} == {
        "sr": "COMPOSITE",
        "card": "IMAGE",
        "keys": "COMPOSITE",
        "heat-1": "IMAGE",
    }


def test_only_the_references_of_a_note_have_no_concept_name() -> None:
    found = dataset(made()["keys"]).ContentSequence
    assert {one.ValueType: "ConceptNameCodeSequence" in one for one in found} == {
        "CODE": True,
        "UIDREF": True,
        "TEXT": True,
        "IMAGE": False,
    }
