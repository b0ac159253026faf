"""Removes the guards of the express lane one at a time and checks that its tests fail: each guard is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functions.flow.guards import FLOW, Guard, Verdicts, assert_missed, assert_watched, without_each

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]

GUARDS: dict[str, Guard] = {
    "one invocation of a batch is its run": Guard(
        f"{FLOW}/test_express.py",
        "express/run.py",
        'mine, IfNoneMatch="*")',
        "mine)",
    ),
    "a model with another script takes no express lane": Guard(
        f"{FLOW}/test_express.py",
        "functions/domain/lane.py",
        'script_sha256 != "" and script_sha256 == limits.express_script_sha256',
        "True",
    ),
    "after a batch without any output the next is a job": Guard(
        "tests/functions/domain/test_lane.py",
        "functions/domain/lane.py",
        "fits and known and not barren_jobs",
        "fits and known",
    ),
    "what a run left without an answer takes no express lane again": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/dispatching.py",
        "new = [row for row in pending if is_new(row)]",
        "new = list(pending)",
    ),
    "a run costs an upload no try": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/settling.py",
        "if batch.lane == Lane.EXPRESS:",
        "if False:",
    ),
    "a run that does not begin in time is called off": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/sweeping.py",
        "            self.runs.call_off(name)\n            return Repair(done=True)",
        "            return Repair(done=True)",
    ),
    "a run that can still begin gives no row back": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/sweeping.py",
        "            self.runs.call_off(name)\n        job = describe",
        "            pass\n        job = describe",
    ),
    "an invocation that is given up ends no other": Guard(
        f"{FLOW}/test_express.py",
        "functions/aws/express.py",
        'if begun and begun.get("Invocation") == invocation:',
        "if begun:",
    ),
    "a run is over when Lambda has ended it for certain, not before": Guard(
        f"{FLOW}/test_express.py",
        "functions/aws/express.py",
        "if self.clock() < last:",
        "if False:",
    ),
    "a run without an end is over at last": Guard(
        f"{FLOW}/test_express.py",
        "functions/aws/express.py",
        "if self.clock() < last:",
        "if True:",
    ),
    "how long a run lasts is S3's to say": Guard(
        f"{FLOW}/test_express.py",
        "functions/aws/express.py",
        "began = self.work.written_at(begun_key)",
        'began = datetime.fromisoformat(begun["At"])',
    ),
    "a refused run is called off": Guard(
        f"{FLOW}/test_express.py",
        "functions/aws/express.py",
        'extra={"run": name, "reason": code})\n                return self.call_off(name)',
        'extra={"run": name, "reason": code})\n                return Creation.REFUSED',
    ),
    "a run that Lambda does not take for minutes is called off": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/aws/express.py",
        "if code in REFUSED or self._waited(batch) >= START_SECONDS:",
        "if code in REFUSED:",
    ),
    "many runs without output pause no job": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/aws/batches.py",
        "elif batch.lane == Lane.EXPRESS:",
        "elif False:",
    ),
    "a run does not say how many uploads fit in a job": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/aws/batches.py",
        " if batch.lane == Lane.TRANSFORM else 0",
        "",
    ),
    "a changed Model is not run in the express lane": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/dispatching.py",
        "            if not self.models.is_itself(batch.model_name):\n                return self.runs",
        "            if False:\n                return self.runs",
    ),
    "the express lane has its own days": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/dispatching.py",
        " and not self._no_runs_left()",
        "",
    ),
    "the express lane has its own slots": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/dispatching.py",
        "express = [slot for slot in free if slot >= self.limits.slots]",
        "express = list(free)",
    ),
    "runs at once are counted by their lane": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/flow/dispatching.py",
        "[slot for slot in free if slot >= self.limits.slots][:places]",
        "[slot for slot in free if slot >= self.limits.slots]",
    ),
    "more runs than the limit leave no place": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/flow/dispatching.py",
        "max(0, self.express.express_concurrency - live[Lane.EXPRESS])",
        "self.express.express_concurrency - live[Lane.EXPRESS]",
    ),
    "jobs at once are counted by their lane": Guard(
        f"{FLOW}/test_express_out_of_order.py",
        "functions/flow/dispatching.py",
        "live_jobs = live[Lane.TRANSFORM]",
        "live_jobs = 0",
    ),
    "no job is stopped in the express lane": Guard(
        f"{FLOW}/test_express.py",
        "functions/flow/sweeping.py",
        "if not overdue or batch.lane == Lane.EXPRESS:",
        "if not overdue:",
    ),
}

verdicts = without_each(GUARDS)


def test_with_every_guard_of_express_in_its_place_the_same_tests_pass(tmp_path: Path) -> None:
    assert_watched(GUARDS, tmp_path)


@pytest.mark.parametrize("guard", GUARDS)
def test_an_express_lane_without_this_guard_fails(guard: str, verdicts: Verdicts) -> None:
    assert_missed(guard, verdicts)
