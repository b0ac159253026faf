"""A patient is hashed by KMS once, however many slices come; an empty PatientID is nobody."""

from __future__ import annotations

import pytest

from functions.aws import patients
from functions.aws.patients import Patients
from tests.fakes.services import FakeKMS


def test_the_slices_of_one_patient_cost_one_request() -> None:
    kms = FakeKMS()
    hashes = Patients(kms, "key")  # type: ignore[arg-type]
    first = [hashes.hash_of("P-7") for _ in range(100)]
    assert len(set(first)) == 1
    assert kms.macs == 1
    assert hashes.hash_of("P-8") not in first
    assert kms.macs == 2


def test_an_empty_patient_id_is_not_hashed() -> None:
    kms = FakeKMS()
    assert Patients(kms, "key").hash_of("") is None  # type: ignore[arg-type]
    assert kms.macs == 0


def test_no_more_patients_are_remembered_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patients, "REMEMBERED", 2)
    kms = FakeKMS()
    hashes = Patients(kms, "key")  # type: ignore[arg-type]
    for name in ("P-1", "P-2", "P-3", "P-1"):
        hashes.hash_of(name)
    assert kms.macs == 4
