"""From an "Object Created" event to a row: Pending, or Refused with its reason, or for a while Received.

Every upload gets a row within minutes, whatever its object does. An object that S3 refuses for good is refused at once.
AWS trouble (`functions.aws.trouble`) leaves the row Received and is retried. The last delivery ends the row as HeldUp,
which a later try takes up again. An unexpected error counts as a failed try, and so does a try without an end (the
function was killed at its memory or time limit). After MOST_TRIES of them the row is Refused as IngestFailed, and the
object is not read again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
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
from functions.aws.studies import Studies
from functions.aws.trouble import is_trouble, name_of
from functions.domain import instance as instances
from functions.domain import layout, marker
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import header_of, start_of
from functions.domain.instance import Instance, Served
from functions.domain.member import is_member
from functions.domain.row import Row, Status, expiry, moment_of, timestamp
from untrusted.header import Header
from untrusted.image_type import ORIGINAL

LONGEST_WAIT_DAYS = 90  # the pinned copy of an upload expires then, read or not
MOST_TRIES = 3  # to read one object; AWS trouble does not count
LAST_DELIVERY = 50  # of a message before it is a dead letter (infra/ingest.py)


@dataclass(frozen=True, kw_only=True)
class Ingesting:
    """Ingests uploads. Pixels are never read; S3 itself copies them."""

    uploads: Uploads
    index: Index
    patients: Patients
    studies: Studies
    served: Served
    study_quiet_seconds: int
    clock: Callable[[], datetime]
    keys: Keys | None = None  # where the stage hides keys
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def take(self, event: ObjectCreated, *, delivery: int = 1) -> Row:
        """Return the row of the event's object version, which exists already or is written now, and is in its study.

        ``delivery`` counts SQS's deliveries of the message. An error propagates, so that SQS delivers the message
        again, until the tries are used, or keeps it as a dead letter. A repeated event finds the row and changes
        nothing of it, unless the row is HeldUp. It adds the row to its study again, since a function may have died
        between these two writes. Call ``touch`` for the rows of an invocation.
        """
        known = self.index.get(layout.upload_id(event.key, event.version_id))
        if known and not known.awaits_ingest:
            if is_member(known):
                self.studies.add_known(known, self.index.table, self.clock())
            return known
        row = self._taken(event, known, delivery)
        if is_member(row):
            self.studies.add_member(row, self.clock())
        return row

    def touch(self, rows: Iterable[Row]) -> None:
        """Open the studies of rows that were taken in: once for each study of an invocation, after its members."""
        for study in sorted({row.study_instance_uid or "" for row in rows if is_member(row)}):
            self.studies.arrived(study, self.clock(), self.study_quiet_seconds)

    def _taken(self, event: ObjectCreated, known: Row | None, delivery: int) -> Row:
        tries = known.attempt if known else 0
        if tries >= MOST_TRIES:
            return self._written(self._given_up(event, known.code if known else None))
        if delivery > 1:
            # Counted before the object is read: a function that the object kills counts nothing afterwards.
            started = self._written(self._received(event, tries + 1, None))
            if started.status != Status.RECEIVED:
                return started
        try:
            return self._written(self._row(event))
        except Exception as error:
            ended = self._after_error(event, tries, error, delivery)
            if ended is None:
                raise
            return ended

    def _after_error(self, event: ObjectCreated, tries: int, error: Exception, delivery: int) -> Row | None:
        """Return the Refused row if the tries are used; else None, with the row Received, or HeldUp at the end."""
        tries += not is_trouble(error)
        if tries >= MOST_TRIES:
            return self._written(self._given_up(event, name_of(error)))
        after = self._held_up if delivery >= LAST_DELIVERY else self._received
        with suppress(ClientError, BotoCoreError):  # the first error is the one to raise
            self._written(after(event, tries, name_of(error)))
        return None

    def _written(self, row: Row) -> Row:
        """Write the row and return it, or return the row that another delivery has written before."""
        if self.index.put_new(row):
            return row
        known = self.index.get_many([row.upload_id])[row.upload_id]
        if known.status == Status.ERASED:  # while this delivery read the object: delete what it has written meanwhile
            self.uploads.unpin(row.instance_name)
            if self.keys:
                self.keys.forget(row.upload_id)
        return known

    def _received(self, event: ObjectCreated, tries: int, error: str | None) -> Row:
        """Return the row of an upload that is retried after ``tries`` counted ones; the last ended with ``error``."""
        what = f"ended with {error}" if error else "has begun"
        reason = f"The object could not be taken in at once; it is tried again. The last try {what}."
        return Row(**self._base(event), status=Status.RECEIVED, attempt=tries, code=error, reason=reason)

    def _given_up(self, event: ObjectCreated, error: str | None) -> Row:
        """Return the row of an upload that cannot be ingested; without an ``error`` its last try was cut off."""
        how = f"the last ended with {error}" if error else "the last was cut off at the function's memory or time limit"
        reason = f"The object could not be taken in, in {MOST_TRIES} tries; {how}. Upload it again, or report it."
        base = self._base(event) | {"expires_at": expiry(self.clock(), self.kept_days)}
        return Row(**base, status=Status.REFUSED, code=RefusalCode.INGEST_FAILED, reason=reason)

    def _held_up(self, event: ObjectCreated, tries: int, error: str) -> Row:
        """Return the row of an upload whose message becomes a dead letter. ``tries`` are those that counted."""
        reason = (
            f"AWS has not let the object be taken in, in {LAST_DELIVERY} tries; the last ended with {error}. Its "
            "message is a dead letter: remove the cause, then redrive it."
        )
        base = self._base(event) | {"expires_at": expiry(self.clock(), self.kept_days)}
        return Row(**base, status=Status.REFUSED, code=RefusalCode.HELD_UP, attempt=tries, reason=reason)

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
            if event.key.endswith(marker.SUFFIX):
                return self._marker(event, base)
            instances.check_size(event.size, self.served)
            header = header_of(head, event.size)
            instance = instances.describe(header, self.patients.uuid_of)
            patient_hash = self.patients.hash_of(instance.patient_id, instance.issuer_of_patient_id)
            base |= _attributes(instance) | {"patient_hash": patient_hash}
            base["notes"] = instances.check(instance, self.served)
            sha256 = self.uploads.pin(event.key, event.version_id, layout.instance_name(base["upload_id"]))
            base |= _attributes(instances.identified(instance, sha256)) | {"content_sha256": sha256}
        except Refusal as refusal:
            if "patient_hash" not in base:
                too_large = refusal.code == RefusalCode.TOO_LARGE
                base |= self._patient_of(start_of(head, event.size) if too_large else refusal.header)
            base |= {"code": refusal.code, "reason": refusal.reason}
            base["expires_at"] = expiry(self.clock(), self.kept_days)
            return Row(**base, status=Status.REFUSED)
        return Row(**base, status=Status.PENDING)

    def _marker(self, event: ObjectCreated, base: dict[str, Any]) -> Row:
        """Keep a sender's marker and return its row; raise Refusal if the object is none.

        Kept first: a repeated event finds the row, and does not read the object again.
        """
        body = self.uploads.head(event.key, event.version_id, marker.MOST_BYTES + 1) if event.size else b""
        found = marker.parse(body, self.patients.uuid_of)
        self.studies.mark(found, base["received_at"], self.clock(), self.study_quiet_seconds)
        expires = expiry(self.clock(), self.kept_days)
        return Row(**base, status=Status.MARKER, study_instance_uid=found.study_instance_uid, expires_at=expires)

    def _patient_of(self, header: Header | None) -> dict[str, Any]:
        """Return patient, study, series, instance and class of a refused object.

        By them queries and erasures find its row, and a sender's marker that names it is satisfied.
        """
        if header is None:
            return {}
        seen = instances.describe(header, self.patients.uuid_of)
        return {
            "patient_hash": self.patients.hash_of(seen.patient_id, seen.issuer_of_patient_id),
            "study_instance_uid": seen.study_instance_uid or None,
            "series_instance_uid": seen.series_instance_uid or None,
            "sop_instance_uid": seen.sop_instance_uid or None,
            "sop_class_uid": seen.sop_class_uid or None,
        }

    def _key(self, event: ObjectCreated, upload_id: str) -> str:
        """Return the key for the row. A hidden key is kept until the row has expired, also after the longest wait."""
        if self.keys is None:
            return event.key
        days = self.kept_days and self.kept_days + LONGEST_WAIT_DAYS
        return self.keys.hide(upload_id, event.key, expiry(self.clock(), days))


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
        "picture_type": _picture_type(instance),
        **dataclasses.asdict(instance.place),
        "repairs": instance.repairs,
    }


def _picture_type(instance: Instance) -> str | None:
    """Return what ImageType says of a CT object's picture; None for an original one, as most are."""
    kind = instance.picture.image_type if instance.picture else ORIGINAL
    return None if kind == ORIGINAL else kind
