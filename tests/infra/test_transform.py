from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from functions import wiring
from functions.flow.collecting import ALONE_SECONDS
from functions.settings import DispatchSettings, from_environment
from infra.config import StageConfig
from infra.grants import volume_key
from infra.transform import COLLECT_TIMEOUT


def test_ticks_come_one_at_a_time_and_after_a_burst(default: Any) -> None:
    tick = default.named("AWS::SQS::Queue", "BatchTickQueue")
    assert (tick["FifoQueue"], tick["DelaySeconds"]) == (True, 25)
    assert default.named("AWS::SQS::Queue", "BatchTickDeadLetters")["FifoQueue"] is True


def test_only_the_tick_queue_is_fifo(default: Any) -> None:
    fifo = {name for name, queue in default.of_type("AWS::SQS::Queue").items() if "FifoQueue" in queue}
    assert fifo == {"BatchTickQueue", "BatchTickDeadLetters"}


def test_collect_gets_every_end_of_the_services_own_jobs(default: Any) -> None:
    rule = default.named("AWS::Events::Rule", "BatchJobEnded")
    assert rule["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Transform Job State Change"],
        "detail": {
            "TransformJobName": [{"prefix": "wetread-"}],
            "TransformJobStatus": ["Completed", "Failed", "Stopped"],
        },
    }
    (target,) = rule["Targets"]
    assert "BatchJobEventsQueue" in target["Arn"]["Fn::GetAtt"][0]
    assert "BatchJobEventsDeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]


def test_the_sweep_runs_every_minute_and_is_not_retried(default: Any) -> None:
    rule = default.named("AWS::Events::Rule", "BatchEveryMinute")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert rule["Targets"][0]["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    (invocation,) = default.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert invocation["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize(
    ("instance_type", "key_arn"),
    [("ml.m5.xlarge", "key"), ("ml.c7i.large", "key"), ("ml.g5.xlarge", ""), ("ml.g4dn.xlarge", "")],
)
def test_disks_of_transform_hosts_are_encrypted_with_the_data_key_unless_they_are_local(
    instance_type: str, key_arn: str
) -> None:
    assert volume_key(cast("Any", SimpleNamespace(key_arn="key")), instance_type) == key_arn


@pytest.mark.parametrize("function", ["BatchDispatch", "BatchSweep"])
def test_functions_that_start_jobs_know_their_bounds_and_the_key_of_their_disks(default: Any, function: str) -> None:
    environment = default.environment(function)
    assert (environment["MAX_WORK_SECONDS"], environment["MAX_JOBS_PER_DAY"]) == ("1500", "1000")
    assert environment["VOLUME_KEY_ARN"] == environment["DATA_KEY_ARN"] != ""


def test_a_call_that_hangs_ends_in_an_error_before_collect_or_the_sweep_does() -> None:
    tries = wiring.client("s3", wiring.COLLECT_SECONDS).meta.config.retries["total_max_attempts"]
    assert tries * wiring.COLLECT_SECONDS + ALONE_SECONDS < COLLECT_TIMEOUT.to_seconds()


def test_a_job_may_have_requests_larger_than_the_largest_object(default: Any) -> None:
    """SageMaker recommends a slightly larger MaxPayloadInMB, and its MB may have 10^6 bytes."""
    largest = StageConfig().served.max_object_bytes
    shape = from_environment(DispatchSettings, default.environment("BatchDispatch")).shape
    assert shape.max_payload_mb * 10**6 > largest
