"""Removes the protocol's guards one at a time and checks that its tests fail: each guard is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functions.flow.guards import FLOW, Guard, Verdicts, assert_missed, assert_watched, without_each

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]

GUARDS: dict[str, Guard] = {
    "claims are fenced by the batch's status": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/aws/batches.py",
        '"ConditionExpression": "#Status = :claiming"',
        '"ConditionExpression": "#Status = :claiming OR attribute_exists(Id)"',
    ),
    "only pending rows are claimed": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/aws/batches.py",
        '"OR (begins_with(#Status, :held) AND BatchId = :batch)"',
        '"OR begins_with(#Status, :held) OR BatchId = :batch"',
    ),
    "a taken slot is not taken again": Guard(
        f"{FLOW}/test_protocol.py",
        "functions/aws/batches.py",
        'NEW = "attribute_not_exists(Id)"',
        'NEW = "attribute_not_exists(Nothing)"',
    ),
    "a row leaves only the batch that holds it": Guard(
        f"{FLOW}/test_protocol.py",
        "functions/aws/index.py",
        'HELD = "',
        'HELD = "attribute_exists(UploadId) OR ',
    ),
    "what AWS held up is taken in by a later try": Guard(
        f"{FLOW}/test_every_upload_has_a_row.py",
        "functions/aws/index.py",
        "(begins_with(#Status, :refused) AND #Code = :heldUp)",
        "(begins_with(#Status, :refused) AND #Code = :heldUp AND begins_with(#Status, :received))",
    ),
    "the last delivery ends the row": Guard(
        f"{FLOW}/test_every_upload_has_a_row.py",
        "functions/flow/ingesting.py",
        "self._held_up if delivery >= LAST_DELIVERY else self._received",
        "self._received",
    ),
    "the sweep ends no row that a try has moved": Guard(
        f"{FLOW}/test_every_upload_has_a_row.py",
        "functions/aws/index.py",
        '"begins_with(#Status, :received) AND #UpdatedAt = :seen"',
        '"begins_with(#Status, :received) AND attribute_exists(#UpdatedAt)"',
    ),
    "a row that nothing tries is ended": Guard(
        f"{FLOW}/test_every_upload_has_a_row.py",
        "functions/flow/stalling.py",
        "for row in received if self._has_stalled(row)",
        "for row in received[:0]",
    ),
    "an unreadable answer is decided by the object's attributes": Guard(
        "tests/functions/aws/test_answers_of_s3.py",
        "functions/aws/objects.py",
        "code in UNCLEAR or code.startswith(OF_KMS)",
        "not code",
    ),
    "a new row overwrites no other": Guard(
        f"{FLOW}/test_ingesting.py",
        "functions/aws/index.py",
        'f"attribute_not_exists(UploadId) OR {AWAITS_INGEST}"',
        'f"attribute_not_exists(Nothing) OR {AWAITS_INGEST}"',
    ),
    "a try is counted before its object is touched": Guard(
        f"{FLOW}/test_failed_ingests.py",
        "functions/flow/ingesting.py",
        "if delivery > 1:",
        "if delivery > 99:",
    ),
    "an upload whose tries are used is not read again": Guard(
        f"{FLOW}/test_failed_ingests.py",
        "functions/flow/ingesting.py",
        "        if tries >= MOST_TRIES:\n            return self._written(self._given_up(event, known.code if",
        "        if tries >= 99:\n            return self._written(self._given_up(event, known.code if",
    ),
    "AWS trouble costs an upload no try": Guard(
        f"{FLOW}/test_failed_ingests.py",
        "functions/flow/ingesting.py",
        "tries += not is_trouble(error)",
        "tries += 1",
    ),
    "a message is begun only while there is time": Guard(
        f"{FLOW}/test_failed_ingests.py",
        "functions/messages.py",
        "if seconds_left() < seconds_needed:",
        "if False:",
    ),
    "a batch's row is not erased": Guard(
        f"{FLOW}/test_erased_rows.py",
        "functions/aws/index.py",
        "if row.status == Status.BATCHED:",
        "if False:",
    ),
    "a row is erased only as it was seen": Guard(
        f"{FLOW}/test_erased_rows.py",
        "functions/aws/index.py",
        '"begins_with(#Status, :status) AND #UpdatedAt = :seen"',
        '"begins_with(#Status, :status) OR #UpdatedAt = :seen OR attribute_exists(UploadId)"',
    ),
    "a living row is not buried": Guard(
        f"{FLOW}/test_erased_rows.py",
        "functions/aws/index.py",
        '"attribute_not_exists(UploadId) OR begins_with(#Status, :erased)"',
        '"attribute_not_exists(UploadId) OR begins_with(#Status, :erased) OR attribute_exists(UploadId)"',
    ),
    "the copy of an object that was erased meanwhile goes too": Guard(
        f"{FLOW}/test_erased_rows.py",
        "functions/flow/ingesting.py",
        "if known.status == Status.ERASED:",
        "if False:",
    ),
    "an output must answer for the row's bytes": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/domain/prediction.py",
        "if sha256 != expected_sha256:",
        "if False:",
    ),
    "a batch submits only what it owns": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/flow/dispatching.py",
        "return row.status == Status.BATCHED and row.batch_id == batch_id",
        "return bool(row and batch_id)",
    ),
    "a slot is freed only by its holder": Guard(
        f"{FLOW}/test_protocol.py",
        "functions/aws/batches.py",
        'ConditionExpression="BatchId = :batch"',
        'ConditionExpression="BatchId = :batch OR attribute_exists(Id)"',
    ),
    "retries never share a job with new uploads": Guard(
        "tests/functions/domain/test_batch.py",
        "functions/domain/batch.py",
        "if row.retry_group != group:",
        "if not group and row.retry_group != group:",
    ),
    "an upload that is read again has a separate copy": Guard(
        f"{FLOW}/test_rescoring.py",
        "functions/domain/layout.py",
        'if requeued_at else ""',
        'if requeued_at == "" else ""',
    ),
    "a collector marks the results of a withdrawn model": Guard(
        f"{FLOW}/test_withdrawing.py",
        "functions/flow/collecting.py",
        "self._mark_if_withdrawn(ended)",
        "self._manifest(ended.batch)",
    ),
    "the sweep marks what the index had not shown": Guard(
        f"{FLOW}/test_withdrawing.py",
        "functions/flow/sweeping.py",
        "failures += not self._try_to_mark()",
        "failures += 0",
    ),
    "the champion is moved only from the one that was read": Guard(
        f"{FLOW}/test_withdrawing.py",
        "functions/aws/champion.py",
        '"PromotedAt = :current"',
        '"attribute_exists(Id) OR PromotedAt = :current"',
    ),
    "a changed artifact reads nothing": Guard(
        f"{FLOW}/test_replaced_models.py",
        "functions/flow/dispatching.py",
        "if not self.artifacts.is_intact(champion.artifact_sha256):",
        "if False:",
    ),
    "a changed Model reads nothing": Guard(
        f"{FLOW}/test_replaced_models.py",
        "functions/flow/dispatching.py",
        "if not self.models.is_itself(champion.model_name):",
        "if False:",
    ),
    "a changed Model reads nothing that waited for room": Guard(
        f"{FLOW}/test_replaced_models.py",
        "functions/flow/dispatching.py",
        "if not self.models.is_itself(batch.model_name) and",
        "if False and",
    ),
    "written rows are followed by a tick": Guard(
        "tests/functions/test_handlers.py",
        "functions/ingest.py",
        "if any(row.status == Status.PENDING for row in rows):",
        "if not rows:",
    ),
    "a batch advances only from its present status": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/aws/batches.py",
        """f"#Status IN ({', '.join(among)})\"""",
        """f"#Status IN ({', '.join(among)}) OR attribute_exists(Id)\"""",
    ),
    "a document that is written once stays": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/aws/puts.py",
        ', IfNoneMatch="*"',
        "",
    ),
    "only the withdrawn version's results are marked": Guard(
        f"{FLOW}/test_protocol.py",
        "functions/aws/index.py",
        'condition = f"{READ_BY_VERSION} AND attribute_not_exists(#WithdrawnAt)"',
        'condition = f"attribute_exists(UploadId) OR {READ_BY_VERSION}"',
    ),
    "only what the version completed is read again": Guard(
        f"{FLOW}/test_rescoring.py",
        "functions/aws/index.py",
        "changes, RESULT_ATTRIBUTES, READ_BY_VERSION, values)",
        'changes, RESULT_ATTRIBUTES, f"attribute_exists(UploadId) OR {READ_BY_VERSION}", values)',
    ),
    "the first champion has no predecessor": Guard(
        f"{FLOW}/test_promoting.py",
        "functions/aws/champion.py",
        '"attribute_not_exists(Id)"',
        '"attribute_not_exists(Nothing)"',
    ),
    "a job that runs is not collected": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/flow/collecting.py",
        "if job is None or not job.status.ended:",
        "if job is None:",
    ),
    "copies are kept until their upload has ended": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/flow/collecting.py",
        "over = [position for position, row in held if row.status.terminal]",
        "over = [position for position, row in held]",
    ),
    "a batch with an unsettled upload stays open": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/flow/collecting.py",
        "if tally.errors:  #",
        "if False:  #",
    ),
    "a batch whose job exists is left to its collector": Guard(
        f"{FLOW}/test_latecomers.py",
        "functions/flow/dispatching.py",
        "if describe(batch, name, self.jobs, self.runs):",
        "if False:",
    ),
    "no more jobs are started in a day than may be": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/aws/batches.py",
        '"attribute_not_exists(Jobs) OR Jobs < :most"',
        '"attribute_not_exists(Jobs) OR Jobs < :most OR attribute_exists(Id)"',
    ),
    "a job is as long as its worst objects at most": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/domain/batch.py",
        "if chosen and (seconds > limits.worst_seconds or len(chosen) == limits.max_batch):",
        "if chosen and len(chosen) == limits.max_batch:",
    ),
    "a slot is kept for new uploads": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/domain/batch.py",
        "waiting = new if list(free_slots) == [slots - 1] else oldest_first",
        "waiting = oldest_first",
    ),
    "every second of jobs that run one at a time is for new uploads": Guard(
        f"{FLOW}/test_dispatching.py",
        "functions/domain/batch.py",
        "waiting = new if new and jobs_today % 2 == 0 else oldest_first",
        "waiting = oldest_first",
    ),
    "what was stopped together is not read together again": Guard(
        f"{FLOW}/test_collecting.py",
        "functions/flow/settling.py",
        "stopped=stopped,",
        "stopped=False,",
    ),
    "candidates are written before the batch is open": Guard(
        f"{FLOW}/test_sweeping.py",
        "functions/flow/dispatching.py",
        "        self.work.write_once(layout.candidates_key(batch.batch_id), uploads)\n"
        "        return batch if self.batches.open(batch, most) == Opening.OPENED else None",
        "        opened = self.batches.open(batch, most)\n"
        "        self.work.write_once(layout.candidates_key(batch.batch_id), uploads)\n"
        "        return batch if opened == Opening.OPENED else None",
    ),
    "an output is read to its bound and no further": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/settling.py",
        "prediction.MOST_BYTES + 1) if key",
        "2**40) if key",
    ),
    "a document is read to its bound and no further": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/aws/objects.py",
        "self.read_start(key, self._most_bytes + 1)",
        "self.read_start(key, 2**40)",
    ),
    "a try is counted before it is made": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "        self.trying.begin(batch)\n",
        "",
    ),
    "a resumed batch counts the try": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "        self.trying.begin(batch)\n",
        "",
    ),
    "a try that trouble ended is taken back": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/trying.py",
        "        if self.passes(batch, error):\n",
        "        if False:\n",
    ),
    "trouble that lasts counts as an error": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/trying.py",
        "return is_trouble(error) and not self._worn_out(batch)",
        "return is_trouble(error)",
    ),
    "a batch that fails as a whole is settled row by row": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "if batch.tries < TOGETHER_TRIES:",
        "if True:",
    ),
    "a batch that fails as a whole is left to the sweep": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/collecting.py",
        "if batch and batch.tries >= TOGETHER_TRIES:",
        "if False:",
    ),
    "a row's try is counted before it is made": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "if not self.index.note_try(row, batch.batch_id, timestamp(now), before):",
        "if False:",
    ),
    "a row that raises or kills each time is given up": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "        if tries >= ROW_TRIES:\n",
        "        if False:\n",
    ),
    "rows that were tried alone go last": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "if (row.collect_tries or 0) > tries:",
        "if False:",
    ),
    "a row that another tries is left to it": Guard(
        f"{FLOW}/test_trying.py",
        "functions/aws/index.py",
        'f"{HELD} AND (attribute_not_exists(#CollectTriedAt) OR #CollectTriedAt < :before)"',
        'f"{HELD} AND (attribute_not_exists(#CollectTriedAt) OR #CollectTriedAt < :before OR attribute_exists(Key))"',
    ),
    "a batch whose rows are left to others stays open": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/collecting.py",
        "        if tally.left:\n",
        "        if False:\n",
    ),
    "a batch that cannot be collected is given back": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "        if batch.tries >= MOST_TRIES:\n            return self._give_back(batch)\n        name",
        "        name",
    ),
    "a batch that cannot be dispatched is given back": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "        if batch.tries >= MOST_TRIES:\n            return self._give_back(batch)\n        return Repair",
        "        return Repair",
    ),
    "a batch whose job may start late is not given back": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "may_start = job is None and batch.status != BatchStatus.SUBMITTED",
        "may_start = False",
    ),
    "rows that a finished batch holds are requeued": Guard(
        f"{FLOW}/test_sweeping.py",
        "functions/flow/sweeping.py",
        " + self._requeue_strays()",
        "",
    ),
    "a row is not given up during its last try": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/collecting.py",
        ' if (row.collect_tried_at or "") < before else None',
        "",
    ),
    "a row whose last try is taken back is not given up": Guard(
        f"{FLOW}/test_trying.py",
        "functions/flow/settling.py",
        "NOT_COLLECTED.reason, tried=row)",
        "NOT_COLLECTED.reason)",
    ),
    "batches that failed least are repaired first": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "key=lambda batch: batch.tries",
        "key=lambda batch: -batch.tries",
    ),
    "gauges are reported before anything is repaired": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/sweeping.py",
        "        self.report(gauges or {})\n",
        "",
    ),
    "outputs go with the copies": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "for position in over] + outputs)",
        "for position in over])",
    ),
    "outputs of rows that wait again go with the batch": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/collecting.py",
        "self.work.delete([key for key in keys if key not in tally.deleted])",
        "self.work.delete([])",
    ),
    "a malformed answer costs no job for each upload": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/domain/batch.py",
        "if batch_size == 1 or malformed:",
        "if batch_size == 1:",
    ),
    "an item that is not a row hides no other": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/aws/index.py",
        "except (KeyError, ValueError, TypeError) as error:",
        "except ZeroDivisionError as error:",
    ),
    "an answer is of the batch's weights": Guard(
        f"{FLOW}/test_bombs.py",
        "functions/flow/settling.py",
        "if expected and given != expected:",
        "if False:",
    ),
}

verdicts = without_each(GUARDS)


def test_with_every_guard_in_its_place_the_same_tests_pass(tmp_path: Path) -> None:
    assert_watched(GUARDS, tmp_path)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_protocol_without_this_guard_fails(guard: str, verdicts: Verdicts) -> None:
    assert_missed(guard, verdicts)
