"""The uploaded objects of rows: their headers, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from functions.aws.keys import HIDDEN, HiddenKeys
from functions.aws.objects import Uploads
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import header_of
from functions.domain.row import Row
from untrusted.header import Header


@dataclass(frozen=True, kw_only=True)
class Originals:
    """Reads what rows name. ``keys`` is None where object keys are not hidden."""

    uploads: Uploads
    keys: HiddenKeys | None

    def header(self, row: Row, wanted: Mapping[str, int]) -> Header:
        """Return the header of a row's object; raise Refusal if S3 or the reader refuses it for good."""
        key = self._key(row)
        return header_of(lambda length: self.uploads.head(key, row.version_id, length), row.size, wanted)

    def start(self, row: Row, length: int) -> bytes:
        """Return the first ``length`` bytes of a row's object; raise Refusal if S3 refuses it for good."""
        return self.uploads.head(self._key(row), row.version_id, length)

    def _key(self, row: Row) -> str:
        key = row.key
        if key.startswith(HIDDEN):
            key = (self.keys.reveal([row.upload_id]) if self.keys else {}).get(row.upload_id, "")
        if not key:
            raise Refusal(RefusalCode.OBJECT_GONE, "The object's key was erased.")
        return key
