"""From an "Object Created" event to a row: Pending, or Refused with its reason, or for a while Received.

Every upload gets a row within minutes, whatever its object does. What S3 refuses for good is refused at once. AWS's
trouble (`functions.aws.trouble`) leaves the row Received and is tried again. An error that nobody foresaw, and a try
that ended without any answer (the function was killed at its memory or time limit), count: after MOST_TRIES of them the
row is Refused as IngestFailed, and the object is not touched again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.events import ObjectCreated
from functions.aws.index import Index
from functions.aws.keys import Keys
from functions.aws.objects import Uploads
from functions.aws.patients import Patients
from functions.aws.trouble import is_trouble, name_of
from functions.domain import instance as instances
from functions.domain import layout
from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from functions.domain.header import Header, read_header
from functions.domain.instance import Instance, Served
from functions.domain.row import Row, Status, expiry, moment_of, timestamp

FIRST_READ = 64 * 1024  # holds the whole header of an ordinary object
LONGEST_WAIT_DAYS = 90  # the pinned copy of an upload expires then, read or not
LONGEST_READ = 8 * 1024 * 1024
MOST_TRIES = 3  # to read one object, that ended by its own doing or without an answer


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Takes uploads in; pixels are never read, only copied by S3 itself."""

    uploads: Uploads
    index: Index
    patients: Patients
    served: Served
    clock: Callable[[], datetime]
    keys: Keys | None = None  # where the stage hides keys
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def take(self, event: ObjectCreated, *, delivery: int = 1) -> Row:
        """The row of the event's object version: as it is already, or newly written.

        ``delivery`` is how often SQS has given the message. An error propagates, so that the message comes again,
        until the tries are used. A repeated event finds the row and changes nothing.
        """
        upload_id = layout.upload_id(event.key, event.version_id)
        known = self.index.get(upload_id)
        if known and known.status != Status.RECEIVED:
            return known
        tries = known.attempt if known else 0
        if tries >= MOST_TRIES:
            return self._written(self._given_up(event, known.code if known else None))
        if delivery > 1:
            # Counted before the object is touched: a function that is killed by it counts nothing afterwards.
            started = self._written(self._received(event, tries + 1, None))
            if started.status != Status.RECEIVED:
                return started
        try:
            return self._written(self._row(event))
        except Exception as error:
            ended = self._untaken(event, tries, error)
            if ended is None:
                raise
            return ended

    def _untaken(self, event: ObjectCreated, tries: int, error: Exception) -> Row | None:
        """After an error, the row of an upload whose tries are used; None, and a row that is Received, while not."""
        tries += not is_trouble(error)
        if tries >= MOST_TRIES:
            return self._written(self._given_up(event, name_of(error)))
        with suppress(ClientError, BotoCoreError):  # the error that is told is the first one
            self._written(self._received(event, tries, name_of(error)))
        return None

    def _written(self, row: Row) -> Row:
        """The row, now in the index; or the one that another delivery has written there before."""
        if self.index.put_new(row):
            return row
        known = self.index.get_many([row.upload_id])[row.upload_id]
        if known.status == Status.ERASED:  # while this read the object: what it has written meanwhile goes too
            self.uploads.unpin(row.instance_name)
            if self.keys:
                self.keys.forget(row.upload_id)
        return known

    def _received(self, event: ObjectCreated, tries: int, error: str | None) -> Row:
        """The row of an upload that is tried again: ``tries`` have been counted, the last ended with ``error``."""
        what = f"ended with {error}" if error else "has begun"
        reason = f"The object could not be taken in at once; it is tried again. The last try {what}."
        return Row(**self._base(event), status=Status.RECEIVED, attempt=tries, code=error, reason=reason)

    def _given_up(self, event: ObjectCreated, error: str | None) -> Row:
        """The row of an upload that the service cannot take in; without an ``error`` its last try was cut off."""
        how = f"the last ended with {error}" if error else "the last was cut off at the function's memory or time limit"
        reason = f"The object could not be taken in, in {MOST_TRIES} tries; {how}. Upload it again, or report it."
        base = self._base(event) | {"expires_at": expiry(self.clock(), self.kept_days)}
        return Row(**base, status=Status.REFUSED, code=RefusalCode.INGEST_FAILED, reason=reason)

    def _base(self, event: ObjectCreated) -> dict[str, Any]:
        upload_id = layout.upload_id(event.key, event.version_id)
        return {
            "upload_id": upload_id,
            "key": self._key(event, upload_id),
            "version_id": event.version_id,
            "size": event.size,
            "sequencer": event.sequencer,
            "received_at": timestamp(moment_of(event.time)),
            "updated_at": timestamp(self.clock()),
        }

    def _row(self, event: ObjectCreated) -> Row:
        base = self._base(event)

        def head(length: int) -> bytes:
            return self.uploads.head(event.key, event.version_id, length)

        try:
            instances.check_size(event.size, self.served)
            header = header_of(head, event.size)
            instance = instances.describe(header, self.patients.uuid_of)
            patient_hash = self.patients.hash_of(instance.patient_id, instance.issuer_of_patient_id)
            base |= _attributes(instance) | {"patient_hash": patient_hash}
            instances.check(instance, self.served)
            sha256 = self.uploads.pin(event.key, event.version_id, layout.instance_name(base["upload_id"]))
            base |= _attributes(instances.identified(instance, sha256)) | {"content_sha256": sha256}
        except Refusal as refusal:
            if "patient_hash" not in base:
                too_large = refusal.code == RefusalCode.TOO_LARGE
                base |= self._whose(start_of(head, event.size) if too_large else refusal.header)
            base |= {"code": refusal.code, "reason": refusal.reason}
            base["expires_at"] = expiry(self.clock(), self.kept_days)
            return Row(**base, status=Status.REFUSED)
        return Row(**base, status=Status.PENDING)

    def _whose(self, header: Header | None) -> dict[str, Any]:
        """What a row of an object that is not read says of whom it is, so that it is found with all else of them."""
        if header is None:
            return {}
        seen = instances.describe(header, self.patients.uuid_of)
        return {
            "patient_hash": self.patients.hash_of(seen.patient_id, seen.issuer_of_patient_id),
            "study_instance_uid": seen.study_instance_uid or None,
            "series_instance_uid": seen.series_instance_uid or None,
        }

    def _key(self, event: ObjectCreated, upload_id: str) -> str:
        """The key as the row has it. A hidden one is kept until the row has expired, however long that waits."""
        if self.keys is None:
            return event.key
        days = self.kept_days and self.kept_days + LONGEST_WAIT_DAYS
        return self.keys.hide(upload_id, event.key, expiry(self.clock(), days))


def header_of(head: Callable[[int], bytes], object_bytes: int) -> Header:
    """The header of an object of ``object_bytes`` bytes; ``head(n)`` gives its first n bytes.

    A header that is longer than FIRST_READ is read once more, with all that one may have: each reading walks it from
    its beginning, so that more of them would multiply what a hostile one costs. Raises Refusal for what is no readable
    DICOM object, and whatever ``head`` raises.
    """
    with suppress(HeaderIncomplete):
        return read_header(head(FIRST_READ), object_bytes)
    try:
        return read_header(head(LONGEST_READ), object_bytes)
    except HeaderIncomplete as error:
        refusal = Refusal(
            RefusalCode.HEADER_TOO_LONG,
            f"The header is longer than {LONGEST_READ} bytes; remove embedded documents from it.",
        )
        refusal.header = error.header
        raise refusal from None


def start_of(head: Callable[[int], bytes], object_bytes: int) -> Header | None:
    """What the first FIRST_READ bytes of an object say in their header; None for one that S3 does not give."""
    try:
        return read_header(head(FIRST_READ), object_bytes)
    except (Refusal, HeaderIncomplete) as error:
        return error.header


def _attributes(instance: Instance) -> dict[str, Any]:
    return {
        "study_instance_uid": instance.study_instance_uid or None,
        "series_instance_uid": instance.series_instance_uid or None,
        "sop_instance_uid": instance.sop_instance_uid or None,
        "sop_class_uid": instance.sop_class_uid or None,
        "modality": instance.modality or None,
        "transfer_syntax_uid": instance.transfer_syntax_uid or None,
        "rows": instance.rows or None,
        "columns": instance.columns or None,
        "repairs": instance.repairs,
    }
