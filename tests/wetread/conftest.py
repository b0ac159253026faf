"""A connection made of small in-memory parts, and a runner for the commands that use it."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from functions.aws.studies import Studies
from functions.domain.batch import Batch
from functions.domain.champion import Champion
from functions.domain.row import NAMES, Row, Status
from functions.names import IndexName
from infra.config import StageConfig
from tests.fakes.wire import Wire, client_error
from tests.fakes.world import in_memory
from tests.wetread.account import Account, Session
from tests.wetread.executions import MACHINE, Executions
from tests.wetread.hosting import Hosting
from tests.wetread.jobs import JobLogs
from wetread import cli
from wetread.commands import session
from wetread.deployment import Deployment, Hosts
from wetread.training import following
from wetread.training.runs import Runs

_FIELDS = {name: field for field, name in NAMES.items()}
_numbers = itertools.count(1)

CHAMPION = Champion(
    model_name="wetread-3",
    model_package="wetread/3",
    model_package_arn="arn:aws:sagemaker:us-east-1:000000000000:model-package/wetread/3",
    artifact_sha256="c0ffee" * 10,
    promoted_at="2026-11-23T08:00:00.000Z",
    previous="wetread/2",
)


def _pending(**changes: object) -> Row:
    number = next(_numbers)
    values: dict[str, object] = {
        "upload_id": f"{number:032x}",
        "key": f"ward/{number}.dcm",
        "version_id": f"v{number}",
        "size": 1000,
        "received_at": f"2026-11-23T07:{number // 60 % 60:02d}:{number % 60:02d}.000Z",
        "updated_at": "2026-11-23T08:00:00.000Z",
        "status": Status.PENDING,
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


def _completed(**changes: object) -> Row:
    values: dict[str, object] = {
        "status": Status.COMPLETED,
        "study_instance_uid": "2.25.111111111111",
        "series_instance_uid": "2.25.222222222222",
        "sop_instance_uid": "2.25.333333333333",
        "predicted_class": "covid",
        "probabilities": {"normal": 0.125, "cap": 0.25, "covid": 0.625},
        "model_package": "wetread/3",
        "completed_at": "2026-11-23T08:30:00.000Z",
    }
    return _pending(**(values | changes))


class SageMaker(JobLogs, Hosting):
    """All requests to SageMaker and to its logs."""

    def __init__(self) -> None:
        JobLogs.__init__(self)
        Hosting.__init__(self)


class MemoryIndex:
    """Rows in a list that answers the queries of the index, and records them."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[IndexName] = []

    def get_many(self, upload_ids: Sequence[str]) -> dict[str, Row]:
        return {row.upload_id: row for row in self.rows if row.upload_id in set(upload_ids)}

    def find(self, index, value, *, since=None, newest_first=True, page=None):
        self.asked.append(index)
        sort = _FIELDS[index.sort]
        fitting = [
            row
            for row in self.rows
            if getattr(row, _FIELDS[index.partition]) == value and (since is None or getattr(row, sort) >= since)
        ]
        return iter(sorted(fitting, key=lambda row: getattr(row, sort), reverse=newest_first))

    def oldest(self, index, value, most):
        return list(itertools.islice(self.find(index, value, newest_first=False), most))

    def count(self, index, value, at_most):
        return min(len(list(self.find(index, value))), at_most + 1)


class MemoryBatches:
    def __init__(self, *batches: Batch) -> None:
        self.held = {batch.slot: batch for batch in batches}
        self.opened: dict[str, int] = {}

    def runs_on(self, day: str) -> int:
        return 0

    def jobs_on(self, day: str) -> int:
        return self.opened.get(day, 0)

    def holders(self) -> dict[int, str]:
        return {slot: batch.batch_id for slot, batch in self.held.items()}

    def get(self, batch_id: str) -> Batch | None:
        return next((batch for batch in self.held.values() if batch.batch_id == batch_id), None)


class Queues:
    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers

    def get_queue_attributes(self, *, QueueUrl, AttributeNames) -> dict[str, dict[str, str]]:  # noqa: N803
        return {"Attributes": {AttributeNames[0]: str(self.numbers.get(QueueUrl.rsplit("/", 1)[-1], 0))}}


class MemoryBucket:
    """An S3 client that keeps objects, each put a new version; ``objects`` are the newest by bucket and key."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], bytes] = {}
        self.objects: dict[tuple[str, str], bytes] = {}
        self.heads = 0
        self.settings: dict[str, Any] = {
            "notification_configuration": {"EventBridgeConfiguration": {}},
            "versioning": {"Status": "Enabled"},
            "location": {"LocationConstraint": "eu-west-1"},
            "encryption": {"ServerSideEncryptionConfiguration": {"Rules": []}},
        }
        self._numbers = itertools.count(1)

    def put_object(
        self,
        *,
        Bucket,  # noqa: N803
        Key,  # noqa: N803
        Body,  # noqa: N803
        ContentType=None,  # noqa: N803
        ChecksumSHA256=None,  # noqa: N803
        IfNoneMatch=None,  # noqa: N803
    ) -> dict[str, str]:
        if IfNoneMatch == "*" and (Bucket, Key) in self.objects:
            raise client_error("PreconditionFailed", Key)
        version, body = f"version-{next(self._numbers)}", Body.read()
        assert ChecksumSHA256 in {None, _checksum(body)}
        self.versions[Key, version] = self.objects[Bucket, Key] = body
        return {"VersionId": version}

    def get_object(self, *, Bucket, Key, Range="bytes=0-") -> dict[str, io.BytesIO]:  # noqa: N803
        if (Bucket, Key) not in self.objects:
            raise client_error("NoSuchKey", Key)
        last = Range.removeprefix("bytes=0-")
        return {"Body": io.BytesIO(self.objects[Bucket, Key][: int(last) + 1 if last else None])}

    def head_object(self, *, Bucket, Key, ChecksumMode) -> dict[str, str]:  # noqa: N803
        assert ChecksumMode == "ENABLED"
        self.heads += 1
        if (Bucket, Key) not in self.objects:
            raise client_error("404", "Not Found")
        return {"ChecksumSHA256": _checksum(self.objects[Bucket, Key])}

    def get_bucket_notification_configuration(self, *, Bucket: str) -> Any:  # noqa: N803
        return self._setting("notification_configuration", Bucket)

    def get_bucket_versioning(self, *, Bucket: str) -> Any:  # noqa: N803
        return self._setting("versioning", Bucket)

    def get_bucket_location(self, *, Bucket: str) -> Any:  # noqa: N803
        return self._setting("location", Bucket)

    def get_bucket_encryption(self, *, Bucket: str) -> Any:  # noqa: N803
        return self._setting("encryption", Bucket)

    def _setting(self, name: str, bucket: str) -> Any:
        assert bucket == "uploads"
        found = self.settings[name]
        if isinstance(found, Exception):
            raise found
        return found

    def get_paginator(self, operation: str) -> SimpleNamespace:
        assert operation == "list_objects_v2"
        return SimpleNamespace(paginate=self._list)

    def _list(self, *, Bucket, Prefix):  # noqa: N803
        found = {key: body for (bucket, key), body in self.objects.items() if bucket == Bucket}
        yield {}  # a page may have no Contents
        yield {"Contents": [{"Key": k, "Size": len(body)} for k, body in found.items() if k.startswith(Prefix)]}


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


DEPLOYMENT = Deployment(
    uploads_bucket_name="uploads",
    uploads_queue_url="http://queue/uploads",
    work_bucket_name="work",
    results_bucket_name="results",
    models_bucket_name="models",
    training_bucket_name="training",
    index_table_name="index",
    batches_table_name="batches",
    keys_table_name="keys",
    studies_table_name="studies",
    keys="plain",
    patient_key_id="key",
    tick_queue_url="http://queue/tick.fifo",
    model_package_group_name="wetread",
    training_state_machine_arn=MACHINE,
    job_role_arn="arn:aws:iam::000000000000:role/job",
    endpoint_role_arn="arn:aws:iam::000000000000:role/endpoint",
    labels=("normal", "cap", "covid"),
    image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/wetread:1",
    instance_type="ml.m5.xlarge",
    data_key_arn="arn:aws:kms:us-east-1:000000000000:key/data",
    job_name_prefix="wetread",
    dead_letter_queue_urls=("http://queue/uploads-dead", "http://queue/tick-dead"),
    slots=2,
    max_jobs_per_day=1000,
    served=StageConfig().served,
    job_hosts=(
        Hosts(usage="transform job", instance_type="ml.m5.xlarge", of_one=1, jobs=2),
        Hosts(usage="training job", instance_type="ml.m5.2xlarge", of_one=1, jobs=1),
        Hosts(usage="processing job", instance_type="ml.m5.xlarge", of_one=1, jobs=1),
    ),
    alarm_topic_arn="arn:aws:sns:eu-west-1:123456789012:alarms",
    key_topic_arn="arn:aws:sns:eu-west-1:123456789012:keys",
    function_packages="pydicom==3.0.2 boto3==1.43.106 botocore==1.43.106",
)


@pytest.fixture
def pending() -> Callable[..., Row]:
    """Makes pending rows, each newer than the one before."""
    return _pending


@pytest.fixture
def completed() -> Callable[..., Row]:
    """Makes completed rows, each newer than the one before."""
    return _completed


@pytest.fixture
def memory_index() -> type[MemoryIndex]:
    return MemoryIndex


@pytest.fixture
def connection() -> SimpleNamespace:
    index, jobs = MemoryIndex(), SageMaker()
    account = Account()
    executions: Any = Wire("stepfunctions", Executions())
    return SimpleNamespace(
        where="AWS account 123456789012, region eu-west-1, stack Wetread",
        local=False,
        called="wetread",
        stack="Wetread",
        session=Session(),
        account=account,
        client=account.client,
        deployment=DEPLOYMENT,
        index=index,
        studies=Studies(in_memory(lambda: False), "studies"),
        batches=MemoryBatches(),
        sqs=Queues(),
        s3=MemoryBucket(),
        registry=SimpleNamespace(champion=lambda: CHAMPION, versions=list),
        champions=SimpleNamespace(
            get=lambda: CHAMPION, withdrawal=lambda model_package: None, promotion=lambda model_package: None
        ),
        stepfunctions=executions,
        executions=executions._fake,
        runs=Runs(executions, MACHINE),
        jobs=jobs,
        hosting=jobs,
        sagemaker=Wire("sagemaker", jobs),
        logs=Wire("logs", jobs),
    )


@pytest.fixture
def wetread(connection, monkeypatch, tmp_path_factory) -> Callable[..., Result]:
    """Run the command line against ``connection``."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(session, "connect", lambda choice: connection)
    monkeypatch.setattr(following.time, "sleep", lambda _: None)
    for variable in ("WETREAD_LOCAL", "AWS_PROFILE", "WETREAD_STACK"):
        monkeypatch.delenv(variable, raising=False)
    return lambda *arguments: CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture
def unreadable(monkeypatch):
    """Return a function after which folders of a name cannot be read, by root either."""

    def forbid(name: str) -> None:
        scandir = os.scandir

        def denied(path):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", denied)

    return forbid
