"""The keyed hash that stands for a patient: a KMS HMAC key computes it, so no function ever holds the key."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


REMEMBERED = 1000  # patients


class Patients:
    """Hashes PatientIDs. The same id gives the same hash within a stage, and nothing outside it.

    The slices of a study come together, so the hashes of the last patients are remembered: one request each, not one
    a slice.
    """

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id
        self._remembered = functools.lru_cache(maxsize=REMEMBERED)(self._mac)

    def hash_of(self, patient_id: str) -> str | None:
        """32 hex digits for a PatientID; None for an empty one."""
        if not patient_id:
            return None
        # Hashed first, since a message has at most 4,096 bytes and a PatientID may have any number.
        return self._remembered(hashlib.sha256(patient_id.encode()).digest())

    def _mac(self, message: bytes) -> str:
        answer = self._client.generate_mac(KeyId=self._key_id, MacAlgorithm="HMAC_SHA_256", Message=message)
        return answer["Mac"].hex()[:32]
