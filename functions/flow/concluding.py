"""Closes studies: an answer of all members, once a study is quiet or its sender says that it is whole.

`functions.domain.study` has the states and their conditions. Members and rows are read strongly consistent and page by
page; the index of open studies only says where to look.
"""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aggregation.rule import Rule, loads
from aggregation.slices import Slice
from aggregation.study import StudyRead, read_study
from functions.aws.backlog import Backlog
from functions.aws.champion import Champions
from functions.aws.index import Index
from functions.aws.objects import Documents
from functions.aws.shards import shard_of
from functions.aws.studies import Studies
from functions.aws.study_items import Listed
from functions.aws.trouble import loggable
from functions.domain import fhir, layout, study_document
from functions.domain.marker import Marker
from functions.domain.member import Member, expired, member_of, packages, selected, withdrawn
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.domain.series import SeriesRule
from functions.domain.study import MOST_ROUNDS, CloseReason, Patience, State, Study
from functions.domain.study_document import MOST_ANSWERS, MOST_MEMBERS, Closed, Inputs
from functions.flow.announcing import Announcing
from functions.flow.rescoring import Rescoring
from functions.names import Metric

logger = logging.getLogger(__name__)

CONCLUDE_SECONDS = 50  # after which no further study is begun: the next sweep comes, and asks as many as this one did
# Studies that are looked at at once: as many as keep the function's share of a CPU busy (`benchmarks.control_plane`),
# and their largest fit its memory (tests/functions/flow/test_large_studies.py).
AT_ONCE = 4
HINTS_AT_ONCE = 10_000  # open studies that are read at once; all of them are in memory in the end
WRITERS = 6  # rows of a study that are requeued at once
MOST_AT_ONCE = 100  # rows that are requeued before the next ones are read
MOST_OF_A_ROUND = 5000  # rows that are requeued before the study waits for them: two minutes of the function's five


@dataclass(frozen=True)
class Concluded:
    """The result of a round: revisions made, what failed, and how long the oldest study has been open, in s."""

    revisions: int = 0
    failures: int = 0
    oldest_open_seconds: float = 0.0

    def metrics(self) -> dict[Metric, float]:
        """Return the same, as metrics."""
        return {Metric.STUDIES_READ: self.revisions, Metric.OLDEST_OPEN_STUDY_SECONDS: self.oldest_open_seconds}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The members of a study that have ended; ``overfull`` if there are more than are read."""

    members: Sequence[Member]
    overfull: bool = False


@dataclass(frozen=True, kw_only=True)
class Concluding:
    """Closes the studies of one stage. Safe when it runs twice at once, or dies anywhere."""

    studies: Studies
    index: Index
    champions: Champions
    results: Documents
    rescoring: Rescoring
    backlog: Backlog
    announcing: Announcing
    rule: SeriesRule
    patience: Patience
    clock: Callable[[], datetime]
    fhir_results: bool = False  # whether a FHIR bundle is written beside each document

    def waiting(self, shards: Collection[int] | None = None) -> list[Study]:
        """Return hints of the open studies, of all or of some shards, those that are due longest first."""
        return sorted(self.studies.open(shards, HINTS_AT_ONCE), key=lambda one: (one.due_at, one.study_instance_uid))

    def is_due(self, hint: Study) -> bool:
        """Return whether an open study is to be looked at now."""
        now = self.clock()
        return hint.is_due(now) or bool(hint.marked_at) or bool(hint.cut_off(now, self.patience))

    def run(self, shards: Collection[int] | None = None) -> Concluded:
        """Look at each open study once, at all or at those of some shards."""
        return self.look_at(self.waiting(shards), shards)

    def look_at(self, waiting: Sequence[Study], shards: Collection[int] | None = None) -> Concluded:
        """Look at each study that waits once, in this order; with ``shards``, at those of them alone."""
        began = self.clock()
        until = began + timedelta(seconds=CONCLUDE_SECONDS)
        behind = functools.cache(lambda: self.backlog.is_behind(self.patience.study_quiet_seconds))
        failures = self.announcing.run(shards)
        own = [one for one in waiting if shards is None or shard_of(one.study_instance_uid) in shards]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            closed = list(pool.map(lambda hint: self._try(hint, behind, until), own))
        revisions, failures = sum(map(bool, closed)), failures + closed.count(None)
        opened = [moment_of(one.opened_at) for one in waiting if one.opened_at]
        oldest = (began - min(opened)).total_seconds() if opened else 0.0
        return Concluded(revisions, failures, oldest)

    def _try(self, hint: Study, behind: Callable[[], bool], until: datetime) -> bool | None:
        """Look at a study, unless it is late; return whether that made a revision, None if it failed."""
        if self.clock() > until:
            return False
        try:
            return self._look_at(hint, behind)
        except Exception as error:  # one study must not keep the others open
            name = layout.study_prefix(hint.study_instance_uid)
            logger.error("study not closed", extra={"study": name, **loggable(error)})
            return None

    def _look_at(self, hint: Study, behind: Callable[[], bool]) -> bool:
        """Close a study if it can be closed now; return whether that made a revision."""
        if not self.is_due(hint):
            return False
        now = self.clock()
        study = self.studies.get(hint.study_instance_uid)
        if study is None or study.state != State.OPEN:
            return False
        if study.announced < study.revision:  # it was opened again, or stayed open, before it was announced
            self.announcing.announce(study.study_instance_uid)
        cut_off = study.cut_off(now, self.patience)
        if not (study.is_due(now) or cut_off or study.marked_at) or not self.studies.begin(study, now):
            return False
        found = self._ended(study, cut_off)
        if found is None:
            return False
        marker = self.studies.marker(study.study_instance_uid)
        if cut_off:
            reason = CloseReason.FORCED
        elif study.marked_at and marker and not marker.missing(found.members):
            reason = CloseReason.MARKER
        elif study.is_quiet(now) and not behind():  # what waits in our own queue is not late
            reason = CloseReason.QUIET
        else:
            return False
        return self._close(study, found, marker, reason, now)

    def _ended(self, study: Study, cut_off: str | None) -> Found | None:
        """Return the members, of those that were received by ``cut_off``; None if one has not ended."""
        members: list[Member] = []
        answers = 0
        for page in self.studies.members(study.study_instance_uid):
            listed = [one for one in page if cut_off is None or one.received_at <= cut_off]
            rows = self.index.get_many(one.upload_id for one in listed)
            if any(not row.status.terminal for row in rows.values()):
                return None
            further = list(self._members_of(study, listed, rows))
            members += further
            answers += sum(len(one.probabilities or ()) for one in further)
            if len(members) > MOST_MEMBERS or answers > MOST_ANSWERS:
                return Found(members=members[:MOST_MEMBERS], overfull=True)
        return Found(members=members)

    def _members_of(self, study: Study, listed: Iterable[Listed], rows: dict[str, Row]) -> Iterator[Member]:
        """Yield the members of a page. Those of erased uploads are deleted: one may have been written too late."""
        for one in listed:
            row = rows.get(one.upload_id)
            if row is None:
                yield expired(one.upload_id)
            elif row.status == Status.ERASED:
                self.studies.forget(study.study_instance_uid, one.item)
            else:
                yield member_of(row, self.rule)

    def _close(self, study: Study, found: Found, marker: Marker | None, reason: CloseReason, now: datetime) -> bool:
        if not found.members and not study.revision and reason != CloseReason.FORCED:
            self.studies.drop(study)
            return False
        members, conflicts = selected(self._valid(found.members), self.rule)
        if not found.overfull and self._read_again(study, members, now):
            return False
        model = packages(members)
        inputs = Inputs(
            members=members,
            conflicts=conflicts,
            marker=marker,
            rule=self._aggregation(model),
            series_rule=self.rule,
            overfull=found.overfull,
        )
        end = self.studies.cut if reason == CloseReason.FORCED else self.studies.close
        if not members or inputs.digest() == study.inputs:
            end(study, None, now)
            return False
        content = self._document(study, inputs, reason, now)
        key = layout.revision_key(study.study_instance_uid, content["Revision"], study_document.digest(content))
        if not self.results.write_once(key, content):
            content = self.results.read(key)  # of a closing that died before its last write: the same but for its time
        fhir_key = self._write_bundle(content, key) if self.fhir_results else ""
        if not end(study, study_document.revision_of(content, key, fhir_key), now):
            return False
        self.announcing.announce(study.study_instance_uid)
        return True

    def _valid(self, members: Sequence[Member]) -> list[Member]:
        """Return members with those as withdrawn that a withdrawn version has read, whether their rows are marked yet.

        Marking many rows takes a while, or begins minutes later where the rollback was cut off.
        """
        void = {package for package in packages(members) if self.champions.withdrawal(package)}
        return [withdrawn(one) if one.counts and one.model_package in void else one for one in members]

    def _write_bundle(self, content: Mapping[str, Any], key: str) -> str:
        """Write the FHIR bundle of a document, before its revision is there; return the bundle's key."""
        fhir_key = layout.fhir_key(key)
        self.results.write_once(fhir_key, fhir.bundle(content, layout.uri(self.results.bucket, key)))
        return fhir_key

    def _document(self, study: Study, inputs: Inputs, reason: CloseReason, now: datetime) -> dict[str, Any]:
        read = self._read(inputs) if inputs.readable else None
        previous = self._previous(study)
        closed = Closed(
            study=study,
            closed_at=timestamp(now),
            reason=reason,
            model=self._model(inputs.members) if read else {},
            previous=previous,
            withdrawn_at=self._withdrawn_at(previous),
        )
        return study_document.document(closed, inputs, read)

    def _read(self, inputs: Inputs) -> StudyRead:
        slices = (
            Slice(
                upload_id=one.upload_id,
                series=one.series,
                probabilities=one.probabilities or {},
                position=one.position,
                abstained=one.abstained,
            )
            for one in inputs.members
            if one.counts
        )
        return read_study(slices, inputs.rule)

    def _read_again(self, study: Study, members: Sequence[Member], now: datetime) -> bool:
        """Requeue what another version than the champion has read, if several have; return whether anything waits."""
        if len(packages(members)) < 2 or study.rounds >= MOST_ROUNDS * math.ceil(len(members) / MOST_OF_A_ROUND):
            return False
        champion = self.champions.get()
        if champion is None:
            return False
        others = [one for one in members if one.counts and one.model_package != champion.model_package]
        others = others[:MOST_OF_A_ROUND]
        if not self.studies.count_round(study, now):  # before it begins, so that no study is read again for ever
            return True
        with ThreadPoolExecutor(WRITERS) as pool:
            for start in range(0, len(others), MOST_AT_ONCE):
                rows = self.index.get_many(one.upload_id for one in others[start : start + MOST_AT_ONCE])
                stale = [row for row in rows.values() if row.model_package != champion.model_package]
                list(pool.map(self.rescoring.rescore, stale))
        self.studies.touch(study.study_instance_uid, self.clock())
        return True

    def _aggregation(self, model: Sequence[str]) -> Rule:
        """Return the rule of the version that read the study, as it was promoted."""
        promotion = self.champions.promotion(model[0]) if len(model) == 1 else None
        return loads(promotion.study if promotion else "")

    def _model(self, members: Sequence[Member]) -> dict[str, str]:
        """Return what is known of the version that read the study: its package, and what one of its results says."""
        one = next((one for one in members if one.counts), None)
        if one is None:
            return {}
        body = self.results.find(one.prediction_key) if one.prediction_key else None
        result = json.loads(body) if body else {}
        known = {"Package": one.model_package, "WeightsSHA256": result.get("WeightsSHA256"), "Form": result.get("Form")}
        return {name: str(value) for name, value in known.items() if value}

    def _previous(self, study: Study) -> dict[str, Any]:
        """Return the document of the last revision; {} if there is none, or it has expired."""
        body = self.results.find(study.result_key) if study.result_key else None
        return json.loads(body) if body else {}

    def _withdrawn_at(self, previous: Mapping[str, Any]) -> str:
        """Return when the version was withdrawn that gave the answer of a document; "" if it was not."""
        package = (previous.get("Model") or {}).get("Package")
        withdrawal = self.champions.withdrawal(package) if package else None
        return withdrawal.withdrawn_at if withdrawal else ""
