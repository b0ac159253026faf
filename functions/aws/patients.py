"""The keyed hash that stands for a patient: a KMS HMAC key computes it, so no function ever holds the key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class Patients:
    """Hashes PatientIDs. The same id gives the same hash within a stage, and nothing outside it."""

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def hash_of(self, patient_id: str) -> str | None:
        """32 hex digits for a PatientID; None for an empty one."""
        if not patient_id:
            return None
        # Hashed first, since a message has at most 4,096 bytes and a PatientID may have any number.
        message = hashlib.sha256(patient_id.encode()).digest()
        answer = self._client.generate_mac(KeyId=self._key_id, MacAlgorithm="HMAC_SHA_256", Message=message)
        return answer["Mac"].hex()[:32]
