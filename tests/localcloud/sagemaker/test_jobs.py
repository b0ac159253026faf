"""The life of a job, without a cloud around it."""

from __future__ import annotations

import threading

import pytest

from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.jobs import JobFailed, Jobs
from localcloud.sagemaker.store import Store
from localcloud.sagemaker.transform import KIND


class Announced:
    """Stands in for EventBridge and keeps the statuses of its events."""

    def __init__(self):
        self.statuses = []

    def send(self, _detail_type, _arn, detail):
        self.statuses.append(detail["TransformJobStatus"])


@pytest.fixture
def announced():
    return Announced()


@pytest.fixture
def store():
    return Store(lambda: None)


@pytest.fixture
def jobs(store, announced):
    return Jobs(KIND, lambda: store.transform_jobs, store, announced, startup=0)


def start(jobs, run, name="job", admit=lambda: None):
    return jobs.start({"TransformJobName": name}, run, admit)


def fails(error):
    def run(_job):
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "status", "reason"),
    [
        (lambda _job: None, "Completed", None),
        (fails(JobFailed("AlgorithmError: x")), "Failed", "AlgorithmError: x"),
        (fails(invalid("no such thing")), "Failed", "no such thing"),
        (fails(KeyError("a mistake of ours")), "Failed", "InternalServerError: We encountered an internal error"),
    ],
)
def test_a_job_ends_as_its_run_does(jobs, announced, until, run, status, reason):
    start(jobs, run)
    until(lambda: len(announced.statuses) == 2)
    record = jobs.describe("job")
    assert announced.statuses == ["InProgress", status]
    assert record["TransformJobStatus"] == status
    assert record.get("FailureReason", "").startswith(reason or "")
    assert record["TransformEndTime"] >= record["TransformStartTime"]


def test_a_job_can_be_stopped_before_it_has_its_instance(store, announced, until):
    jobs = Jobs(KIND, lambda: store.transform_jobs, store, announced, startup=60)
    start(jobs, fails(AssertionError("it must not run")))
    jobs.stop("job")
    until(lambda: announced.statuses == ["InProgress", "Stopping", "Stopped"])
    assert "TransformStartTime" not in jobs.describe("job")


def test_stopping_ends_what_the_job_waits_for(jobs, announced, until):
    ended, waiting = threading.Event(), threading.Event()

    def run(job):
        with job.stopped_by(ended.set):
            waiting.set()
            assert ended.wait(30)

    start(jobs, run)
    assert waiting.wait(30)
    jobs.stop("job")
    until(lambda: announced.statuses == ["InProgress", "Stopping", "Stopped"])
    with pytest.raises(ServiceError, match="in status Stopped"):
        jobs.stop("job")


def test_a_job_that_is_not_admitted_leaves_no_trace(jobs, announced):
    with pytest.raises(ServiceError, match="full"):
        start(jobs, lambda _job: None, admit=fails_now(invalid("full")))
    assert jobs.all() == []
    assert announced.statuses == []


def fails_now(error):
    def admit():
        raise error

    return admit


def test_interrupted_jobs_have_failed_at_the_next_start(store, announced, jobs):
    running, finished = {"TransformJobStatus": "Stopping"}, {"TransformJobStatus": "Completed"}
    for name, record in (("a", running), ("b", finished)):
        store.transform_jobs[name] = {**record, "TransformJobName": name, "TransformJobArn": name, "CreationTime": 1.0}
    jobs.fail_interrupted()
    assert announced.statuses == ["Failed"]
    assert jobs.describe("a")["FailureReason"].startswith("InternalServerError")
    assert jobs.describe("b")["TransformJobStatus"] == "Completed"


def test_a_closing_service_changes_nothing_any_more(jobs, announced, until):
    ended, waiting = threading.Event(), threading.Event()

    def run(job):
        waiting.set()
        assert job.cancelled.wait(30)
        ended.set()

    start(jobs, run)
    assert waiting.wait(30)
    jobs.close()
    assert ended.wait(30)
    assert jobs.describe("job")["TransformJobStatus"] == "InProgress"
    assert announced.statuses == ["InProgress"]


def test_an_unknown_job_is_not_found(jobs):
    with pytest.raises(ServiceError) as error:
        jobs.describe("none")
    assert error.value.code == "ResourceNotFound"
