"""Every alarm of retraining: its cause is provoked, it rings, and the run book ends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from functions.domain.evidence import Evidence
from tests.e2e.bell import Bell
from tests.e2e.conftest import Service
from tests.e2e.controls import log
from tests.e2e.story import QUICK, SMALL
from tests.e2e.test_runbook import until
from wetread.demo.phantoms import write_cohort
from wetread.training.runs import Run

pytestmark = [pytest.mark.e2e, pytest.mark.thorough, pytest.mark.timeout(600)]


@pytest.fixture
def bell(service: Service) -> Bell:
    bell = Bell(service)
    bell.listen()
    return bell


@contextmanager
def allowed(service: Service, seconds: int) -> Iterator[None]:
    """Limit in seconds for all jobs of a run, instead of days."""
    states, arn = service.connection.client("stepfunctions"), service.connection.deployment.training_state_machine_arn
    deployed = states.describe_state_machine(stateMachineArn=arn)["definition"]
    shortened = json.dumps(json.loads(deployed) | {"TimeoutSeconds": seconds})
    states.update_state_machine(stateMachineArn=arn, definition=shortened)
    try:
        yield
    finally:
        states.update_state_machine(stateMachineArn=arn, definition=deployed)


def started(service: Service, cohort: Path) -> Run:
    assert service.command("train", "--labels", str(cohort), *QUICK, *SMALL).returncode == 0
    return service.connection.runs.newest(1)[0]


def job_of(service: Service, run: Run, step: str) -> str:
    """Return the name of the run's processing job, once it runs."""
    asked = {"NameContains": f"{step}-{run.run_id}", "StatusEquals": "InProgress"}
    jobs = until(lambda: service.connection.sagemaker.list_processing_jobs(**asked)["ProcessingJobSummaries"])
    return str(jobs[0]["ProcessingJobName"])


def test_training_failed_and_timed_out(bell: Bell, tmp_path: Path) -> None:
    """A job is stopped under one run, another takes too long, a third continues where both ended."""
    service, cohort = bell.service, tmp_path / "cohort"
    write_cohort(cohort, patients=30, slices_per_patient=1, size=96)
    with bell.hastened("TrainingFailed", "TrainingTimedOut"):
        failed = started(service, cohort)
        service.connection.sagemaker.stop_processing_job(ProcessingJobName=job_of(service, failed, "audit"))
        bell.rings("TrainingFailed")
        shown = service.command("runs", failed.run_id).stdout
        assert "Failed" in shown
        assert "Audit" in shown
        with allowed(service, 8):
            late = started(service, cohort)
            bell.rings("TrainingTimedOut")
        assert "TimedOut" in service.command("runs", late.run_id).stdout
        again = started(service, cohort)
        training = {"NameContains": again.run_id}
        until(lambda: service.connection.sagemaker.list_training_jobs(**training)["TrainingJobSummaries"])
        bell.ends("TrainingFailed", "TrainingTimedOut")
        service.connection.client("stepfunctions").stop_execution(executionArn=again.arn)


def test_approvals_refused(bell: Bell) -> None:
    """Another champion came between a version's evaluation and its approval."""
    service, registry = bell.service, bell.service.connection.registry
    champion = registry.champion()
    assert champion is not None
    evidence = Evidence(
        run="overtaken",
        snapshot_digest="0" * 64,
        evaluation_sha256="0" * 64,
        evaluation_uri="s3://nowhere/evaluation.json",
        accepted_risks=(),
        evaluated_against="wetread/0",
        balanced_accuracy=0.9,
        training_job_name="overtaken",
    )
    with bell.hastened("ApprovalsRefused"):
        version = registry.register(service.artifact, evidence)
        service.connection.sagemaker.update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus="Approved", ApprovalDescription="The report is convincing"
        )
        bell.rings("ApprovalsRefused")
        assert "approval without promotion" in log(service, "Approve")
        try:
            assert service.command("model", "promote", version.model_package).returncode == 0
            promoted = registry.champion()
            assert promoted is not None
            assert promoted.model_package == version.model_package
            bell.ends("ApprovalsRefused")
        finally:
            registry.promote(champion.model_package)
