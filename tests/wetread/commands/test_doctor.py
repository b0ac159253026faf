"""Every fault is found and has a remedy."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import NoCredentialsError

from functions.aws.events import object_created
from functions.domain import layout
from functions.domain.errors import RefusalCode
from functions.domain.row import Status, timestamp
from tests.fakes.wire import client_error
from wetread.commands import session
from wetread.operations import diagnosis
from wetread.problems import ConfigProblem


@pytest.fixture
def healthy(connection):
    return connection


def faults(result) -> dict[str, str]:
    return {one["Name"]: one["Found"] for one in json.loads(result.stdout) if one["Well"] is False}


def test_all_is_well(wetread, healthy) -> None:
    result = wetread("doctor")
    assert result.exit_code == 0
    assert "All is well." in result.stderr
    assert result.stderr.splitlines()[0] == healthy.where


def test_each_fault_of_the_service_is_found(wetread, healthy, pending) -> None:
    healthy.registry.champion = lambda: None
    healthy.sqs.numbers["tick-dead"] = 1
    healthy.index.rows.append(pending(received_at="2026-01-01T00:00:00.000Z"))
    healthy.s3.settings["notification_configuration"] = {}
    result = wetread("doctor", "--json")
    assert result.exit_code == 1
    assert set(faults(result)) == {"Champion", "Dead letters", "Oldest wait", "Uploads bucket"}
    assert all(one["Remedy"] for one in json.loads(result.stdout) if not one["Well"])


def test_a_young_wait_is_no_fault(wetread, healthy, pending) -> None:
    healthy.index.rows.append(pending(received_at=timestamp(datetime.now(UTC))))
    assert wetread("doctor").exit_code == 0


def test_a_failed_run_needs_attention_and_a_rejected_one_is_an_answer(wetread, healthy) -> None:
    healthy.executions.add("one", status="FAILED")
    failed = faults(wetread("doctor", "--json"))
    assert set(failed) == {"Training"}
    assert "ended as Failed" in failed["Training"]
    healthy.executions.add("two", status="SUCCEEDED", output='{"Outcome": "Rejected"}')
    healthy.executions.add("three", at=-1)
    result = wetread("doctor", "--json")
    assert result.exit_code == 0
    assert "ended as Rejected" in result.stdout


@pytest.mark.parametrize("error", [ConfigProblem("The local cloud does not run.", "Start it."), NoCredentialsError()])
def test_a_missing_cloud_is_a_finding(wetread, healthy, monkeypatch, error) -> None:
    def fail(choice):
        raise error

    monkeypatch.setattr(session, "connect", fail)
    result = wetread("doctor", "--json")
    assert result.exit_code == 1
    assert set(faults(result)) == {"Cloud"}


def test_missing_packages_are_named(wetread, healthy, monkeypatch) -> None:
    requires = ["click>=8.3", "no-such-package (>1)", "pytest; extra == 'dev'"]
    monkeypatch.setattr(diagnosis.importlib.metadata, "requires", lambda _: requires)
    assert faults(wetread("doctor", "--json"))["Packages"] == "missing: no-such-package"


@pytest.mark.parametrize(("minutes", "well"), [(3, True), (7, False)])
def test_uploads_that_are_tried_again_are_a_finding_once_that_lasts(wetread, healthy, pending, minutes, well) -> None:
    arrived = timestamp(datetime.now(UTC) - timedelta(minutes=minutes))
    healthy.index.rows.append(pending(received_at=arrived, status=Status.RECEIVED, code="AccessDenied"))
    result = wetread("doctor", "--json")
    found = {"Uploads in retry": f"1, the oldest since {minutes} min (last: AccessDenied)"}
    assert faults(result) == ({} if well else found)
    assert str(found["Uploads in retry"]) in result.stdout


class Uploads:
    """The uploads bucket's versions, two a page, and the queue that takes events."""

    def __init__(self, connection, keys) -> None:
        old = datetime(2026, 11, 1, tzinfo=UTC)
        self.versions = [{"Key": key, "VersionId": "v1", "Size": 7, "LastModified": old} for key in keys]
        self.sent: list[str] = []
        connection.s3.get_paginator = self._paginator
        connection.sqs.send_message_batch = self._send

    def _paginator(self, operation):
        assert operation == "list_object_versions"
        pages = [{"Versions": self.versions[at : at + 2]} for at in range(0, len(self.versions), 2)]
        return SimpleNamespace(paginate=lambda Bucket: [{}, *pages])  # noqa: N803

    def _send(self, *, QueueUrl, Entries):  # noqa: N803
        assert QueueUrl == "http://queue/uploads"
        assert len(Entries) <= 10
        self.sent += [one["MessageBody"] for one in Entries]
        return {"Successful": Entries}


@pytest.fixture
def uploads(healthy, pending) -> Uploads:
    """Seven uploads and two folders. Four have a row: one waits, one is still tried, nothing tries the others."""
    keys = ["waits.dcm", "tried.dcm", "given-up.dcm", "held-up.dcm", "lost.dcm", "a\nb.dcm", "late.dcm"]
    uploads = Uploads(healthy, keys)
    uploads.versions[0:0] = [{**uploads.versions[0], "Key": key, "Size": 0} for key in ("ward/", "ward_$folder$")]
    uploads.versions[-1]["LastModified"] = datetime.now(UTC)
    now = timestamp(datetime.now(UTC))
    for key, status, at in (
        ("waits.dcm", Status.PENDING, "2026-11-01T00:00:00.000Z"),
        ("tried.dcm", Status.RECEIVED, now),
        ("given-up.dcm", Status.RECEIVED, "2026-11-01T00:00:00.000Z"),
        ("held-up.dcm", Status.REFUSED, now),
    ):
        code = RefusalCode.HELD_UP if status == Status.REFUSED else None
        row = pending(
            upload_id=layout.upload_id(key, "v1"), key=key, status=status, code=code, updated_at=at, received_at=now
        )
        healthy.index.rows.append(row)
    return uploads


def test_reconcile_counts_uploads_without_a_row_and_sends_nothing(wetread, uploads) -> None:
    result = wetread("doctor", "--reconcile", "--json")
    assert result.exit_code == 1
    assert faults(result) == {"Uploads without a row": "4 of 6 object versions"}
    assert "--send" in result.stdout
    assert uploads.sent == []


def test_reconcile_names_the_cloud_once_and_says_how_many_are_too_young(wetread, healthy, uploads) -> None:
    result = wetread("doctor", "--reconcile")
    assert result.stderr.count(healthy.where) == 1
    assert "1 object version younger than 15 minutes was left out." in result.stderr
    uploads.versions.append({**uploads.versions[-1], "Key": "later.dcm"})
    assert "2 object versions younger than 15 minutes were left out." in wetread("doctor", "--reconcile").stderr
    del uploads.versions[-2:]
    assert "left out" not in wetread("doctor", "--reconcile").stderr


def test_reconcile_sends_what_has_no_row_as_s3_s_own_events(wetread, uploads) -> None:
    result = wetread("doctor", "--reconcile", "--send", "--json")
    assert result.exit_code == 0
    assert [object_created(body).key for body in uploads.sent] == [
        "given-up.dcm",
        "held-up.dcm",
        "lost.dcm",
        "a\nb.dcm",
    ]
    event = object_created(uploads.sent[0])
    assert (event.bucket, event.version_id, event.size) == ("uploads", "v1", 7)
    assert "4 of 6 object versions, sent again" in result.stdout


def test_a_message_that_the_queue_does_not_take_is_a_problem(wetread, healthy, uploads) -> None:
    healthy.sqs.send_message_batch = lambda **_: {"Failed": [{"Id": "0", "Code": "InternalError"}]}
    result = wetread("doctor", "--reconcile", "--send")
    assert result.exit_code == 1
    assert "InternalError" in result.stderr


def test_send_without_reconcile_says_what_is_missing(wetread, healthy) -> None:
    result = wetread("doctor", "--send")
    assert result.exit_code == 2
    assert "--reconcile" in result.stderr


@pytest.mark.parametrize(
    ("operation", "code", "check", "permission"),
    [
        ("describe_images", "AccessDeniedException", "Image", "ecr:DescribeImages"),
        ("list_service_quotas", "AccessDeniedException", "Quota of training jobs", "servicequotas:"),
        ("get_account_settings", "AccessDeniedException", "Lambda", "lambda:GetAccountSettings"),
        ("get_function_concurrency", "AccessDeniedException", "Lambda", "GetFunctionConcurrency"),
        ("list_stack_resources", "AccessDenied", "Lambda", "cloudformation:ListStackResources"),
        ("list_subscriptions_by_topic", "AuthorizationError", "Alarm mail", "sns:ListSubscriptionsByTopic"),
        ("get_template", "AccessDenied", "CDK bootstrap", "cloudformation:GetTemplate"),
        ("get_parameter", "AccessDeniedException", "CDK bootstrap", "ssm:GetParameter"),
    ],
)
def test_a_check_that_may_not_ask_says_what_it_needs_and_stops_no_other(
    wetread, healthy, operation, code, check, permission
) -> None:
    everything = [one["Name"] for one in json.loads(wetread("doctor", "--json").stdout)]
    healthy.account.denied[operation] = code
    result = wetread("doctor", "--json")
    assert result.exit_code == 0, result.output
    results = {one["Name"]: one for one in json.loads(result.stdout)}
    assert results[check]["Well"] is None
    assert results[check]["Found"].startswith(f"could not ask: {code}") or check == "Image"
    assert permission in results[check]["Remedy"]
    assert {*everything} - {*results} <= {"Functions", "Lambda concurrency"}
    assert "had no answer" in result.stderr


def test_a_denied_survey_of_the_service_is_no_fault_and_stops_no_other(wetread, healthy, monkeypatch) -> None:
    def denied(*_):
        raise client_error("AccessDeniedException", "no")

    monkeypatch.setattr(diagnosis, "read_status", denied)
    result = wetread("doctor", "--json")
    assert result.exit_code == 0, result.output
    results = {one["Name"]: one["Well"] for one in json.loads(result.stdout)}
    assert results["Service"] is None
    assert results["Image"]
    assert results["Training"]
    assert results["Quota of transform jobs"]


def test_a_part_of_the_service_that_is_gone_is_a_fault_and_stops_no_other(wetread, healthy, monkeypatch) -> None:
    def gone(*_):
        raise client_error("ResourceNotFoundException", "no such table")

    monkeypatch.setattr(diagnosis, "read_status", gone)
    healthy.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    result = wetread("doctor", "--json")
    assert result.exit_code == 1
    assert set(faults(result)) == {"Service", "Quota of transform jobs"}


def test_checks_without_an_answer_are_marked_for_people(wetread, healthy) -> None:
    healthy.account.denied["get_parameter"] = "AccessDeniedException"
    result = wetread("doctor")
    (line,) = (line for line in result.stdout.splitlines() if "CDK bootstrap" in line)
    assert line.strip().startswith("?")
    assert "All is well. 1 check had no answer." in result.stderr
