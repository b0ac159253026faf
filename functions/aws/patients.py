"""The keyed hash of a patient: a KMS HMAC key computes it, so no function ever holds the key.

Identifiers that should be UIDs and are a number or a date may differ in each object, and a request for each would cost
as much as ingest itself. For them KMS computes one separate key, which the function keeps.

A PatientID is unique within its issuer (IssuerOfPatientID, DICOM PS3.3 C.7.1.1), so both are hashed: the "4711" of two
hospitals are two patients. A PatientID without an issuer keeps the hash from before issuers were read.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


REMEMBERED = 1000  # patients


class Patients:
    """Hashes PatientIDs. Within a stage the same id and issuer give the same hash.

    The slices of a study arrive together, so the hashes of the last patients are cached: one request for each patient,
    not for each slice.
    """

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id
        self._identifiers_key = functools.cache(self._make_identifiers_key)
        self._remembered = functools.lru_cache(maxsize=REMEMBERED)(self._mac)

    def hash_of(self, patient_id: str, issuer: str = "") -> str | None:
        """Return 32 hex digits for a PatientID of an issuer ("" if unknown); None for an empty PatientID."""
        if not patient_id:
            return None
        # Hashed first: a message has at most 4,096 bytes, and a PatientID may have any number. No PatientID can imitate
        # an issuer: with an issuer the message is two digests, without it one.
        return self._remembered(_digest(patient_id) + (_digest(issuer) if issuer else b""))

    def hash_of_study(self, study_instance_uid: str) -> str:
        """Return 32 hex digits for a StudyInstanceUID that a record must not repeat; never a patient's hash."""
        return self._remembered(b"study" + _digest(study_instance_uid))

    def hash_of_key(self, key: str) -> str:
        """Return 32 hex digits for an object key that a row must not repeat; never a patient's hash."""
        return self._mac(b"key" + _digest(key))

    def uuid_of(self, identifier: str) -> uuid.UUID:
        """Return the UUID (RFC 9562, version 8) of an identifier that is not a UID; one KMS request in all."""
        digest = bytearray(hmac.digest(self._identifiers_key(), identifier.encode(), "sha256")[:16])
        digest[6] = digest[6] & 0x0F | 0x80  # version 8
        digest[8] = digest[8] & 0x3F | 0x80  # the variant of the RFC
        return uuid.UUID(bytes=bytes(digest))

    def _make_identifiers_key(self) -> bytes:
        # Rows have half of each patient's hash, and nothing of this key.
        return self._whole_mac(b"key of identifiers that are no UIDs")

    def _mac(self, message: bytes) -> str:
        return self._whole_mac(message).hex()[:32]

    def _whole_mac(self, message: bytes) -> bytes:
        answer = self._client.generate_mac(KeyId=self._key_id, MacAlgorithm="HMAC_SHA_256", Message=message)
        return answer["Mac"]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
