"""The training workflow's handlers, one state after another as the state machine calls them."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from typing import Any

import pytest

from functions import approve, gate, promote, snapshot
from functions.domain import layout
from functions.domain.errors import PromotionRefused
from functions.flow.promoting import Approval
from functions.settings import ApproveSettings, Placement, PromoteSettings, SnapshotSettings, to_environment
from tests.fakes.wire import client_error
from tests.fakes.workflow import Workflow, audit, evaluation, figure, measured
from tests.functions.test_settings import GATE, INGEST


def deployed(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.setattr(snapshot, "_snapshotting", lambda: workflow.snapshotting)
    monkeypatch.setattr(gate, "_gating", lambda: workflow.gating)
    monkeypatch.setattr(gate, "_attempting", lambda: workflow.attempting)
    monkeypatch.setattr(promote, "_promoting", lambda: workflow.promoting)
    monkeypatch.setattr(approve, "_approving", lambda: workflow.approving)
    return workflow


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    return deployed(Workflow(), monkeypatch)


def as_carried(document: Any) -> Any:
    """Return a Lambda's answer as the state machine carries it on."""
    return json.loads(json.dumps(document))


def promotion(workflow: Workflow, taken: dict[str, Any], uri: str) -> dict[str, Any]:
    """Return the workflow's event for ``promote``."""
    digest = hashlib.sha256(workflow.world.s3.objects[layout.parse_uri(uri)]).hexdigest()
    given = {"TrainingJobName": "wetread-train-1", "ModelArtifactUri": uri, "ModelArtifactSHA256": digest}
    return {"Snapshot": taken, **given}


def test_a_run_from_labels_to_champion(workflow: Workflow) -> None:
    uri = workflow.put_cohort(45, slices_per_patient=1)
    taken = as_carried(snapshot.handler({"Execution": "run-1", "Input": {"LabelsUri": uri}}, None))
    assert taken["Taken"]
    workflow.write(layout.audit_key(taken["Run"]), audit(taken))
    verdict = as_carried(gate.handler({"Document": "Audit", "Snapshot": taken}, None))
    assert verdict == {"Passed": True, "Reasons": []}
    artifact = workflow.train(taken)
    counted = as_carried(gate.handler({"Document": "Attempt", "Snapshot": taken}, None))
    assert counted == {"Attempt": 1, "Reasons": []}
    judged = {"Document": "Evaluation", "Snapshot": taken, "Attempt": counted["Attempt"]}
    assert as_carried(gate.handler(judged, None))["Passed"]
    late = {"Document": "Evaluation", "Snapshot": taken, "Attempt": 2}
    assert [one["Code"] for one in gate.handler(late, None)["Reasons"]] == ["MalformedEvaluation"]
    begun_before_the_count = {"Document": "Evaluation", "Snapshot": taken}
    assert gate.handler(begun_before_the_count, None)["Passed"]
    payload = promotion(workflow, taken, artifact)
    assert as_carried(promote.handler(payload, None))["Outcome"] == "Promoted"
    champion = workflow.registry.champion()
    assert champion
    assert champion.model_package == "wetread/1"


def test_an_approval_promotes_what_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = deployed(Workflow(approval=Approval.MANUAL), monkeypatch)
    taken = workflow.take(workflow.put_cohort())
    payload = promotion(workflow, taken, workflow.train(taken))
    answer = as_carried(promote.handler(payload, None))
    assert answer["Outcome"] == "AwaitingApproval"
    arn = answer["ModelPackageArn"]
    workflow.registry.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    body = json.dumps({"detail": {"ModelPackageArn": arn}})
    event = {"Records": [{"messageId": "good", "body": body}, {"messageId": "bad", "body": "{}"}]}
    assert approve.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert workflow.registry.champion()


def test_an_image_of_which_sagemaker_makes_no_model_ends_the_run_with_a_version_to_promote_later(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = workflow.take(workflow.put_cohort())
    artifact = workflow.train(taken)
    oci = "application/vnd.oci.image.manifest.v1+json"

    def refused(**_: Any) -> None:
        raise client_error("ValidationException", f"Unsupported manifest media type {oci}")

    with monkeypatch.context() as patch:
        patch.setattr(workflow.world.sagemaker, "create_model", refused)
        with pytest.raises(PromotionRefused) as error:
            workflow.promote(taken, artifact)
    assert workflow.registry.image_uri in str(error.value)
    assert f"the type {oci}" in str(error.value)
    assert "then promote wetread/1, which is registered and need not be trained again" in str(error.value)
    assert workflow.registry.champion() is None
    assert workflow.registry.promote("wetread/1").model_package == "wetread/1"


def test_metrics_count_candidates(workflow: Workflow, capsys: pytest.CaptureFixture[str]) -> None:
    taken = workflow.take(workflow.put_cohort())
    poor = evaluation(taken, Candidate=measured(BalancedAccuracy=figure(0.1)))
    workflow.write(layout.evaluation_key(taken["Run"]), poor)
    assert not gate.handler({"Document": "Evaluation", "Snapshot": taken}, None)["Passed"]
    assert '"CandidatesRejected":[1.0]' in capsys.readouterr().out
    payload = promotion(workflow, taken, workflow.train(taken))
    promote.handler(payload, None)
    assert '"CandidatesPromoted":[1.0]' in capsys.readouterr().out


def test_logs_name_no_file_and_no_patient(workflow: Workflow, caplog: pytest.LogCaptureFixture) -> None:
    uri = workflow.put_cohort()
    taken = snapshot.handler({"Execution": "run-1", "Input": {"LabelsUri": uri}}, None)
    gate.handler({"Document": "Audit", "Snapshot": taken}, None)
    logged = str([vars(record) for record in caplog.records])
    assert "judged" in logged
    assert "P-cap" not in logged
    assert ".dcm" not in logged


def test_an_aws_error_that_names_a_file_fails_the_state_without_naming_the_file(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S3 names the object that a role may not read; Lambda logs an error's text and Step Functions carries it on."""

    def forbidden(*_: object) -> None:
        raise client_error("AccessDenied", "not authorized to perform s3:GetObject on cohorts/mine/DOE^JANE.dcm")

    monkeypatch.setattr(workflow.snapshotting.cohorts, "head", forbidden)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Lambda logs any exception
        snapshot.handler({"Execution": "run-1", "Input": {"LabelsUri": workflow.put_cohort()}}, None)
    shown = "".join(traceback.format_exception(caught.value)) + str([vars(record) for record in caplog.records])
    assert "DOE" not in shown
    assert str(caught.value) == "AccessDenied in Operation; the function's log says where."


def test_every_handler_is_built_from_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = SnapshotSettings(
        training_bucket="training",
        models_bucket="models",
        batches_table="batches",
        patient_key_id="key",
        labels=("normal", "cap", "covid"),
        folds=0,
        served=INGEST.served,
        data_key_arn="arn:aws:kms:eu-west-1:111111111111:key/1",
    )
    approving = ApproveSettings(
        models_bucket="models",
        batches_table="batches",
        tick_queue_url="https://queue",
        tick_window_seconds=20,
        model_package_group="wetread",
        image_uri="image",
        job_role_arn="role",
        placement=Placement(),
    )
    promoting = PromoteSettings(**vars(approving), training_bucket="training", approval="manual")
    for settings in (stage, GATE, promoting):
        for name, value in to_environment(settings).items():
            monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert snapshot._snapshotting.__wrapped__().labels == ("normal", "cap", "covid")
    assert gate._gating.__wrapped__().thresholds.min_auc == 0.75
    assert promote._promoting.__wrapped__().approval is Approval.MANUAL
    assert approve._approving.__wrapped__().registry.group == "wetread"
