"""Executions of the state machine, walked with given answers of AWS: the calls, and how a run ends."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain import layout
from tests.infra.asl import TaskError
from tests.infra.runs import (
    ACCEPTED,
    BUCKET,
    NAME,
    OPTIMISED,
    OPTIMISED_SHA256,
    PROMOTED,
    REFUSED,
    RUN,
    SNAPSHOT,
    TRAINED,
    WHOLE_WAY,
    walk,
)

JOBS = ("Audit", "Train", "Optimise", "Evaluate")


def test_a_good_candidate_is_promoted(machine: dict[str, Any]) -> None:
    execution = walk(machine, {"GateData": {"Passed": True, "Reasons": [ACCEPTED]}})
    assert execution.entered == [*WHOLE_WAY, "Promoted"]
    assert execution.status == "SUCCEEDED"
    assert execution.output == {
        "Outcome": "Promoted",
        "Run": RUN,
        "Reasons": [ACCEPTED],
        "ModelPackage": "wetread/4",
        "SnapshotUri": layout.uri(BUCKET, layout.snapshot_key(RUN)),
        "AuditUri": layout.uri(BUCKET, layout.audit_key(RUN)),
        "EvaluationUri": layout.uri(BUCKET, layout.evaluation_key(RUN)),
        "ReportUri": layout.uri(BUCKET, layout.report_key(RUN)),
    }


def test_the_functions_get_the_events_that_they_expect(machine: dict[str, Any]) -> None:
    arguments = walk(machine).arguments
    given = {"LabelsUri": f"s3://{BUCKET}/cohorts/a/labels.csv"}
    assert arguments["Snapshot"] == {
        "FunctionName": "<TrainingSnapshot>",
        "Payload": {"Execution": NAME, "Input": given},
    }
    for state, document, more in (
        ("GateData", "Audit", {}),
        ("CountAttempt", "Attempt", {}),
        ("GateModel", "Evaluation", {"Attempt": 3}),
    ):
        assert arguments[state] == {
            "FunctionName": "<TrainingGate>",
            "Payload": {"Document": document, "Snapshot": SNAPSHOT, **more},
        }
    assert arguments["Promote"]["Payload"] == {
        "Snapshot": SNAPSHOT,
        "TrainingJobName": TRAINED["TrainingJobName"],
        "ModelArtifactUri": OPTIMISED,
        "ModelArtifactSHA256": OPTIMISED_SHA256,
    }


@pytest.mark.parametrize("reasons", [[], [REFUSED], [REFUSED, ACCEPTED, REFUSED]])
def test_reasons_stay_a_list_however_few_they_are(machine: dict[str, Any], reasons: list[Any]) -> None:
    for state, answer, last in (
        ("Snapshot", SNAPSHOT | {"Taken": False, "SnapshotUri": "", "SlicesManifestUri": ""}, "SnapshotTaken?"),
        ("GateData", {"Passed": False}, "DataSound?"),
        ("GateModel", {"Passed": False}, "GoodEnough?"),
        ("Promote", {"Outcome": "Rejected", "ModelPackage": "wetread/4"}, "Promoted?"),
    ):
        execution = walk(machine, {state: answer | {"Reasons": reasons}})
        assert execution.entered[-2:] == [last, "Rejected"]
        assert (execution.status, execution.output["Outcome"]) == ("SUCCEEDED", "Rejected")
        assert execution.output["Reasons"] == reasons


def test_a_rejected_run_names_its_documents_and_nothing_more(machine: dict[str, Any]) -> None:
    refused = {"Passed": False, "Reasons": [REFUSED]}
    untaken = SNAPSHOT | {"Taken": False, "Reasons": [REFUSED], "SnapshotUri": "", "SlicesManifestUri": ""}
    made = {
        state: {key for key, value in walk(machine, {state: answer}).output.items() if value and key.endswith("Uri")}
        for state, answer in {"Snapshot": untaken, "GateData": refused, "GateModel": refused}.items()
    }
    assert made == {
        "Snapshot": set(),
        "GateData": {"SnapshotUri", "AuditUri", "ReportUri"},
        "GateModel": {"SnapshotUri", "AuditUri", "EvaluationUri", "ReportUri"},
    }
    reports = {state: walk(machine, {state: refused}).output["ReportUri"] for state in ("GateData", "GateModel")}
    assert reports["GateData"] == layout.uri(BUCKET, layout.audit_report_key(RUN))
    assert reports["GateModel"] == layout.uri(BUCKET, layout.report_key(RUN))


def test_the_artifact_that_the_command_line_names_is_the_one_that_the_run_measured() -> None:
    assert layout.uri(BUCKET, layout.candidate_key(RUN)) == OPTIMISED


def test_reasons_of_every_gate_are_collected(machine: dict[str, Any]) -> None:
    late = {"Code": "ChampionChanged", "Message": "Start again.", "Accepted": False}
    answers = {
        "GateData": {"Passed": True, "Reasons": [ACCEPTED, ACCEPTED]},
        "Promote": {"Outcome": "Rejected", "Reasons": [late], "ModelPackage": "wetread/4"},
    }
    assert walk(machine, answers).output["Reasons"] == [ACCEPTED, ACCEPTED, late]


def test_a_person_may_have_to_approve(machine: dict[str, Any]) -> None:
    execution = walk(machine, {"Promote": PROMOTED | {"Outcome": "AwaitingApproval"}})
    assert execution.output["Outcome"] == "AwaitingApproval"
    assert execution.output["ModelPackage"] == "wetread/4"


@pytest.mark.parametrize("answer", [{}, {"Passed": "true"}, {"Passed": None}])
def test_a_gate_that_says_nothing_clear_stays_shut(machine: dict[str, Any], answer: dict[str, Any]) -> None:
    assert "Train" not in walk(machine, {"GateData": answer}).entered
    assert "Promote" not in walk(machine, {"GateModel": answer}).entered
    taken = {"Snapshot": {"Run": RUN, "SnapshotUri": "", "Taken": answer.get("Passed", "")}}
    assert "Audit" not in walk(machine, taken).entered


def test_an_attempt_is_counted_once_however_often_its_job_is_started(machine: dict[str, Any]) -> None:
    no_room = TaskError(
        "SageMaker.ResourceLimitExceededException", "The limit is 4 Instances, a request delta of 1 Instances"
    )
    entered = walk(machine, {"Evaluate": iter([no_room, no_room])}).entered
    assert (entered.count("CountAttempt"), entered.count("Evaluate")) == (1, 3)


def test_one_notice_says_how_a_run_ended(machine: dict[str, Any]) -> None:
    refused = {"GateData": {"Passed": False, "Reasons": [REFUSED, ACCEPTED]}}
    notice = walk(machine, refused).arguments["Rejected"]
    assert notice["Subject"] == f"wetread: training run {RUN}: Rejected"
    assert notice["Message"].splitlines() == [
        f"Training run {RUN} was rejected, and the champion is what it was.",
        "- PatientAcrossSplit: Lines 1 and 2.",
        "- TooFewPatients (accepted): One patient of class cap in test.",
        f"Report: {layout.uri(BUCKET, layout.audit_report_key(RUN))}",
    ]
    notice = walk(machine).arguments["Promoted"]
    assert notice["Message"].splitlines() == [
        f"Training run {RUN} made the new champion.",
        f"Report: {layout.uri(BUCKET, layout.report_key(RUN))}",
    ]
    assert len(notice["Subject"]) < 100, "SNS takes no longer subject"


def test_a_run_keeps_its_outcome_when_the_notice_fails(machine: dict[str, Any]) -> None:
    notified = walk(machine)
    silent = walk(machine, {"Promoted": TaskError("SNS.AuthorizationErrorException", "no")})
    assert silent.entered == [*notified.entered, "EndedUntold"]
    assert (silent.status, silent.output) == ("SUCCEEDED", notified.output)


@pytest.mark.parametrize(
    "state", ["Snapshot", "Audit", "GateData", "Train", "Optimise", "Evaluate", "GateModel", "Promote"]
)
@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (
            '{"TrainingJobStatus":"Failed","FailureReason":"AlgorithmError: no slices"}',
            "FailureReason: AlgorithmError: no slices",
        ),
        (
            '{"ExitMessage": "Out of memory", "FailureReason": "Exit 137"}',
            "ExitMessage: Out of memory\nFailureReason: Exit 137",
        ),
        (
            '{"errorMessage":"GATE is not set","errorType":"SettingsError","stackTrace":[]}',
            "errorMessage: GATE is not set",
        ),
        ("x" * 2000, "x" * 1000),
        (None, ""),
    ],
)
def test_a_failed_task_fails_the_run_and_the_notice_says_what_happened(
    machine: dict[str, Any], state: str, cause: str | None, shown: str
) -> None:
    execution = walk(machine, {state: TaskError("States.TaskFailed", cause)})
    decided = ["TryAgain?"] if state in JOBS else []
    assert execution.entered[-3 - len(decided) :] == [state, *decided, "NotifyFailed", "Failed"]
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "States.TaskFailed", cause or "")
    notice = execution.arguments["NotifyFailed"]
    assert notice["Subject"] == f"wetread: training run {RUN}: Failed"
    assert notice["Message"] == f"Training run {RUN} failed in {state}: States.TaskFailed\n{shown}"


def limited(quota: int, delta: int) -> TaskError:
    """Return SageMaker's refusal for a job of ``delta`` instances."""
    cause = (
        f"The account-level service limit 'ml.m5.2xlarge for training job usage' is {quota} Instances, with current "
        f"utilization of {quota} Instances and a request delta of {delta} Instances. Please use AWS Service Quotas to "
        "request an increase for this quota. (Service: AmazonSageMaker; Status Code: 400; Error Code: "
        "ResourceLimitExceeded; Proxy: null)"
    )
    return TaskError("SageMaker.ResourceLimitExceededException", cause)


def ended(reason: str) -> TaskError:
    return TaskError("States.TaskFailed", f'{{"TrainingJobStatus":"Failed","FailureReason":"{reason}"}}')


NO_CAPACITY = ended("CapacityError: Unable to provision requested ML compute capacity.")
INTERNAL = ended("InternalServerError: We encountered an internal error. Please try again.")


@pytest.mark.parametrize("state", JOBS)
@pytest.mark.parametrize(("quota", "delta"), [(0, 1), (0, 4), (1, 2), (9, 10)])
def test_a_quota_that_the_job_alone_exceeds_ends_the_run_at_once(
    machine: dict[str, Any], state: str, quota: int, delta: int
) -> None:
    execution = walk(machine, {state: limited(quota, delta)})
    assert execution.entered[-4:] == [state, "TryAgain?", "NotifyFailed", "Failed"]
    assert f"is {quota} Instances" in execution.arguments["NotifyFailed"]["Message"]


@pytest.mark.parametrize("state", JOBS)
@pytest.mark.parametrize("error", [limited(1, 1), limited(10, 9), NO_CAPACITY])
def test_a_job_waits_for_room_and_starts_under_another_name(
    machine: dict[str, Any], state: str, error: TaskError
) -> None:
    execution = walk(machine, {state: iter([error, error])})
    again = [state, "TryAgain?", "AwaitRoom", "WhichJob?"]
    first = execution.entered.index(state)
    assert execution.entered[first : first + 9] == [*again, *again, state]
    assert execution.entered[-1] == "Promoted"
    (name,) = (value for key, value in execution.arguments[state].items() if key.endswith("JobName"))
    assert name.endswith("-20")


def test_the_wait_for_room_ends(machine: dict[str, Any]) -> None:
    execution = walk(machine, {"Train": NO_CAPACITY})
    assert execution.entered.count("AwaitRoom") == 30
    assert execution.entered[-3:] == ["TryAgain?", "NotifyFailed", "Failed"]


def test_sagemakers_own_error_is_tried_twice_more_for_each_job(machine: dict[str, Any]) -> None:
    twice = iter([INTERNAL, NO_CAPACITY, INTERNAL])
    execution = walk(machine, {"Audit": twice, "Train": INTERNAL})
    assert execution.entered.count("Audit") == 4
    assert execution.entered.count("Train") == 3
    assert execution.status == "FAILED"


def test_a_failed_run_stays_failed_when_the_notice_fails(machine: dict[str, Any]) -> None:
    answers = {"Train": TaskError("States.TaskFailed", "no"), "NotifyFailed": TaskError("SNS.SdkClientException")}
    execution = walk(machine, answers)
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "States.TaskFailed", "no")
