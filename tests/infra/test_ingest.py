from __future__ import annotations

from typing import Any

import pytest

from functions import ingest
from functions.flow.ingesting import LAST_DELIVERY, MOST_TRIES
from infra import ingest as deployed
from tests.infra.conftest import text


def test_every_new_object_of_the_uploads_bucket_reaches_the_queue_or_its_dead_letters(default: Any) -> None:
    rule = default.named("AWS::Events::Rule", "IntakeObjectCreated")
    pattern = rule["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    ((name, value),) = pattern["detail"]["bucket"].items()
    assert name == "name"
    assert "StorageUploads" in value[0]["Ref"]
    (target,) = rule["Targets"]
    assert "IntakeUploadsQueue" in target["Arn"]["Fn::GetAtt"][0]
    assert "IntakeUploadsDeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]


def test_eventbridge_may_send_to_the_queue_for_its_rule_only(default: Any) -> None:
    policy = default.named("AWS::SQS::QueuePolicy", "IntakeUploadsQueuePolicy")["PolicyDocument"]["Statement"]
    (allowed,) = (one for one in policy if one["Effect"] == "Allow")
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    ((source, rule),) = allowed["Condition"]["ArnEquals"].items()
    assert (source, text(rule)) == ("aws:SourceArn", "<IntakeObjectCreated>")


def test_ingest_takes_uploads_by_ten_and_retries_each_alone(default: Any) -> None:
    first, retry = (_mapping_of(default, f"Intake{name}") for name in ("UploadsQueue", "RetryQueue"))
    assert (first["BatchSize"], first["MaximumBatchingWindowInSeconds"]) == (deployed.BATCH_SIZE, 1)
    assert (retry["BatchSize"], "MaximumBatchingWindowInSeconds" in retry) == (1, False)


def test_a_message_without_an_answer_is_retried_alone_and_ends_as_a_dead_letter(default: Any) -> None:
    def after(queue: str) -> tuple[str, int]:
        policy = default.named("AWS::SQS::Queue", queue)["RedrivePolicy"]
        return text(policy["deadLetterTargetArn"]), policy["maxReceiveCount"]

    assert after("IntakeUploadsQueue") == ("<IntakeRetryQueue>", 1)
    assert after("IntakeRetryQueue") == ("<IntakeUploadsDeadLetters>", deployed.RETRIES)
    assert deployed.RETRIES == LAST_DELIVERY, "the last delivery must know that it is the last"
    assert deployed.RETRIES > MOST_TRIES + 1, "AWS's trouble must not use up what an object may use"


def test_a_batch_of_the_worst_objects_fits_ingest_s_time_twice(default: Any) -> None:
    function = default.named("AWS::Lambda::Function", "IntakeIngest")
    share = min(1.0, function["MemorySize"] / deployed.VCPU_MEMORY)
    batch = _mapping_of(default, "IntakeUploadsQueue")["BatchSize"]
    assert 2 * batch * deployed.WORST_CPU_SECONDS / share <= function["Timeout"]


def test_the_worst_objects_at_once_fit_ingest_s_memory_twice(default: Any) -> None:
    function = default.named("AWS::Lambda::Function", "IntakeIngest")
    assert function["MemorySize"] >= 2 * (deployed.START_MIB + ingest.WORKERS * deployed.WORST_MIB)


def test_the_last_object_begins_only_while_all_running_ones_can_end_in_time(default: Any) -> None:
    function = default.named("AWS::Lambda::Function", "IntakeIngest")
    share = min(1.0, function["MemorySize"] / deployed.VCPU_MEMORY)
    assert ingest.WORKERS * deployed.WORST_CPU_SECONDS / share <= ingest.SECONDS_NEEDED < function["Timeout"]


def test_an_upload_that_kills_every_function_that_reads_it_has_a_row_within_ten_minutes(default: Any) -> None:
    timeout = default.named("AWS::Lambda::Function", "IntakeIngest")["Timeout"]
    hidden = [
        default.named("AWS::SQS::Queue", f"Intake{name}")["VisibilityTimeout"]
        for name in ("UploadsQueue", "RetryQueue")
    ]
    # The first try in a batch, then MOST_TRIES counted tries alone, then the try that refuses it unread.
    assert hidden[0] + MOST_TRIES * hidden[1] + timeout <= deployed.ROW_WITHIN.to_seconds()


def test_aws_without_an_answer_ends_as_an_error_before_it_ends_the_function(
    default: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that is cut off costs the upload a try, which AWS's trouble must not."""
    variables = default.named("AWS::Lambda::Function", "IntakeIngest")["Environment"]["Variables"]
    for name, value in {**variables, "AWS_DEFAULT_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "x")
    ingesting, _ = ingest._parts.__wrapped__()
    for part in (ingesting.uploads, ingesting.index, ingesting.patients):
        waits = part._client.meta.config
        tries = waits.retries["total_max_attempts"]
        pauses = sum(2.0**number for number in range(tries - 1))  # botocore's longest
        seconds = tries * max(waits.read_timeout, waits.connect_timeout) + pauses
        assert seconds + 2 <= deployed.TIMEOUT.to_seconds(), part


def test_an_upload_that_is_held_up_raises_an_alarm_within_ten_minutes(default: Any) -> None:
    hidden = default.named("AWS::SQS::Queue", "IntakeRetryQueue")["VisibilityTimeout"]
    assert (ingest.HELD_UP - 1) * hidden <= deployed.ROW_WITHIN.to_seconds()


def test_the_patient_key_makes_hashes_and_nothing_else(default: Any) -> None:
    key = default.named("AWS::KMS::Key", "IntakePatientKey")
    assert (key["KeySpec"], key["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")


def _mapping_of(assembly: Any, queue: str) -> Any:
    """Return the only mapping that reads a queue."""
    mappings = assembly.of_type("AWS::Lambda::EventSourceMapping").values()
    (found,) = (one for one in mappings if text(one["EventSourceArn"]) == f"<{queue}>")
    return found


def test_a_burst_leaves_concurrency_in_a_new_account_for_what_starts_jobs(default: Any) -> None:
    """New accounts have 10 concurrent executions; dispatch and the sweep need one each."""
    mappings = default.of_type("AWS::Lambda::EventSourceMapping").values()
    taken = [one["ScalingConfig"]["MaximumConcurrency"] for one in mappings if "ScalingConfig" in one]
    assert sum(taken) + 2 <= 10
