"""Why a run ended as it did, whole, and what to do next."""

import io
import json
from datetime import UTC, datetime

import pytest

from functions.domain import layout
from functions.domain.layout import run_id
from wetread.training import run_report
from wetread.training.run_report import Reason
from wetread.training.runs import Run

RUN = run_id("one")


def reason(code: str, *, accepted: bool = False, message: str = "It is so.") -> dict[str, object]:
    return {"Code": code, "Message": message, "Accepted": accepted}


@pytest.fixture
def ended(connection):
    """Makes a run that has ended with an outcome and these reasons."""

    def end(outcome: str, *reasons: dict[str, object], **output: object):
        document = {"Outcome": outcome, "Run": RUN, "Reasons": list(reasons), "ReportUri": ""} | output
        asked = {"LabelsUri": "s3://t/cohorts/my labels/m.json", "Seed": 7, "HyperParameters": {"epochs": "40"}}
        shown = {"input": json.dumps(asked), "output": json.dumps(document)}
        arn = connection.executions.add("one", status="SUCCEEDED", **shown)
        return connection.runs.describe(arn)

    return end


def advice(run, *found: dict[str, object]) -> str:
    return "\n".join(run_report.advice(run, [Reason.of(one) for one in found], "wetread --local"))


def test_the_documents_have_every_reason_whole(connection, ended) -> None:
    for key, code in ((layout.data_gate_key, "TooFewPatients"), (layout.model_gate_key, "AUCTooLow")):
        verdict = {"Schema": "verdict/1", "Passed": False, "Reasons": [reason(code, message="long " * 200)]}
        body = io.BytesIO(json.dumps(verdict).encode())
        connection.s3.put_object(Bucket="training", Key=key(RUN), Body=body, ContentType="application/json")
    run = ended("Rejected", reason("TooFewPatients", message="long…"), reason("MoreReasons"), reason("ChampionChanged"))
    found = run_report.reasons(connection, run)
    assert [one.code for one in found] == ["TooFewPatients", "AUCTooLow", "ChampionChanged"]
    assert found[0].message == "long " * 200


def test_without_documents_the_output_has_the_reasons(connection, ended) -> None:
    run = ended("Rejected", reason("TooFewPatients", accepted=True), reason("AUCTooLow"))
    assert [(one.code, one.accepted) for one in run_report.reasons(connection, run)] == [
        ("TooFewPatients", True),
        ("AUCTooLow", False),
    ]


def test_risks_can_be_accepted_by_name_all_of_them(ended) -> None:
    found = (reason("TooFewPatients"), reason("TooFewPatients"), reason("PatientAcrossSplit", accepted=True))
    shown = advice(ended("Rejected"), *found)
    risks = "--accept-risk PatientAcrossSplit --accept-risk TooFewPatients"
    assert f"train --labels 's3://t/cohorts/my labels/m.json' {risks} --seed 7 --set epochs=40" in shown
    assert "--report" not in shown


def test_a_candidate_of_too_few_patients_to_tell_was_trained_and_can_be_decided_about_by_a_person(ended) -> None:
    evaluated = {"EvaluationUri": f"s3://training/runs/{RUN}/evaluation/evaluation.json"}
    shown = advice(ended("Rejected", **evaluated), reason("TooFewToCompare"))
    assert "Nothing was trained" not in shown
    assert "--accept-risk TooFewToCompare" in shown
    assert "one more attempt on these test patients" in shown
    assert f"model register s3://training/runs/{RUN}/optimised/model.tar.gz" in shown


@pytest.mark.parametrize("code", ["UnknownLabel", "InvalidInput", "UndecodableSlice"])
def test_what_cannot_be_accepted_must_be_mended(ended, code) -> None:
    shown = advice(ended("Rejected"), reason(code), reason("TooFewPatients"))
    assert "Repair what the reasons name" in shown
    assert "--accept-risk" not in shown


def test_after_each_other_outcome(ended) -> None:
    report = {"ReportUri": "s3://training/runs/r/evaluation/report.html"}
    promoted = advice(ended("Promoted", ModelPackage="wetread/4", **report))
    assert f"wetread --local runs {RUN} --report report.html" in promoted
    assert "wetread --local model show wetread/4" in promoted
    assert "model promote wetread/4" in advice(ended("AwaitingApproval", ModelPackage="wetread/4", **report))
    assert "The champion is what it was" in advice(ended("Rejected", **report), reason("AUCTooLow"))
    assert "Train again" in advice(ended("Rejected", **report), reason("ChampionChanged"))


def test_a_rejected_candidate_is_named_with_the_command_that_uses_it_all_the_same(ended) -> None:
    evaluated = {"EvaluationUri": f"s3://training/runs/{RUN}/evaluation/evaluation.json"}
    shown = advice(ended("Rejected", **evaluated), reason("AUCTooLow"))
    uri = f"s3://training/runs/{RUN}/optimised/model.tar.gz"
    assert f"`wetread --local model register {uri}` makes it a version" in shown
    changed = advice(ended("Rejected", ModelPackage="wetread/5", **evaluated), reason("ChampionChanged"))
    assert "`wetread --local model promote wetread/5`" in changed
    assert "artifact" not in advice(ended("Rejected"), reason("TooFewPatients")), "nothing was trained"
    assert "artifact" not in advice(ended("Promoted", ModelPackage="wetread/4", **evaluated))


def test_a_running_run_and_a_failed_one(connection) -> None:
    running = connection.runs.describe(connection.executions.add("one"))
    assert f"Look again with `wetread --local runs {RUN}`" in advice(running)
    failed = connection.runs.describe(connection.executions.add("two", status="FAILED"))
    assert "Nothing was promoted" in advice(failed)


def test_a_candidate_that_could_not_be_promoted_need_not_be_trained_again() -> None:
    refused = Run(name="x", arn="", status="FAILED", started=datetime.now(UTC), error="PromotionRefused", cause="{}")
    shown = advice(refused)
    assert "`wetread --local model list`" in shown
    assert "without training again" in shown


JOB = {"TrainingJobName": "wetread-train-1", "FailureReason": "AlgorithmError: no slices", "RoleArn": "arn"}
FUNCTION = {"errorMessage": "It is not allowed.", "errorType": "ClientError", "stackTrace": ["line 1"]}


@pytest.mark.parametrize(
    ("cause", "expected"),
    [(JOB, "Error. Job wetread-train-1. AlgorithmError: no slices"), (FUNCTION, "Error. It is not allowed.")],
)
def test_the_cause_of_a_failed_job_or_function_is_its_reason_alone(connection, cause, expected) -> None:
    arn = connection.executions.add("one", status="FAILED", error="Error", cause=json.dumps(cause))
    assert run_report.failure(connection.runs.describe(arn)) == expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [("no room", "Error. no room"), ("x" * 900, "Error. " + "x" * 600 + "…"), ('{"a": 1}', 'Error. {"a": 1}')],
)
def test_any_other_cause_is_reported_as_it_is(connection, cause, expected) -> None:
    arn = connection.executions.add("one", status="FAILED", error="Error", cause=cause)
    assert run_report.failure(connection.runs.describe(arn)) == expected


def test_a_failure_without_a_cause(connection) -> None:
    run = connection.runs.describe(connection.executions.add("one", status="TIMED_OUT"))
    assert run_report.failure(run) == "no reason given"
