"""A bundle is one that FHIR's own classes take, says what the document says, and has no patient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from functions.domain.fhir import bundle
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, SERIES, ReadingRoom

URI = "s3://results/studies/0a1b/000001-2c3d.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    room = ReadingRoom()
    room.deliver(*(room.send(n, LESION if n == 3 else None) for n in range(5)))
    room.read()
    room.sweep()
    return room.document()


def by_type(made: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in made["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def test_fhirs_own_classes_take_the_bundle(document: dict[str, Any]) -> None:
    assert len(Bundle.model_validate(bundle(document, URI)).entry) == 7


def test_a_study_without_an_answer_is_a_bundle_too(document: dict[str, Any]) -> None:
    none = {**document, "Class": None, "Code": "NothingRead", "Scores": {}, "Evidence": {}, "Model": None}
    made = bundle(none, URI)
    Bundle.model_validate(made)
    (report,) = by_type(made)["DiagnosticReport"]
    assert report["conclusion"].startswith("Revision 1: no class (NothingRead).")
    assert "result" not in report


def test_the_bundle_has_the_answer_its_scores_and_its_evidence(document: dict[str, Any]) -> None:
    found = by_type(bundle(document, URI))
    (report,), (study,) = found["DiagnosticReport"], found["ImagingStudy"]
    assert "Revision 1: " in report["conclusion"]
    assert "not a medical device" in report["conclusion"]
    scores = {one["code"]["text"]: one["valueQuantity"]["value"] for one in found["Observation"]}
    assert scores == {f"Score of the class {name}": round(100 * p, 4) for name, p in document["Scores"].items()}
    assert study["identifier"] == [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}]
    assert [one["uid"] for one in study["series"]] == [SERIES]
    assert f"{SERIES}.3" in [one["uid"] for one in study["series"][0]["instance"]]


def test_all_is_preliminary(document: dict[str, Any]) -> None:
    found = by_type(bundle(document, URI))
    assert {one["status"] for one in (*found["Observation"], *found["DiagnosticReport"])} == {"preliminary"}


def test_every_reference_is_to_a_resource_of_the_bundle(document: dict[str, Any]) -> None:
    made = bundle(document, URI)
    urls = {entry["fullUrl"] for entry in made["entry"]}
    references = set(json.dumps(made).split('"reference": "')[1:])
    assert {one.partition('"')[0] for one in references} <= urls
    assert len(urls) == len(made["entry"])


def test_the_same_document_gives_the_same_bundle_and_another_revision_other_ids(document: dict[str, Any]) -> None:
    assert bundle(document, URI) == bundle(document, URI)
    other = bundle(document, URI.replace("000001", "000002"))
    assert not {one["fullUrl"] for one in other["entry"]} & {one["fullUrl"] for one in bundle(document, URI)["entry"]}


def test_a_revision_that_withdraws_another_says_so(document: dict[str, Any]) -> None:
    made = bundle({**document, "Withdraws": {"Revision": 1}}, URI)
    assert "Revision 1 is withdrawn." in by_type(made)["DiagnosticReport"][0]["conclusion"]
