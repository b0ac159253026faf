"""Every fault is found and has a remedy."""

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import NoCredentialsError

from functions.domain.row import timestamp
from wetread import diagnosis
from wetread.problems import ConfigProblem


@pytest.fixture
def healthy(connection, monkeypatch):
    connection.s3.get_bucket_notification_configuration = lambda Bucket: {"EventBridgeConfiguration": {}}  # noqa: N803
    connection.s3.get_bucket_versioning = lambda Bucket: {"Status": "Enabled"}  # noqa: N803
    monkeypatch.setattr(diagnosis, "connect", lambda choice: connection)
    return connection


def faults(result) -> dict[str, str]:
    return {one["Name"]: one["Found"] for one in json.loads(result.stdout) if not one["Well"]}


def test_all_is_well(wetread, healthy) -> None:
    result = wetread("doctor")
    assert result.exit_code == 0
    assert "All is well." in result.stderr
    assert result.stderr.splitlines()[0] == healthy.where


def test_each_fault_of_the_service_is_found(wetread, healthy, pending) -> None:
    healthy.registry.champion = lambda: None
    healthy.sqs.numbers["tick-dead"] = 1
    healthy.index.rows.append(pending(received_at="2026-01-01T00:00:00.000Z"))
    healthy.s3.get_bucket_notification_configuration = lambda Bucket: {}  # noqa: N803
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

    monkeypatch.setattr(diagnosis, "connect", fail)
    result = wetread("doctor", "--json")
    assert result.exit_code == 1
    assert set(faults(result)) == {"Cloud"}


def test_missing_packages_are_named(wetread, healthy, monkeypatch) -> None:
    requires = ["click>=8.3", "no-such-package (>1)", "pytest; extra == 'dev'"]
    monkeypatch.setattr(diagnosis.importlib.metadata, "requires", lambda _: requires)
    assert faults(wetread("doctor", "--json"))["Packages"] == "missing: no-such-package"
