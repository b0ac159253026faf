"""What candidates are compared with besides the champion, from promotion to promotion, rollback and loss."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain import layout
from functions.domain.champion import Champion
from functions.flow.gating import Subject
from functions.flow.promoting import Approval
from tests.fakes.workflow import Workflow, attempt_of, evaluation
from tests.fakes.world import MODELS


def run(workflow: Workflow, number: int) -> dict[str, Any]:
    return workflow.take(workflow.put_cohort(), execution=str(number))


def champion(workflow: Workflow) -> Champion:
    found = workflow.registry.champion()
    assert found
    return found


def promoted(workflow: Workflow, number: int, *bounds: float) -> dict[str, Any]:
    """Promote run ``number``, whose candidate may be so far below champion and reference; return the run."""
    taken = run(workflow, number)
    artifact = workflow.train(taken, weights=b"%d" % number, Attempt=attempt_of(taken, *(bounds or (0.0,))))
    assert workflow.judge(Subject.EVALUATION, taken).passed
    assert workflow.promote(taken, artifact).outcome == "Promoted"
    return taken


def standing(workflow: Workflow) -> tuple[str, float]:
    found = champion(workflow)
    return found.reference, found.behind


def test_the_reference_moves_only_to_a_model_that_is_shown_to_be_better() -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    assert standing(workflow) == ("", 0.0)
    promoted(workflow, 2, -0.04)
    assert standing(workflow) == ("wetread/1", 0.04)
    promoted(workflow, 3, -0.03, -0.05)
    assert standing(workflow) == ("wetread/1", 0.05)
    promoted(workflow, 4, 0.02, 0.01)
    assert standing(workflow) == ("", 0.0)
    promoted(workflow, 5, -0.01)
    assert standing(workflow) == ("wetread/4", 0.01)


def test_a_run_names_the_reference_and_what_both_were_trained_on() -> None:
    workflow = Workflow()
    first, second = promoted(workflow, 1), promoted(workflow, 2, -0.04)
    taken = run(workflow, 3)
    assert (taken["Champion"]["ModelPackage"], taken["Reference"]["ModelPackage"]) == ("wetread/2", "wetread/1")
    assert taken["Champion"]["SnapshotUri"] == second["SnapshotUri"]
    assert taken["Reference"]["SnapshotUri"] == first["SnapshotUri"]
    assert (taken["Champion"]["Reference"], taken["Champion"]["Behind"]) == ("wetread/1", 0.04)
    workflow.documents.delete([layout.snapshot_key(second["Run"])])
    assert "SnapshotUri" not in run(workflow, 4)["Champion"]


def test_a_candidate_that_is_as_good_as_the_champion_but_too_far_below_the_reference_is_refused() -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    promoted(workflow, 2, -0.04)
    taken = run(workflow, 3)
    workflow.write(layout.evaluation_key(taken["Run"]), evaluation(taken, Attempt=attempt_of(taken, -0.03, -0.06)))
    (reason,) = workflow.judge(Subject.EVALUATION, taken).reasons
    assert reason.code == "WorseThanReference"


@pytest.mark.parametrize("loss", ["artifact", "version"])
def test_where_the_reference_is_gone_what_the_champion_may_be_behind_it_is_taken_off_the_margin(loss: str) -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    promoted(workflow, 2, -0.04)
    if loss == "version":
        (first,) = (one for one in workflow.world.sagemaker.packages if one["ModelPackageArn"].endswith("/1"))
        first["ModelPackageArn"] = "of none"
    else:
        sha256 = workflow.registry.version("1").artifact_sha256
        del workflow.world.s3.objects[MODELS, layout.artifact_key(sha256)]
    taken = run(workflow, 3)
    assert "Reference" not in taken
    for low, passed in ((-0.02, False), (-0.01, True)):
        workflow.write(layout.evaluation_key(taken["Run"]), evaluation(taken, low=low))
        assert workflow.judge(Subject.EVALUATION, taken).passed == passed
    promoted(workflow, 3, -0.01)
    assert standing(workflow) == ("wetread/1", 0.05)


def test_a_champion_whose_artifact_is_gone_ends_the_run_before_anything_is_trained() -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    del workflow.world.s3.objects[MODELS, layout.artifact_key(champion(workflow).artifact_sha256)]
    taken = run(workflow, 2)
    assert not taken["Taken"]
    assert [reason["Code"] for reason in taken["Reasons"]] == ["ChampionGone"]


def test_a_promotion_by_hand_and_a_champion_from_before_are_their_own_reference() -> None:
    workflow = Workflow()
    workflow.world.set_champion("wetread/9")
    taken = run(workflow, 1)
    assert "Reference" not in taken
    assert "Reference" not in taken["Champion"]
    promoted(workflow, 1, -0.02)
    assert standing(workflow) == ("wetread/9", 0.02)
    workflow.registry.promote("1")
    assert standing(workflow) == ("", 0.0)


def test_a_rollback_restores_what_the_predecessor_was_compared_with() -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    promoted(workflow, 2, -0.04)
    promoted(workflow, 3, 0.02, 0.01)
    assert standing(workflow) == ("", 0.0)
    workflow.withdrawing.roll_back("why")
    assert (champion(workflow).model_package, *standing(workflow)) == ("wetread/2", "wetread/1", 0.04)


def test_an_approval_by_a_person_keeps_what_the_run_found() -> None:
    workflow = Workflow()
    promoted(workflow, 1)
    by_hand = Workflow(workflow.world, Approval.MANUAL)
    taken = run(by_hand, 2)
    artifact = by_hand.train(taken, weights=b"2", Attempt=attempt_of(taken, -0.03))
    version = by_hand.promote(taken, artifact).version
    by_hand.registry.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus="Approved")
    by_hand.approving.approve(version.arn)
    assert (champion(workflow).model_package, *standing(workflow)) == ("wetread/2", "wetread/1", 0.03)
