"""An approval promotes once, only what a run evaluated, and only against the champion that it was compared with."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain.errors import Overtaken
from functions.flow.approving import Approved
from functions.flow.promoting import Approval
from tests.fakes.workflow import Workflow


def waiting(*names: str) -> tuple[Workflow, list[str]]:
    """Make candidates that wait for approval, all compared with the same champion; return the versions' ARNs."""
    workflow = Workflow(approval=Approval.MANUAL)
    taken = [workflow.take(workflow.put_cohort(), execution=name) for name in names]
    promoted = [workflow.promote(one, workflow.train(one, one["Run"].encode())) for one in taken]
    return workflow, [one.version.arn for one in promoted]


def approve(workflow: Workflow, arn: str, status: str = "Approved") -> Approved:
    """Set the approval as a person does in the console, and deliver the event."""
    workflow.registry.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)  # type: ignore[arg-type]
    return workflow.approving.approve(arn)


def champion(workflow: Workflow) -> str:
    found = workflow.registry.champion()
    return found.model_package if found else ""


def test_an_approved_version_is_promoted_once() -> None:
    workflow, (arn,) = waiting("run-1")
    assert approve(workflow, arn) is Approved.PROMOTED
    first = workflow.registry.champion()
    workflow.world.wait(60)
    assert workflow.approving.approve(arn) is Approved.NOTHING_TO_DO
    assert workflow.registry.champion() == first


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_the_registrys_present_status_counts_and_not_the_event(status: str) -> None:
    workflow, (arn,) = waiting("run-1")
    assert approve(workflow, arn, status) is Approved.NOTHING_TO_DO
    assert champion(workflow) == ""


def test_a_late_event_does_not_restore_an_old_champion() -> None:
    workflow, (first, second) = waiting("run-1", "run-2")
    approve(workflow, first)
    workflow.world.wait(60)
    workflow.registry.promote("wetread/2")
    assert workflow.approving.approve(first) is Approved.NOTHING_TO_DO
    assert workflow.approving.approve(second) is Approved.NOTHING_TO_DO
    assert champion(workflow) == "wetread/2"


def test_a_version_that_was_compared_with_another_champion_is_refused_and_says_so() -> None:
    workflow, (first, second) = waiting("run-1", "run-2")
    approve(workflow, first)
    assert approve(workflow, second) is Approved.REFUSED
    assert champion(workflow) == "wetread/1"
    package = next(one for one in workflow.world.sagemaker.packages if one["ModelPackageArn"] == second)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "compared with no champion at all" in package["ApprovalDescription"]
    assert workflow.approving.approve(second) is Approved.NOTHING_TO_DO


def test_a_withdrawn_version_is_not_promoted_by_its_approval() -> None:
    workflow, (first, second) = waiting("run-1", "run-2")
    approve(workflow, first)
    workflow.world.wait(60)
    workflow.registry.promote("wetread/2")
    workflow.world.wait(60)
    workflow.withdrawing.roll_back("no")
    assert approve(workflow, second) is Approved.NOTHING_TO_DO
    assert champion(workflow) == "wetread/1"


def test_a_version_that_no_run_evaluated_is_refused(tmp_path: Any) -> None:
    workflow, (arn,) = waiting("run-1")
    path = tmp_path / "model.tar.gz"
    path.write_bytes(next(body for (_, key), body in workflow.world.s3.objects.items() if key.startswith("artifacts/")))
    workflow.world.sagemaker.packages.clear()
    version = workflow.registry.register(path)
    assert version.run == ""
    assert approve(workflow, version.arn) is Approved.REFUSED
    assert champion(workflow) == ""
    assert arn == version.arn


def test_versions_of_another_group_are_ignored() -> None:
    workflow, (arn,) = waiting("run-1")
    workflow.world.sagemaker.packages[0]["ModelPackageGroupName"] = "another"
    assert approve(workflow, arn) is Approved.NOTHING_TO_DO


def test_a_promotion_that_comes_between_is_found_by_the_next_try() -> None:
    workflow, (arn,) = waiting("run-1")

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("create_model", "before"):
            workflow.world.clients["sagemaker"].interfere = lambda *_: None
            workflow.registry.promote("wetread/1")

    workflow.world.clients["sagemaker"].interfere = interfere
    with pytest.raises(Overtaken):
        approve(workflow, arn)
    assert workflow.approving.approve(arn) is Approved.NOTHING_TO_DO
    assert workflow.registry.versions()[0].approval == "Approved"
