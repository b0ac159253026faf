"""The service at a glance."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from functions.domain.batch import Batch, BatchStatus
from functions.domain.row import Status, timestamp


def test_people_see_slots_champion_and_dead_letters(wetread, connection, pending) -> None:
    connection.index.rows.append(pending())
    connection.sqs.numbers["uploads-dead"] = 2
    connection.batches.held[0] = Batch(
        batch_id="b7",
        status=BatchStatus.CLAIMING,
        slot=0,
        model_name="m",
        model_package="wetread/3",
        created_at="2026-11-23T08:00:00.000Z",
        updated_at="2026-11-23T08:00:00.000Z",
    )
    result = wetread("status")
    assert result.exit_code == 0
    assert "wetread-b7" in result.stdout
    assert "free" in result.stdout
    assert "Champion: wetread/3" in result.stderr
    assert "2 messages in dead-letter queue uploads-dead" in result.stderr


@pytest.mark.parametrize(
    ("status", "seconds", "warned"),
    [
        (BatchStatus.READY, 180, True),
        (BatchStatus.READY, 5, False),
        (BatchStatus.SUBMITTED, 180, False),
        (BatchStatus.CLAIMING, 180, False),
    ],
)
def test_people_see_that_sagemaker_gives_a_batch_no_host(wetread, connection, status, seconds, warned) -> None:
    created = timestamp(datetime.now(UTC) - timedelta(seconds=seconds))
    connection.batches.held[0] = Batch(
        batch_id="b7",
        status=status,
        slot=0,
        model_name="m",
        model_package="wetread/3",
        created_at=created,
        updated_at=created,
    )
    shown = " ".join(wetread("status").stderr.split())
    assert ("Batch b7 has had no host for 3 min: SageMaker starts no job now." in shown) == warned
    assert ("`wetread doctor` says whether a quota is too small" in shown) == warned


def test_people_see_that_there_is_no_champion(wetread, connection) -> None:
    connection.registry.champion = lambda: None
    shown = wetread("status").stderr
    assert "no champion" in shown
    assert "wetread train --help" in shown
    assert "a run is making one" not in shown


def test_people_see_that_a_run_is_making_the_champion(wetread, connection) -> None:
    connection.registry.champion = lambda: None
    run = connection.runs.describe(connection.executions.add("one", at=1))
    shown = wetread("status").stderr
    assert "no champion" in shown
    assert f"a run is making one: `wetread runs {run.run_id}`" in shown


def test_people_see_how_long_the_oldest_upload_has_waited(wetread, connection, pending) -> None:
    connection.index.rows.append(pending(received_at=timestamp(datetime.now(UTC) - timedelta(minutes=3))))
    assert "The oldest pending upload has waited for 3 min." in wetread("status").stderr


def test_people_see_what_is_tried_again_and_why(wetread, connection, pending) -> None:
    assert "tried again" not in wetread("status").stderr
    for minutes, code in ((3, "SlowDown"), (1, None)):
        arrived = timestamp(datetime.now(UTC) - timedelta(minutes=minutes))
        connection.index.rows.append(pending(received_at=arrived, status=Status.RECEIVED, code=code))
    shown = " ".join(wetread("status").stderr.split())
    assert "Uploads are tried again (2); the oldest arrived 3 min ago, and its last try ended with SlowDown." in shown
    assert json.loads(wetread("status", "--json").stdout)["OldestReceivedSeconds"] == pytest.approx(180, abs=60)
    del connection.index.rows[0]
    assert "its last try was cut off" in " ".join(wetread("status").stderr.split())


def test_a_run_is_shown_by_its_state_and_not_by_what_its_job_prints(wetread, connection) -> None:
    run = connection.runs.describe(connection.executions.add("one", at=1))
    connection.executions.states = ["Train"]
    connection.jobs.jobs = [f"wetread-train-{run.run_id}-0"]
    connection.jobs.lines = ['{"epoch": 1, "train_loss": 0.5}']
    shown = wetread("status").stdout
    assert "Train" in shown
    assert "epoch" not in shown


def test_people_see_that_uploads_wait_for_the_next_day(wetread, connection, pending) -> None:
    connection.index.rows.append(pending())
    assert "jobs of today" not in wetread("status").stderr
    connection.batches.jobs_on = lambda _day: 1000
    shown = wetread("status").stderr
    assert "All 1,000 jobs of today (UTC) are used up" in shown
    assert "max_jobs_per_day" in shown
    assert "wait until 00:00 UTC" in shown


def test_people_see_what_the_webhook_did_not_take(wetread, connection) -> None:
    assert "webhook" not in wetread("status").stderr
    assert json.loads(wetread("status", "--json").stdout)["WebhookDeadLetters"] is None
    connection.deployment = replace(connection.deployment, webhook_dead_letters_url="http://queue/webhook-dead")
    assert "webhook" not in wetread("status").stderr
    connection.sqs.numbers["webhook-dead"] = 3
    assert "3 events of studies that the webhook did not take" in wetread("status").stderr
    document = json.loads(wetread("status", "--json").stdout)
    assert (document["WebhookDeadLetters"], "webhook-dead" in document["DeadLetters"]) == (3, False)


def test_what_the_webhook_did_not_take_needs_the_policy_of_examiners(wetread, connection) -> None:
    connection.deployment = replace(connection.deployment, webhook_dead_letters_url="http://queue/webhook-dead")
    attributes = connection.sqs.get_queue_attributes

    def denied(**request):
        if "webhook" in request["QueueUrl"]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetQueueAttributes")
        return attributes(**request)

    connection.sqs.get_queue_attributes = denied
    result = wetread("status")
    assert result.exit_code == 0
    assert "is not counted: that needs the policy of examiners" in " ".join(result.stderr.split())


def test_people_see_the_runs_of_the_express_lane_today(wetread, connection) -> None:
    assert "Express lane" not in wetread("status").stderr
    connection.deployment = replace(connection.deployment, express_per_day=10_000)
    connection.batches.runs_on = lambda _day: 1234
    assert "Express lane: 1,234 of 10,000 runs of today (UTC) were started." in wetread("status").stderr
    assert json.loads(wetread("status", "--json").stdout)["RunsToday"] == {"Count": 1234, "Most": 10_000}


def test_json(wetread) -> None:
    assert set(json.loads(wetread("status", "--json").stdout)) == {
        "Uploads",
        "OldestPendingSeconds",
        "OldestReceivedSeconds",
        "Slots",
        "JobsToday",
        "RunsToday",
        "Champion",
        "TrainingRuns",
        "DeadLetters",
        "WebhookDeadLetters",
        "Endpoint",
        "OpenStudies",
    }


def test_a_running_training_run_is_shown(wetread, connection) -> None:
    connection.executions.states = ["Snapshot", "Train", "Evaluate"]
    connection.executions.add("ended", status="FAILED")
    arn = connection.executions.add("one", at=1)
    run = connection.runs.describe(arn)
    result = wetread("status")
    (line,) = [line for line in result.stdout.splitlines() if run.run_id in line]
    assert "Evaluate" in line
    assert "Training" in result.stdout
    connection.executions.executions[arn]["at"] = 1
    documents = json.loads(wetread("status", "--json").stdout)["TrainingRuns"]
    assert [one["Run"] for one in documents] == [run.run_id]


def test_without_a_training_run_nothing_is_said_of_one(wetread) -> None:
    assert "Training" not in wetread("status").stdout


def test_an_endpoint_that_is_up_is_shown_with_its_costs(wetread, connection) -> None:
    connection.hosting.exists(model="wetread/2")
    result = wetread("status")
    for expected in ("wetread-endpoint (ml.m5.xlarge) is InService with wetread/2", "costs money", "endpoint down"):
        assert expected in result.stderr
    endpoint = json.loads(wetread("status", "--json").stdout)["Endpoint"]
    assert (endpoint["EndpointStatus"], endpoint["Serves"], endpoint["Hosting"]) == (
        "InService",
        "wetread/2",
        "ml.m5.xlarge",
    )
