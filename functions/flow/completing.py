"""Takes in senders' markers: objects that say what a study has, by which its read need not wait for quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from functions.aws.events import ObjectCreated
from functions.aws.objects import Uploads
from functions.aws.patients import Patients
from functions.aws.studies import Studies
from functions.domain import marker
from functions.domain.row import moment_of, timestamp


@dataclass(frozen=True, kw_only=True)
class Completing:
    """Reads markers. One that is taken is no upload, so it has no row; its study says that it came."""

    uploads: Uploads
    studies: Studies
    patients: Patients
    study_quiet_seconds: int
    clock: Callable[[], datetime]

    def take(self, event: ObjectCreated) -> None:
        """Keep the marker of the event's object version; raise Refusal if it is none, or S3 does not give it."""
        body = self.uploads.head(event.key, event.version_id, marker.MOST_BYTES + 1) if event.size else b""
        found = marker.parse(body, self.patients.uuid_of)
        self.studies.mark(found, timestamp(moment_of(event.time)), self.clock(), self.study_quiet_seconds)
