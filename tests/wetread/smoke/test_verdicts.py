"""Each probe's verdict, from answers as AWS would give them."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest

from functions.domain.lane import Lane
from functions.domain.row import Row, Status
from functions.domain.slices import Split
from tests.fakes.wire import client_error
from wetread.operations.check import CheckResult
from wetread.smoke import account
from wetread.smoke.phantoms import Marks, Upload, lengthened, slice_of, uploads, write_cohort
from wetread.smoke.table import Line, Verdict
from wetread.smoke.training import hash_line
from wetread.smoke.uploads import Uploading, outputs_line, row_line, run_lines, timing_line

MARKS = Marks("0a1b2c3d", "2.25.1")
GOOD = Upload("R6", "limit.dcm", b"bytes", Status.COMPLETED)
ROW = Row(
    upload_id="1",
    updated_at="2026-11-29T00:00:00.000Z",
    status=Status.COMPLETED,
    content_sha256=hashlib.sha256(b"bytes").hexdigest(),
)


def smoked(**clients: Any) -> Any:
    """Return a connection with these clients alone."""
    deployment = SimpleNamespace(alarm_topic_arn="arn:topic", models_bucket_name="models")
    return SimpleNamespace(stack="Wetread", deployment=deployment, client=lambda name: clients[name], **clients)


def pages(**answer: Any) -> Any:
    return lambda _operation: SimpleNamespace(paginate=lambda **_: [answer])


@pytest.mark.parametrize(
    ("changes", "has_champion", "verdict"),
    [
        ({}, True, Verdict.OK),
        ({"content_sha256": "00"}, True, Verdict.FAILED),
        ({"content_sha256": None}, True, Verdict.FAILED),
        ({"status": Status.FAILED, "code": "TooLarge"}, True, Verdict.FAILED),
        ({"status": Status.REFUSED, "code": "TooLarge", "content_sha256": None}, False, Verdict.FAILED),
        ({"status": Status.PENDING}, False, Verdict.LATER),
        ({"status": Status.PENDING}, True, Verdict.FAILED),
    ],
)
def test_a_row_is_what_its_object_deserves(changes: dict[str, Any], has_champion: bool, verdict: Verdict) -> None:
    assert row_line(GOOD, replace(ROW, **changes), has_champion=has_champion).verdict == verdict


def test_the_copy_of_an_object_in_parts_is_judged_without_a_champion() -> None:
    pending = replace(ROW, status=Status.PENDING)
    in_parts = replace(GOOD, in_parts=True)
    assert row_line(in_parts, pending, has_champion=False).verdict == Verdict.OK
    wrong = replace(pending, content_sha256="00")
    assert row_line(in_parts, wrong, has_champion=False).verdict == Verdict.FAILED


def test_an_upload_without_a_row_fails() -> None:
    assert row_line(GOOD, None, has_champion=True).verdict == Verdict.FAILED


def test_the_times_of_a_job_are_said_with_their_differences() -> None:
    start = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)
    times = {"CreationTime": start, "TransformStartTime": start + timedelta(seconds=150)}
    times["TransformEndTime"] = start + timedelta(seconds=180)
    line = timing_line({"TransformJobName": "j", "TransformJobStatus": "Completed", **times})
    assert line.verdict == Verdict.OK
    assert line.seen.endswith("150 s and 30 s")
    assert timing_line({"TransformJobName": "j", "TransformJobStatus": "Failed"}).verdict == Verdict.FAILED


def test_a_run_of_the_express_lane_has_a_time_from_event_to_result() -> None:
    times = {"received_at": "2026-11-30T04:00:00.000Z", "completed_at": "2026-11-30T04:00:07.000Z"}
    (line,) = run_lines([replace(ROW, **times)])
    assert (line.verdict, line.seen) == (Verdict.LOOK, "7 to 7 s, 1 uploads")
    assert not list(run_lines([]))


def test_what_the_express_lane_read_is_no_question_about_a_job() -> None:
    row = replace(
        ROW,
        status=Status.COMPLETED,
        lane=Lane.EXPRESS,
        transform_job_name="wetread-1",
        received_at="2026-11-30T04:00:00.000Z",
        completed_at="2026-11-30T04:00:07.000Z",
    )
    lines = {line.number: line.verdict for line in Uploading(smoked(), MARKS)._of_batches([row])}
    assert lines == {"C2": Verdict.LATER, "C3": Verdict.LOOK, "outputs": Verdict.LATER}


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        (set(), Verdict.LATER),
        ({"outputs/j/x/0123.dcm.out"}, Verdict.OK),
        ({"outputs/j/0123.json"}, Verdict.FAILED),
    ],
)
def test_keys_of_outputs_must_name_uploads(keys: set[str], verdict: Verdict) -> None:
    assert outputs_line(keys, ["j"]).verdict == verdict


@pytest.mark.parametrize(
    ("variables", "verdict"),
    [({"run": '"0123"'}, Verdict.OK), ({"run": '"ABCD"'}, Verdict.FAILED), ({}, Verdict.LATER)],
)
def test_the_hash_of_step_functions_is_compared_where_it_is_shown(variables: dict, verdict: Verdict) -> None:
    events = [{"stateExitedEventDetails": {"name": "Begin", "assignedVariables": variables}}]
    assert hash_line(events, "0123").verdict == verdict


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Image", "B1"),
        ("Quota of transform jobs", "B2"),
        ("Functions", "W4"),
        ("Lambda concurrency", "W4"),
        ("Key mail", "mail"),
        ("boto3 of the functions", "W2"),
        ("CDK bootstrap", "doctor"),
    ],
)
def test_what_doctor_finds_has_a_line_with_its_number(name: str, number: str) -> None:
    well, fault = account.line_of(CheckResult(name, "so")), account.line_of(CheckResult(name, "so", "Do this."))
    unknown = account.line_of(CheckResult(name, "could not ask", "Needs a right.", is_known=False))
    assert {well.number, fault.number, unknown.number} == {number}
    assert (well.verdict, fault.verdict, unknown.verdict) == (Verdict.OK, Verdict.FAILED, Verdict.LATER)
    assert unknown.seen == "could not ask. Needs a right."


def test_every_check_of_doctor_has_its_lines_and_every_number_its_check(connection) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    connection.account.denied["list_subscriptions_by_topic"] = "AuthorizationError"
    lines = list(account.examined(connection))
    assert {line.number for line in lines} == {*account.NUMBERS.values(), "doctor"}
    failed = [line.what for line in lines if line.verdict == Verdict.FAILED]
    assert failed == ["Quota of transform jobs"]
    assert [line.what for line in lines if line.verdict == Verdict.LATER] == ["Alarm mail", "Key mail"]


PACKAGES = "boto3==1.43.106 botocore==1.43.106"


@pytest.mark.parametrize(
    ("stated", "in_layers", "verdict"),
    [
        (PACKAGES, {"Ingest": [PACKAGES], "Dispatch": ["tracing", PACKAGES]}, Verdict.OK),
        (PACKAGES, {"Ingest": [PACKAGES], "Dispatch": ["boto3==1.34.145 botocore==1.34.145"]}, Verdict.FAILED),
        (PACKAGES, {"Ingest": [PACKAGES], "Dispatch": []}, Verdict.FAILED),
        (PACKAGES, {}, Verdict.FAILED),
        ("", {"Ingest": [PACKAGES]}, Verdict.LATER),
    ],
)
def test_the_layer_of_every_function_has_the_stated_versions(
    stated: str, in_layers: dict[str, list[str]], verdict: Verdict
) -> None:
    listed = [
        {"FunctionName": f"Wetread-{name}", "Layers": [{"Arn": text} for text in texts]}
        for name, texts in in_layers.items()
    ]
    listed.append({"FunctionName": "Other-Ingest"})
    client = SimpleNamespace(
        get_paginator=pages(Functions=listed),
        get_layer_version_by_arn=lambda Arn: {"Description": Arn},  # noqa: N803
    )
    there = smoked(**{"lambda": client})
    there.deployment.function_packages = stated
    (line,) = account.packages(there)
    assert line.verdict == verdict
    assert all(text in line.seen for texts in in_layers.values() for text in texts if stated)


def test_an_alarm_that_rings_asks_a_person_to_look() -> None:
    alarm = {"AlarmName": "Wetread-UploadsFailed", "AlarmActions": ["arn:topic"], "StateValue": "ALARM"}
    rung: list[dict] = []
    cloudwatch = SimpleNamespace(
        get_paginator=pages(MetricAlarms=[alarm]),
        set_alarm_state=lambda **request: rung.append(request),
        describe_alarms=lambda **_: {"MetricAlarms": [alarm]},
    )
    (seen,) = account.alarm(smoked(cloudwatch=cloudwatch))
    assert seen.verdict == Verdict.LOOK
    assert seen.seen == "Wetread-UploadsFailed is ALARM. Look whether each subscriber of the topic gets a mail"
    assert [one["AlarmName"] for one in rung] == ["Wetread-UploadsFailed"]


def missed(code: str, decide: Any) -> list[Line]:
    """Return the lines of a missing artifact, by S3's error code and IAM's decision on a role."""

    def head_object(**_: Any) -> None:
        raise client_error(code, "")

    def simulate(**request: Any) -> dict[str, Any]:
        assert request["ActionNames"] == ["s3:ListBucket"]
        assert request["ResourceArns"] == ["arn:aws:s3:::models"]
        return {"EvaluationResults": [{"EvalDecision": decide(request["PolicySourceArn"])}]}

    names = [f"{part}1" for part in ("BatchDispatch", "BatchSweep", "TrainingPromote", "TrainingApprove", "Ingest")]
    listed = [{"FunctionName": f"Wetread-{name}", "Role": f"arn:aws:iam::1:role/{name}"} for name in names]
    functions = SimpleNamespace(get_paginator=pages(Functions=listed))
    iam = SimpleNamespace(simulate_principal_policy=simulate)
    clients = {"lambda": functions, "iam": iam, "s3": SimpleNamespace(head_object=head_object)}
    return list(account.missing_artifact(smoked(**clients)))


@pytest.mark.parametrize(("code", "verdict"), [("404", Verdict.OK), ("403", Verdict.FAILED)])
def test_a_missing_artifact_is_404_to_one_who_may_list(code: str, verdict: Verdict) -> None:
    line = missed(code, lambda _role: "allowed")[0]
    assert line.verdict == verdict
    assert "as you and not as a function" in line.what


def test_a_function_that_may_not_list_the_models_bucket_is_named() -> None:
    line = missed("404", lambda role: "implicitDeny" if "Sweep" in role else "allowed")[1]
    assert line.verdict == Verdict.FAILED
    assert line.seen == "Approve allowed, Dispatch allowed, Promote allowed, Sweep implicitDeny"
    assert missed("404", lambda _role: "allowed")[1].verdict == Verdict.OK


def test_a_simulation_that_is_not_allowed_is_for_later() -> None:
    def denied(_role: str) -> str:
        raise client_error("AccessDenied", "")

    assert missed("404", denied)[1].verdict == Verdict.LATER


def test_objects_are_of_the_asked_size_and_can_be_read() -> None:
    body = lengthened(slice_of(MARKS, 1), 100_000)
    assert len(body) == 100_000
    assert pydicom.dcmread(io.BytesIO(body)).StudyInstanceUID == MARKS.study
    made = {one.name: one for one in uploads(MARKS, 200_000)}
    assert len(made["at-the-limit.dcm"].body) == len(made["in-parts.dcm"].body) == 200_000
    with pytest.raises(ValueError, match="cannot be lengthened"):
        lengthened(body, 10)


@pytest.mark.parametrize("labels", [("normal", "cap", "covid"), ("no", "yes")])
def test_no_stage_can_promote_a_model_of_the_cohort(tmp_path, labels: tuple[str, ...]) -> None:
    entries = json.loads((write_cohort(tmp_path, MARKS, labels) / "manifest.json").read_text())
    of = {part: {one["content"]["label"] for one in entries if one["split"] == part} for part in Split}
    assert of[Split.TRAIN] == of[Split.VALIDATION] == set(labels)
    assert of[Split.TEST] == set(labels[:-1])
