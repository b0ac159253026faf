"""DICOM results have the patient's name: an erasure takes them, with what says that they were made."""

from __future__ import annotations

import pytest

from functions.aws.deliveries import Deliveries, Delivery
from functions.domain import layout
from tests.fakes.world import RESULTS
from tests.wetread.erasure.clinic import OTHERS, THEIRS, subject_of, traces, two_patients


@pytest.mark.parametrize("by_study", [False, True])
def test_dicom_results_go_with_their_studies_and_others_stay(*, by_study: bool) -> None:
    clinic = two_patients()
    deliveries = Deliveries(clinic.world.clients["dynamodb"], "studies")
    for study, patient in ((THEIRS, b"P-1"), (OTHERS, b"P-2")):
        key = layout.dicom_key(study, 1, "sr")
        clinic.world.s3.add_version(RESULTS, key, "old", patient)
        clinic.world.s3.add_version(RESULTS, key, "new", patient)
        deliveries.keep(study, Delivery(revision=1, keys={"sr": key}), clinic.world.time)
    clinic.erase(subject_of(clinic, by_study=by_study))
    assert deliveries.of_study(THEIRS) == []
    assert traces(clinic, layout.dicom_prefix(THEIRS)) == []
    assert [one.revision for one in deliveries.of_study(OTHERS)] == [1]
    assert {version for _, key, version in clinic.world.s3.versions if key.startswith("dicom/")} == {"old", "new"}
