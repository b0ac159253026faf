"""UIDs of results: the same revision always gets the same ones, so that a retry makes the same objects.

They are UUIDs (PS3.5 annex B.2) made by hashing: an archive that has an object already takes it as stored.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

UUID_ROOT = "2.25."


@dataclass(frozen=True)
class Identifiers:
    """Makes UIDs for one stage. ``stage`` is a text that no other stage has, the name of its results bucket, say."""

    stage: str

    def series(self, kind: str, study_uid: str) -> str:
        """Return the SeriesInstanceUID of one kind of result: all revisions are instances of one series."""
        return self._uid("series", kind, study_uid)

    def instance(self, name: str, study_uid: str, revision: int) -> str:
        """Return the SOPInstanceUID of the result of this name of one revision, which never changes."""
        return self._uid("instance", name, study_uid, str(revision))

    def device(self, model_package: str) -> str:
        """Return the UID of a model version as a device: another one after each retraining."""
        return self._uid("device", model_package)

    def tracking(self, study_uid: str, series_uid: str, label: str) -> str:
        """Return the Tracking Unique Identifier of a finding, the same in each revision."""
        return self._uid("tracking", study_uid, series_uid, label)

    def _uid(self, *parts: str) -> str:
        # NUL is in no part, so different parts never make the same text.
        return f"{UUID_ROOT}{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join(('wetread', self.stage, *parts))).int}"
