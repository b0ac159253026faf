"""Announces each revision of a study at least once, in their order, from what the study's state says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.aws.announcements import Announcements
from functions.aws.studies import Studies
from functions.aws.trouble import loggable
from functions.domain import layout
from functions.domain.study import Study

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 20  # after which no further study is begun: EventBridge may not answer, and others wait to be closed


@dataclass(frozen=True, kw_only=True)
class Announcing:
    """Announces the revisions of one stage's studies. A revision is written before: an event leads to its document."""

    studies: Studies
    announcements: Announcements
    clock: Callable[[], datetime]

    def run(self, shards: Collection[int] | None = None) -> int:
        """Announce what is closed and not announced, the oldest first, of all studies or of some shards.

        Return how many studies failed.
        """
        failures, until = 0, self.clock() + timedelta(seconds=ANNOUNCE_SECONDS)
        for hint in sorted(self.studies.unannounced(shards), key=lambda one: (one.due_at, one.study_instance_uid)):
            if self.clock() > until:
                logger.error("studies left to be announced by the next sweep")
                return failures + 1
            try:
                self.announce(hint.study_instance_uid)
            except Exception as error:  # one study must not keep the others from being announced
                name = layout.study_prefix(hint.study_instance_uid)
                logger.error("study not announced", extra={"study": name, **loggable(error)})
                failures += 1
        return failures

    def announce(self, study_instance_uid: str) -> None:
        """Announce the revisions of a study that are not announced yet."""
        study = self.studies.get(study_instance_uid)
        if study is None:
            return
        if study.announced < study.revision:
            revisions = [one for one in self.studies.revisions(study_instance_uid) if _is_due(one.number, study)]
            self.announcements.send(revisions)
        self.studies.note_announced(study)


def _is_due(number: int, study: Study) -> bool:
    return study.announced < number <= study.revision
