"""Every alarm of uploads, jobs, functions and queues: its cause is provoked, it rings, and the run book ends it.

Periods, and the two thresholds that are ages, are shortened in the deployed alarms; what rings them is the service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.config import Config

from assurance.fault_injection import faulty
from functions.domain import layout
from functions.domain.row import Status
from localcloud import cloud
from tests.e2e.bell import Bell
from tests.e2e.conftest import Service, running
from tests.e2e.controls import configure, function, log, sweep
from tests.e2e.test_runbook import paused, until
from wetread.demo.defects import DEFECTS, UNDECODABLE
from wetread.demo.phantoms import phantom_bytes
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FUNCTIONS = ("Ingest", "Dispatch", "Collect", "Sweep", "Snapshot", "Gate", "Promote", "Approve")
QUEUES = ("Uploads", "Tick", "JobEvents", "Approvals")
FAULTY = "faulty"
QUOTA = "WETREAD_SAGEMAKER_INSTANCE_QUOTA"


@pytest.fixture(scope="module")
def any_champion(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Bell]:
    """A service with nothing wrong, with a champion or without."""
    home = tmp_path_factory.mktemp("cloud") / "home"
    command = faulty.image_command(home.parent / FAULTY)
    with running(home, artifact, champion=False, WETREAD_IMAGE_COMMAND=command) as service:
        bell = Bell(service)
        bell.listen()
        # Dispatch's queue is FIFO: all ticks wait behind a failed one, six minutes as deployed.
        quickly = {"VisibilityTimeout": "5"}
        service.connection.sqs.set_queue_attributes(QueueUrl=service.queue_url("Tick"), Attributes=quickly)
        yield bell


@pytest.fixture
def bell(any_champion: Bell) -> Bell:
    """The service with a champion, whatever ran before."""
    registry = any_champion.service.connection.registry
    if registry.champion() is None:
        registry.promote(registry.register(any_champion.service.artifact).model_package)
    return any_champion


@pytest.fixture
def bell_without_champion(any_champion: Bell) -> Bell:
    """The service as it is before the first promotion, whatever ran before."""
    connection = any_champion.service.connection
    where = {"TableName": connection.deployment.batches_table_name, "Key": {"Id": {"S": "CHAMPION"}}}
    connection.dynamodb.delete_item(**where)
    return any_champion


def good(patient: int) -> bytes:
    return phantom_bytes("cap", patient, 0, size=96)


def faulty_containers(service: Service) -> Path:
    """Return the folder with the behaviours of containers."""
    return Path(service.environment["WETREAD_HOME"]).parent / FAULTY


def completed(service: Service, uploads: dict[str, str]) -> bool:
    return {row.status for row in service.rows(uploads).values()} == {Status.COMPLETED}


def pending(service: Service, uploads: dict[str, str]) -> None:
    """Wait until the uploads have rows."""
    until(lambda: len(service.connection.index.get_many(uploads.values())) == len(uploads))


def restart() -> None:
    """The cloud with other options, as an account with another quota."""
    cloud.down(PROJECT)
    cloud.up(PROJECT, tether=True)


def test_model_missing(bell_without_champion: Bell) -> None:
    bell = bell_without_champion
    service = bell.service
    with bell.hastened("ModelMissing"):
        uploads = service.put_all({"no-model.dcm": good(1)})
        pending(service, uploads)
        bell.rings("ModelMissing", meanwhile=lambda: sweep(service))
        version = service.command("model", "register", str(service.artifact)).stdout.strip()
        assert service.command("model", "promote", version).returncode == 0
        assert completed(service, uploads), "they start by themselves"
        sweep(service)
        bell.ends("ModelMissing")


def test_jobs_failed_and_uploads_failed(bell: Bell) -> None:
    """The container dies under a job; its uploads are tried again, and one of them has undecodable pixels."""
    service, containers = bell.service, faulty_containers(bell.service)
    faulty.queue(containers, faulty.STUCK)
    defect = next(one for one in DEFECTS if one.code == UNDECODABLE)
    with bell.hastened("JobsFailed", "UploadsFailed"):
        uploads = service.put_all({"killed.dcm": good(4), "spoilt.dcm": defect.spoil(good(3))})
        until(lambda: faulty.holding(containers))
        faulty.kill_holder(containers)
        bell.rings("JobsFailed", "UploadsFailed")
        jobs = service.connection.sagemaker.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"]
        assert [one["FailureReason"] for one in jobs]
        rows = service.rows(uploads)
        assert rows["killed.dcm"].status is Status.COMPLETED, "uploads are tried again by themselves"
        shown = service.command("results", "--status", "failed").stdout
        assert "spoilt.dcm" in shown
        assert UNDECODABLE in shown
        assert completed(service, service.put_all({"spoilt.dcm": good(3)})), "repaired, and submitted again"
        bell.ends("JobsFailed", "UploadsFailed")


@pytest.mark.thorough
def test_sweep_repairs(bell: Bell) -> None:
    """Events of jobs' ends and ticks are lost: the sweep does all the work, for three periods, as deployed."""
    service, events = bell.service, bell.service.connection.client("events")
    (rule,) = [one["Name"] for one in events.list_rules()["Rules"] if "JobEnded" in one["Name"]]
    with bell.hastened("SweepRepairs"):
        with paused(service, "Tick"):
            before = configure(service, "Sweep", STALE_SECONDS="0", MAX_BATCH="1")
            events.disable_rule(Name=rule)
            uploads = service.put_all({f"unheard-{n}.dcm": good(50 + n) for n in range(7)})
            pending(service, uploads)
            bell.rings("SweepRepairs", meanwhile=lambda: sweep(service))
            events.enable_rule(Name=rule)
            sweep(service)  # while its limit is zero: a job may just have ended without its event
            configure(service, "Sweep", **before)
        assert completed(service, uploads)
        bell.ends("SweepRepairs")


def test_errors_and_throttles_of_functions(bell: Bell) -> None:
    """Functions fail on a malformed event. Their concurrency is reserved to zero, then restored."""
    service, functions = bell.service, bell.service.connection.client("lambda")
    once = Config(retries={"total_max_attempts": 1})
    impatient = service.connection.session.client("lambda", config=once)
    physical = {name: function(service, name) for name in FUNCTIONS}
    errors = [f"{name}Errors" for name in FUNCTIONS if name not in {"Dispatch", "Sweep"}]
    throttles = [f"{name}Throttles" for name in FUNCTIONS]
    with bell.hastened(*errors, *throttles):
        for name in errors:
            answer = functions.invoke(FunctionName=physical[name.removesuffix("Errors")], Payload=b"[]")
            assert "FunctionError" in answer, name
        bell.rings(*errors)
        assert bell.alarm("DispatchErrors")["StateValue"] == "OK", "an error rings one function's alarm"
        functions.put_function_concurrency(FunctionName=physical["Dispatch"], ReservedConcurrentExecutions=0)
        uploads = service.put_all({"throttled.dcm": good(6)})
        bell.rings("DispatchThrottles")
        for name in physical.values():
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
            with pytest.raises(impatient.exceptions.TooManyRequestsException):
                impatient.invoke(FunctionName=name)
        bell.rings(*[name for name in throttles if name != "DispatchThrottles"])
        for name in physical.values():
            functions.delete_function_concurrency(FunctionName=name)
        sweep(service)
        assert completed(service, uploads)
        bell.ends(*errors, *throttles)


def test_errors_of_dispatch_and_sweep(bell: Bell) -> None:
    """The champion's artifact is not the promoted one; then its version is restored."""
    service, s3 = bell.service, bell.service.connection.s3
    champion = service.connection.registry.champion()
    assert champion is not None
    where = {"Bucket": service.connection.deployment.models_bucket_name}
    where["Key"] = layout.artifact_key(champion.artifact_sha256)
    with bell.hastened("DispatchErrors", "SweepErrors"):
        other = s3.put_object(**where, Body=b"another model")["VersionId"]
        uploads = service.put_all({"changed.dcm": good(5)})
        bell.rings("DispatchErrors", "SweepErrors", meanwhile=lambda: sweep(service))
        assert "ArtifactChanged" in log(service, "Dispatch")
        s3.delete_object(**where, VersionId=other)
        sweep(service)
        assert completed(service, uploads)
        bell.ends("DispatchErrors", "SweepErrors")


def test_dead_letters(bell: Bell) -> None:
    """Ingest fails until its setting is repaired. The other queues get a message by hand."""
    service, sqs = bell.service, bell.service.connection.sqs
    names = [f"{name}DeadLetters" for name in QUEUES]
    sources = {url: attributes(service, url) for url in map(service.queue_url, ("Uploads", "IntakeRetry"))}
    dead = {name: one for name in QUEUES for one in service.connection.deployment.dead_letter_queue_urls if name in one}
    by_hand = [url for name, url in dead.items() if name != "Uploads"]
    with bell.hastened(*names):
        for url, deployed in sources.items():
            redrive = json.loads(deployed["RedrivePolicy"]) | {"maxReceiveCount": 1}
            hurried = {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(redrive)}
            sqs.set_queue_attributes(QueueUrl=url, Attributes=hurried)
        before = configure(service, "Ingest", INDEX_TABLE="gone")
        uploads = service.put_all({"dead.dcm": good(7)})
        for url in by_hand:
            send(service, url)
        bell.rings(*names)
        assert dead["Uploads"].rsplit("/", 1)[-1] in service.command("doctor").stdout
        configure(service, "Ingest", **before)
        for url, deployed in sources.items():
            sqs.set_queue_attributes(QueueUrl=url, Attributes=deployed)
        arn = sqs.get_queue_attributes(QueueUrl=dead["Uploads"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.start_message_move_task(SourceArn=arn)
        for url in by_hand:
            sqs.purge_queue(QueueUrl=url)
        assert completed(service, uploads)
        bell.ends(*names)


def test_uploads_not_taken(bell: Bell) -> None:
    """A message that is not an event, and an object that S3 refuses with an unknown error."""
    service, sqs = bell.service, bell.service.connection.sqs
    with bell.hastened("UploadsNotTaken"):
        send(service, service.queue_url("Uploads"))
        bell.rings("UploadsNotTaken")
        assert "MalformedEvent" in log(service, "Ingest")
        for url in map(service.queue_url, ("Uploads", "IntakeRetry")):
            sqs.purge_queue(QueueUrl=url)
        assert completed(service, service.put_all({"after.dcm": good(9)}))
        bell.ends("UploadsNotTaken")


def attributes(service: Service, url: str) -> dict[str, str]:
    """Return a queue's deployed redelivery settings."""
    asked = ["VisibilityTimeout", "RedrivePolicy"]
    found: dict[str, str] = service.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked)[
        "Attributes"
    ]
    return found


def send(service: Service, url: str) -> None:
    """A message that no function has to read."""
    fifo = {"MessageGroupId": "x", "MessageDeduplicationId": "x"} if url.endswith(".fifo") else {}
    service.connection.sqs.send_message(QueueUrl=url, MessageBody="{}", **fifo)


def test_budget_reached(bell: Bell) -> None:
    """The day's jobs are used up, after which uploads wait; then the stage is given more."""
    service = bell.service
    assert completed(service, service.put_all({"first.dcm": good(19)})), "the day has had a job"
    with bell.hastened("BudgetReached"):
        before = {name: configure(service, name, MAX_JOBS_PER_DAY="1") for name in ("Dispatch", "Sweep")}
        uploads = service.put_all({"too-many.dcm": good(9)})
        pending(service, uploads)
        bell.rings("BudgetReached", meanwhile=lambda: sweep(service))
        assert {row.status for row in service.connection.index.get_many(uploads.values()).values()} == {Status.PENDING}
        for name, settings in before.items():
            configure(service, name, **settings)
        sweep(service)
        assert completed(service, uploads), "they start by themselves"
        sweep(service)
        bell.ends("BudgetReached")


@pytest.mark.thorough
def test_ages_of_every_queue(bell: Bell) -> None:
    """The queues are not read until their functions' mappings are enabled again."""
    service, sqs = bell.service, bell.service.connection.sqs
    names = [*(f"{name}Age" for name in QUEUES), "UploadsRetryAge"]
    with bell.hastened(*names, Threshold=2):
        with ExitStack() as stack:
            for name in (*QUEUES, "IntakeRetry"):
                stack.enter_context(paused(service, name))
            uploads = service.put_all({"old.dcm": good(8)})
            by_hand = [service.queue_url(name) for name in (*QUEUES, "IntakeRetry") if name != "Uploads"]
            for url in by_hand:
                send(service, url)
            bell.rings(*names)
            for url in by_hand:
                sqs.purge_queue(QueueUrl=url)
        assert completed(service, uploads)
        bell.ends(*names)


def test_oldest_pending(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account has no instances for transform jobs, as new ones have; then its quota is raised."""
    service = bell.service
    with bell.hastened("OldestPending", Threshold=5):
        before = configure(service, "Sweep", STALE_SECONDS="1")
        monkeypatch.setenv(QUOTA, "0")
        restart()
        uploads = service.put_all({"no-room.dcm": good(2)})
        bell.rings("OldestPending", meanwhile=lambda: sweep(service))
        # The wait of an earlier test's upload may have rung it: until then no job may have been requested.
        until(lambda: sweep(service) or "no room" in log(service, "Dispatch") + log(service, "Sweep"))
        monkeypatch.delenv(QUOTA)
        restart()
        sweep(service)
        assert completed(service, uploads)
        configure(service, "Sweep", **before)
        sweep(service)
        bell.ends("OldestPending")


def test_oldest_study(bell: Bell) -> None:
    """A study is open until it has been quiet for a while; each sweep says for how long."""
    service = bell.service
    with bell.hastened("OldestStudy", Threshold=5):
        uploads = service.put_all({"open.dcm": good(12)})
        bell.rings("OldestStudy", meanwhile=lambda: sweep(service))
        assert completed(service, uploads)
        until(lambda: sweep(service) or not list(service.connection.studies.open()))
        bell.ends("OldestStudy")
