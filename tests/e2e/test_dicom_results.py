"""A stage that asks for DICOM results: studies end with objects that archives take, and one with a code."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from functions.aws.deliveries import Deliveries, Delivery
from functions.dicom_results.refused import NoResultsCode
from functions.names import DICOM_RESULTS
from tests.e2e.conftest import Service, running
from tests.phi_leak import with_elements
from tests.training import with_thresholds
from wetread.demo.phantoms import LABELS, phantom_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SLICES = 3
ILL = LABELS[1:]
WAIT = 240  # seconds: a job, the quiet time, a sweep, and the delay of the request


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    settings = {"dicom_results": ["sr", "card", "keys", "heat"], "label_codes": {"covid": "840539006 SCT COVID-19"}}
    # The model of the tests was hardly trained: with these thresholds each study has lesions by it.
    alarmed = with_thresholds(artifact, tmp_path_factory.mktemp("alarmed"), **dict.fromkeys(ILL, 0.01))
    with running(tmp_path_factory.mktemp("results"), alarmed, settings=settings) as service:
        yield service


def slices(patient: int, **elements: str) -> list[bytes]:
    """Return the slices of one phantom study, with these values of elements."""
    bodies = [phantom_bytes(LABELS[patient], 300 + patient, n, size=96, seed=17) for n in range(SLICES)]
    return [with_elements(body, elements) if elements else body for body in bodies]


def delivered(service: Service, study: str) -> Delivery:
    """Wait until something became of the first revision of a study's results."""
    deliveries = Deliveries(service.connection.dynamodb, service.connection.deployment.studies_table_name)
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        if found := deliveries.of_study(study):
            return found[0]
        time.sleep(1)
    pytest.fail("no results were made")


def result(service: Service, key: str) -> Dataset:
    bucket = service.connection.deployment.results_bucket_name
    return dcmread(io.BytesIO(service.connection.s3.get_object(Bucket=bucket, Key=key)["Body"].read()))


def test_a_closed_study_has_its_results_and_a_repaired_one_a_code(asked: Service) -> None:
    good, repaired = slices(0), slices(1, SOPInstanceUID="")
    rows = asked.rows(asked.put_all({f"{n}.dcm": body for n, body in enumerate([*good, *repaired])}))
    study, other = (str(rows[f"{n}.dcm"].study_instance_uid) for n in (0, SLICES))
    delivery = delivered(asked, study)
    assert delivery.code == ""
    assert delivery.keys.keys() >= {"sr", "card", "keys"}
    assert all(key.startswith(DICOM_RESULTS) for key in delivery.keys.values())
    source = dcmread(io.BytesIO(good[0]))
    for key in delivery.keys.values():
        made = result(asked, key)
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert (made.PatientID, made.PatientName) == (source.PatientID, source.PatientName)
    report = result(asked, delivery.keys["sr"])
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    referenced = [one for series in evidence.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    assert {one.ReferencedSOPInstanceUID for one in referenced} == {
        dcmread(io.BytesIO(body)).SOPInstanceUID for body in good
    }
    refused = delivered(asked, other)
    assert (refused.code, refused.keys) == (NoResultsCode.REPAIRED_IDENTITY, {})


def test_a_study_with_lesions_has_heat_pictures_which_are_saved(asked: Service, tmp_path: Path) -> None:
    bodies = {f"lesions/{n}.dcm": body for n, body in enumerate(slices(2))}
    rows = asked.rows(asked.put_all(bodies))
    (study,) = {str(row.study_instance_uid) for row in rows.values()}
    delivery = delivered(asked, study)
    pictures = [name for name in delivery.keys if name.startswith("heat-")]
    assert (pictures, delivery.undrawn) == (["heat-1", "heat-2", "heat-3"], {})
    sources = {dcmread(io.BytesIO(body)).SOPInstanceUID for body in bodies.values()}
    made = [result(asked, delivery.keys[name]) for name in pictures]
    assert {one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in made} == sources
    saved = asked.command("studies", study, "--save", str(tmp_path))
    assert saved.returncode == 0, saved.stderr
    for one, name in zip(made, pictures, strict=True):
        assert dcmread(tmp_path / f"study-{study}-000001-{name}.dcm").SOPInstanceUID == one.SOPInstanceUID
