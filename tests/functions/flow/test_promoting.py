"""A candidate becomes a version with its evidence, and champion if no other came between; retries change nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.errors import InvalidArtifact, MalformedDocument
from functions.flow.promoting import Approval, Promoted, RunOutcome
from tests.fakes.workflow import TRAINING, WEIGHTS, Workflow, figure, measured
from tests.fakes.workflow import artifact as model_archive
from tests.fakes.world import World


class Crash(BaseException):
    """The function's environment dies."""


def run(
    workflow: Workflow, name: str = "run-1", weights: bytes = WEIGHTS, **changes: Any
) -> tuple[dict[str, Any], str]:
    """Return a run whose candidate has passed both gates: its snapshot's answer, and its artifact's URI."""
    taken = workflow.take(workflow.put_cohort(), execution=name, **changes)
    return taken, workflow.train(taken, weights=weights)


def promote(workflow: Workflow, taken: dict[str, Any], artifact: str) -> Promoted:
    return workflow.promote(taken, artifact, job="wetread-train-1")


def test_a_first_candidate_is_registered_with_its_evidence_and_promoted() -> None:
    workflow = Workflow()
    taken, artifact = run(workflow, AcceptedRisks=["TooFewPatients", "StudyAcrossSplit"])
    promoted = promote(workflow, taken, artifact)
    assert promoted.answer() == {
        "Outcome": "Promoted",
        "ModelPackage": "wetread/1",
        "ModelPackageArn": promoted.version.arn,
        "Reasons": [],
    }
    (version,) = workflow.registry.versions()
    assert (version.run, version.snapshot_digest, version.approval) == (
        taken["Run"],
        taken["SnapshotDigest"],
        "Approved",
    )
    assert version.accepted_risks == ("StudyAcrossSplit", "TooFewPatients")
    assert (version.balanced_accuracy, version.evaluated_against) == (0.9, "")
    assert version.evaluation_uri == f"s3://{TRAINING}/runs/{taken['Run']}/evaluation/evaluation.json"
    properties = workflow.world.sagemaker.packages[0]["CustomerMetadataProperties"]
    body = workflow.world.s3.objects[TRAINING, layout.evaluation_key(taken["Run"])]
    assert properties["EvaluationSHA256"] == hashlib.sha256(body).hexdigest()
    assert properties["TrainingJobName"] == "wetread-train-1"
    champion = workflow.registry.champion()
    assert champion
    assert champion.model_name in workflow.world.sagemaker.models
    assert len(workflow.world.queue.sent) == 1


def test_a_second_candidate_follows_the_champion_that_it_was_compared_with() -> None:
    workflow = Workflow()
    promote(workflow, *run(workflow))
    workflow.world.wait(60)
    promoted = promote(workflow, *run(workflow, "run-2", b"better"))
    assert promoted.outcome is RunOutcome.PROMOTED
    assert promoted.version.evaluated_against == "wetread/1"
    champion = workflow.registry.champion()
    assert champion
    assert (champion.model_package, champion.previous) == ("wetread/2", "wetread/1")


def test_of_two_runs_at_once_the_second_is_rejected_and_says_why() -> None:
    workflow = Workflow()
    first, second = run(workflow), run(workflow, "run-2", b"other")
    assert promote(workflow, *first).outcome is RunOutcome.PROMOTED
    rejected = promote(workflow, *second).answer()
    assert (rejected["Outcome"], rejected["ModelPackage"]) == ("Rejected", "wetread/2")
    assert [reason["Code"] for reason in rejected["Reasons"]] == ["ChampionChanged"]
    newest, _ = workflow.registry.versions()
    assert newest.approval == "Rejected"
    champion = workflow.registry.champion()
    assert champion
    assert champion.model_package == "wetread/1"


def test_a_promotion_between_the_read_and_the_move_is_seen_too() -> None:
    workflow = Workflow()
    taken, artifact = run(workflow)

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("create_model", "before"):
            workflow.world.clients["sagemaker"].interfere = lambda *_: None
            workflow.world.set_champion("wetread/9")

    workflow.world.clients["sagemaker"].interfere = interfere
    assert promote(workflow, taken, artifact).outcome is RunOutcome.REJECTED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("s3", "put_object"),
        ("sagemaker", "create_model_package"),
        ("sagemaker", "create_model"),
        ("dynamodb", "transact_write_items"),
        ("sagemaker", "update_model_package"),
        ("sqs", "send_message"),
    ],
)
def test_wherever_promote_dies_a_retry_ends_in_the_same_one_version(service: str, operation: str, when: str) -> None:
    workflow = Workflow()
    taken, artifact = run(workflow)

    def interfere(called: str, moment: str) -> None:
        if (called, moment) == (operation, when):
            raise Crash

    workflow.world.clients[service].interfere = interfere
    with pytest.raises(Crash):
        promote(workflow, taken, artifact)
    workflow.world.clients[service].interfere = lambda *_: None
    workflow.world.wait(5)
    assert promote(workflow, taken, artifact).outcome is RunOutcome.PROMOTED
    (version,) = workflow.registry.versions()
    assert (version.model_package, version.approval) == ("wetread/1", "Approved")
    champion = workflow.registry.champion()
    assert champion
    assert (champion.model_package, champion.previous) == ("wetread/1", "")
    assert workflow.world.queue.sent


def test_a_retry_after_the_next_promotion_changes_nothing() -> None:
    workflow = Workflow()
    taken, artifact = run(workflow)
    promote(workflow, taken, artifact)
    workflow.world.wait(60)
    promote(workflow, *run(workflow, "run-2", b"better"))
    assert promote(workflow, taken, artifact).outcome is RunOutcome.PROMOTED
    champion = workflow.registry.champion()
    assert champion
    assert champion.model_package == "wetread/2"


def test_with_manual_approval_the_version_waits_and_nothing_moves() -> None:
    workflow = Workflow(approval=Approval.MANUAL)
    taken, artifact = run(workflow)
    assert promote(workflow, taken, artifact).outcome is RunOutcome.AWAITING_APPROVAL
    assert promote(workflow, taken, artifact).version.model_package == "wetread/1"
    assert workflow.registry.versions()[0].approval == "PendingManualApproval"
    assert workflow.registry.champion() is None


def test_a_model_that_was_not_evaluated_is_not_promoted() -> None:
    workflow = Workflow()
    taken, artifact = run(workflow)
    workflow.train(taken, weights=b"others")
    evaluated = workflow.world.s3.objects[TRAINING, layout.evaluation_key(taken["Run"])]
    workflow.train(taken)
    workflow.world.s3.objects[TRAINING, layout.evaluation_key(taken["Run"])] = evaluated
    with pytest.raises(InvalidArtifact, match="is of another model"):
        promote(workflow, taken, artifact)
    assert not workflow.world.sagemaker.packages


def test_a_malformed_evaluation_is_not_promoted() -> None:
    workflow = Workflow()
    taken, artifact = run(workflow)
    workflow.train(taken, Candidate=measured(BalancedAccuracy=figure(None)))
    with pytest.raises(MalformedDocument, match="no balanced accuracy"):
        promote(workflow, taken, artifact)


def test_an_artifact_from_another_bucket_is_refused() -> None:
    workflow = Workflow()
    taken, _ = run(workflow)
    with pytest.raises(InvalidArtifact, match="not in the training bucket"):
        workflow.promoting.promote(taken, "job", "s3://elsewhere/model.tar.gz", "ab" * 32)


def test_the_evidence_has_only_what_sagemaker_takes() -> None:
    workflow = Workflow(World())
    promote(workflow, *run(workflow))
    properties = workflow.world.sagemaker.packages[0]["CustomerMetadataProperties"]
    assert "AcceptedRisks" not in properties  # none: a value may not be empty
    assert "," not in json.dumps(list(properties.values()), separators=(" ", ":"))


def test_an_artifact_that_was_replaced_after_its_evaluation_is_not_even_registered() -> None:
    """The same weights and classes with other code: the evaluation cannot distinguish it from the evaluated one."""
    workflow = Workflow()
    taken = workflow.take(workflow.put_cohort())
    uri = workflow.train(taken)
    measured = hashlib.sha256(workflow.world.s3.objects[layout.parse_uri(uri)]).hexdigest()
    workflow.world.s3.objects[layout.parse_uri(uri)] = model_archive(version="another")
    with pytest.raises(InvalidArtifact, match="it was replaced"):
        workflow.promoting.promote(taken, "job", uri, measured)
    assert workflow.registry.versions() == []
