"""KMS hashes a patient once, however many slices arrive; an empty PatientID has no hash."""

from __future__ import annotations

import hashlib
import uuid

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


def test_the_number_of_remembered_patients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patients, "REMEMBERED", 2)
    kms = FakeKMS()
    hashes = Patients(kms, "key")  # type: ignore[arg-type]
    for name in ("P-1", "P-2", "P-3", "P-1"):
        hashes.hash_of(name)
    assert kms.macs == 4


def test_one_id_of_two_issuers_is_two_patients_and_without_an_issuer_the_hash_is_as_it_was() -> None:
    kms = FakeKMS()
    hashes = Patients(kms, "key")  # type: ignore[arg-type]
    assert len({hashes.hash_of("4711"), hashes.hash_of("4711", "A"), hashes.hash_of("4711", "B")}) == 3
    as_before_issuers_were_read = kms.generate_mac(Message=hashlib.sha256(b"4711").digest())["Mac"].hex()[:32]
    assert hashes.hash_of("4711") == as_before_issuers_were_read


def test_all_identifiers_that_are_not_uids_cost_one_request() -> None:
    kms = FakeKMS()
    hashes = Patients(kms, "key")  # type: ignore[arg-type]
    found = {hashes.uuid_of(f"1.2.{number:03}") for number in range(100)}
    assert (len(found), kms.macs) == (100, 1)
    assert {(one.version, one.variant) for one in found} == {(8, uuid.RFC_4122)}
    assert hashes.uuid_of("1.2.000") in found
    assert Patients(FakeKMS(), "key").uuid_of("1.2.000") in found, "the same in each environment"  # type: ignore[arg-type]


def test_identifiers_have_other_uids_with_another_key() -> None:
    other = FakeKMS()
    other.generate_mac = lambda **request: {"Mac": hashlib.sha256(b"other" + request["Message"]).digest()}  # type: ignore[method-assign]
    one, another = (Patients(kms, "key").uuid_of("004711") for kms in (FakeKMS(), other))  # type: ignore[arg-type]
    assert one != another


def test_nothing_that_a_person_writes_imitates_another_patients_hash() -> None:
    hashes = Patients(FakeKMS(), "key")  # type: ignore[arg-type]
    pairs = [("4711", "A"), ("4711A", ""), ("4711\0A", ""), ("4711\\A", ""), ("A", "4711"), ("471", "1A")]
    assert len({hashes.hash_of(*pair) for pair in pairs}) == len(pairs)
    assert len({hashes.hash_of("1.2.3"), hashes.hash_of_study("1.2.3"), hashes.hash_of_key("1.2.3")}) == 3
