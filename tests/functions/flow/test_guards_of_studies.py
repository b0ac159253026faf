"""Removes the guards of studies one at a time and checks that their tests fail: each guard is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functions.flow.guards import FLOW, Guard, Verdicts, assert_missed, assert_watched, without_each

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]

CONCLUDING, STUDIES, STUDY = "functions/flow/concluding.py", "functions/aws/studies.py", "functions/domain/study.py"
DELIVERING = "functions/flow/delivering.py"
FENCES = f"{FLOW}/test_fences_of_studies.py"
GUARDS: dict[str, Guard] = {
    "a repeated event adds the member that was not written": Guard(
        f"{FLOW}/test_studies_of_ingest.py",
        "functions/flow/ingesting.py",
        "            if is_member(known):\n",
        "            if False:\n",
    ),
    "a member of a row that is erased by now is not written": Guard(
        f"{FLOW}/test_studies_of_ingest.py",
        STUDIES,
        '[{"ConditionCheck": check}, {"Put": put}]',
        '[{"Put": put}]',
    ),
    "what is not served is a member": Guard(
        f"{FLOW}/test_concluding.py",
        "functions/domain/member.py",
        "not in {Status.RECEIVED, Status.MARKER, Status.ERASED}",
        "not in {Status.RECEIVED, Status.REFUSED, Status.MARKER, Status.ERASED}",
    ),
    "a study waits until each member has ended": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "if any(not row.status.terminal for row in rows.values()):",
        "if False:",
    ),
    "a study waits until it is quiet": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "elif study.is_quiet(now) and not behind():",
        "elif not behind():",
    ),
    "what waits in our own queue is not late": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "elif study.is_quiet(now) and not behind():",
        "elif study.is_quiet(now):",
    ),
    "a study that never is quiet is closed by force": Guard(
        f"{FLOW}/test_concluding.py",
        STUDY,
        "return timestamp(latest) if latest <= now else None",
        "return None",
    ),
    "a closing by force waits for nothing that came later": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "if cut_off is None or one.received_at <= cut_off]",
        "]",
    ),
    "a study that was closed by force stays open": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "self.studies.cut if reason == CloseReason.FORCED else self.studies.close",
        "self.studies.close",
    ),
    "the same inputs make no revision": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "if not members or inputs.digest() == study.inputs:",
        "if not members:",
    ),
    "a study that has changed while it was read is not closed": Guard(
        FENCES,
        STUDIES,
        'WHILE_OPEN, fence="Touches")',
        'WHILE_OPEN, fence="OpenedAt")',
    ),
    "a revision overwrites no other": Guard(
        FENCES,
        STUDIES,
        '"ConditionExpression": "attribute_not_exists(StudyInstanceUID)"',
        '"ConditionExpression": "attribute_not_exists(Nothing)"',
    ),
    "a closing that an erasure has overtaken makes no revision": Guard(
        FENCES,
        "functions/aws/study_items.py",
        '        "Erasures": study.erasures,\n',
        "",
    ),
    "a study without members is dropped only as it was read": Guard(
        FENCES,
        STUDIES,
        'condition, names, values = unchanged(study, "Touches")\n        try:\n            self._client.delete_item(',
        'condition, names, values = unchanged(study, "OpenedAt")\n        try:\n            self._client.delete_item(',
    ),
    "a study is put off before its members are read": Guard(
        FENCES,
        CONCLUDING,
        "or not self.studies.begin(study, now):",
        "or False:",
    ),
    "a study that fails keeps no other open": Guard(
        FENCES,
        CONCLUDING,
        "        except Exception as error:  # one study",
        "        except ZeroDivisionError as error:  # one study",
    ),
    "a study that two versions read is read again": Guard(
        f"{FLOW}/test_mixed_models.py",
        CONCLUDING,
        "        if not found.overfull and self._read_again(study, members, now):\n            return False\n",
        "",
    ),
    "a study is not read again for ever": Guard(
        f"{FLOW}/test_mixed_models.py",
        CONCLUDING,
        "if len(packages(members)) < 2 or study.rounds >= MOST_ROUNDS * math.ceil(len(members) / MOST_OF_A_ROUND):",
        "if len(packages(members)) < 2:",
    ),
    "results of a withdrawn version do not count": Guard(
        f"{FLOW}/test_mixed_models.py",
        "functions/domain/member.py",
        "    if row.withdrawn_at:\n",
        "    if False:\n",
    ),
    "marking opens the studies of rows that were marked before": Guard(
        f"{FLOW}/test_mixed_models.py",
        "functions/flow/marking.py",
        '            studies.add(row.study_instance_uid or "")\n',
        '            if not row.withdrawn_at:\n                studies.add(row.study_instance_uid or "")\n',
    ),
    "a row that ends opens its study if it is closed": Guard(
        f"{FLOW}/test_mixed_models.py",
        "functions/flow/collecting.py",
        "        self._reopen(tally.studies)\n",
        "",
    ),
    "the rest of a study is no answer for what was withdrawn": Guard(
        f"{FLOW}/test_recall.py",
        "functions/domain/study_document.py",
        "return not (self.overfull or self.mixed or self.withdrawn)",
        "return not (self.overfull or self.mixed)",
    ),
    "a revision recalls what a withdrawn version said": Guard(
        f"{FLOW}/test_recall.py",
        CONCLUDING,
        "            withdrawn_at=self._withdrawn_at(previous),\n",
        "",
    ),
    "a marker is used once": Guard(
        f"{FLOW}/test_markers.py",
        "functions/aws/study_items.py",
        'WHILE_OPEN = ("QuietUntil", "OpenedAt", "MarkedAt", "Rounds")',
        'WHILE_OPEN = ("QuietUntil", "OpenedAt", "Rounds")',
    ),
    "a marker that promises more does not close a study": Guard(
        f"{FLOW}/test_markers.py",
        CONCLUDING,
        "elif study.marked_at and marker and not marker.missing(found.members):",
        "elif study.marked_at and marker:",
    ),
    "an earlier marker replaces no later one": Guard(
        f"{FLOW}/test_markers.py",
        STUDIES,
        'ConditionExpression="attribute_not_exists(#at) OR #at < :at"',
        'ConditionExpression="attribute_not_exists(#at) OR #at < :at OR attribute_exists(#at)"',
    ),
    "a closing deletes the members of erased uploads": Guard(
        FENCES,
        CONCLUDING,
        "self.studies.forget(study.study_instance_uid, one.item)",
        "pass",
    ),
    "a closed study with a revision to announce is looked for": Guard(
        f"{FLOW}/test_announcing.py",
        STUDIES,
        'changes |= {"Open": UNANNOUNCED, "DueAt": timestamp(now)}',
        "pass",
    ),
    "a study that was opened again is announced first": Guard(
        f"{FLOW}/test_announcing.py",
        CONCLUDING,
        "if study.announced < study.revision:  #",
        "if False:  #",
    ),
    "events that are not taken are sent again": Guard(
        f"{FLOW}/test_announcing.py",
        "functions/aws/announcements.py",
        'if answer["FailedEntryCount"]:',
        "if False:",
    ),
    "a further revision is announced, too": Guard(
        f"{FLOW}/test_announcing.py",
        STUDIES,
        '"begins_with(#Open, :unannounced) AND #Revision = :number"',
        '"begins_with(#Open, :unannounced) OR #Revision = :number"',
    ),
    "an erased study is not written again": Guard(
        f"{FLOW}/test_announcing.py",
        STUDIES,
        '"attribute_exists(#State)"',
        '"attribute_not_exists(#Nothing) OR attribute_exists(#State)"',
    ),
    "the largest study that is read is bounded": Guard(
        f"{FLOW}/test_large_studies.py",
        CONCLUDING,
        "if len(members) > MOST_MEMBERS or answers > MOST_ANSWERS:",
        "if False:",
    ),
    "that there are too many members is an input of the read": Guard(
        f"{FLOW}/test_concluding.py",
        "functions/domain/study_document.py",
        "[OVERFULL] if self.overfull else []",
        "[]",
    ),
    "results of a withdrawn version do not count before their rows are marked": Guard(
        f"{FLOW}/test_recall.py",
        CONCLUDING,
        "selected(self._valid(found.members), self.rule)",
        "selected(found.members, self.rule)",
    ),
    "a study is read again in parts": Guard(
        f"{FLOW}/test_mixed_models.py",
        CONCLUDING,
        "        others = others[:MOST_OF_A_ROUND]\n",
        "",
    ),
    "announcing leaves time for closing": Guard(
        f"{FLOW}/test_announcing.py",
        "functions/flow/announcing.py",
        "if self.clock() > until:",
        "if False:",
    ),
    "what was withdrawn before it was delivered is not delivered": Guard(
        f"{FLOW}/test_rejecting.py",
        DELIVERING,
        "            self._check_version(study_uid, number)\n            delivery = self._make(document)\n",
        "            delivery = self._make(document)\n",
    ),
    "what is withdrawn while it is delivered is taken back": Guard(
        f"{FLOW}/test_rejecting.py",
        DELIVERING,
        "return delivery if delivery.code else self._unless_withdrawn(study_uid, delivery)",
        "return delivery",
    ),
    "what was delivered stays delivered": Guard(
        f"{FLOW}/test_rejecting.py",
        DELIVERING,
        "if delivered is None or delivered.code:",
        "if True:",
    ),
    "what is erased is looked for after the last write": Guard(
        f"{FLOW}/test_delivering.py",
        DELIVERING,
        "if documents.is_erased(self.index.get_many(documents.uploads(document))):",
        "if False:",
    ),
    "a study of another share is left to it": Guard(
        f"{FLOW}/test_sharing.py",
        CONCLUDING,
        "if shards is None or shard_of(one.study_instance_uid) in shards]",
        "]",
    ),
    "a study without a shard is of one share": Guard(
        f"{FLOW}/test_sharing.py",
        STUDIES,
        "if shards is None or shard_of(study.study_instance_uid) in shards:",
        "if True:",
    ),
    "a share that Lambda does not take is closed here": Guard(
        f"{FLOW}/test_sharing.py",
        "functions/flow/sharing.py",
        "own.union(*shares)",
        "own",
    ),
    "the sweeps themselves close each share in turn": Guard(
        f"{FLOW}/test_sharing.py",
        "functions/flow/sharing.py",
        "shares.pop(turn)",
        "shares.pop(0)",
    ),
    "no more invocations close than the stage allows": Guard(
        f"{FLOW}/test_sharing.py",
        "functions/flow/sharing.py",
        "min(self.most, math.ceil(due / DUE_EACH))",
        "math.ceil(due / DUE_EACH)",
    ),
    "an invocation of the sweep shares nothing again": Guard(
        "tests/functions/test_handlers.py",
        "functions/sweep.py",
        "    if shards is not None:\n",
        "    if False:\n",
    ),
    "no study is begun in the time of the next sweep": Guard(
        f"{FLOW}/test_concluding.py",
        CONCLUDING,
        "if self.clock() > until:",
        "if False:",
    ),
    "a delivery that is repeated keeps its rejection note": Guard(
        f"{FLOW}/test_rejecting.py",
        "functions/flow/rejecting.py",
        "if one.revision != number]",
        "]",
    ),
    "a revision rejects none that came later": Guard(
        f"{FLOW}/test_rejecting.py",
        "functions/flow/rejecting.py",
        "for one in others if one.revision < number}",
        "for one in others}",
    ),
}

verdicts = without_each(GUARDS)


def test_with_every_guard_of_studies_in_its_place_the_same_tests_pass(tmp_path: Path) -> None:
    assert_watched(GUARDS, tmp_path)


@pytest.mark.parametrize("guard", GUARDS)
def test_studies_without_this_guard_fail(guard: str, verdicts: Verdicts) -> None:
    assert_missed(guard, verdicts)
