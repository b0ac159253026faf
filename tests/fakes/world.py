"""The whole service over the AWS in memory, in virtual time, for tests and benchmarks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.aws import models
from functions.aws.announcements import Announcements
from functions.aws.artifacts import Artifacts
from functions.aws.backlog import Backlog
from functions.aws.batches import Batches
from functions.aws.champion import Champions
from functions.aws.closers import Closers
from functions.aws.events import ObjectCreated
from functions.aws.express import Runs
from functions.aws.index import Index
from functions.aws.jobs import Jobs
from functions.aws.models import Models
from functions.aws.objects import Documents, Uploads
from functions.aws.patients import Patients
from functions.aws.studies import Studies
from functions.aws.ticks import Ticks
from functions.domain import layout, study_document
from functions.domain.batch import JobShape, Limits
from functions.domain.champion import Champion
from functions.domain.instance import Served
from functions.domain.lane import ExpressLimits
from functions.domain.row import Row, timestamp
from functions.domain.series import SeriesRule
from functions.domain.study import Patience
from functions.flow.announcing import Announcing
from functions.flow.collecting import Collecting
from functions.flow.concluding import Concluding
from functions.flow.dispatching import Dispatching
from functions.flow.ingesting import Ingesting
from functions.flow.marking import Marking
from functions.flow.rescoring import Rescoring
from functions.flow.settling import Settling
from functions.flow.sharing import Sharing
from functions.flow.stalling import Stalling
from functions.flow.sweeping import Sweeping
from functions.flow.trying import Trying
from functions.names import BY_PATIENT, IndexName, Metric, StudyIndexName
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.s3 import FakeS3
from tests.fakes.services import SWEEP, FakeEvents, FakeKMS, FakeLambda, FakeMetrics, FakeSageMaker, FakeTicks
from tests.fakes.wire import Wire

UPLOADS, WORK, RESULTS, MODELS = "uploads-bucket", "work-bucket", "results-bucket", "models-bucket"
IMAGE, ROLE = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:1", "arn:aws:iam::111111111111:role/job"
ARTIFACT = b"the champion's model.tar.gz"
SCRIPT_SHA256 = hashlib.sha256(b"the image's script").hexdigest()
WEIGHTS_SHA256 = hashlib.sha256(b"weights").hexdigest()
CT = "1.2.840.10008.5.1.4.1.1.2"
SERVED = Served(
    sop_class_uids=(CT,),
    modalities=("CT",),
    transfer_syntax_uids=("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"),
    max_object_bytes=16 * 1024 * 1024,
    conformance="repair",
)
PATIENCE = Patience(study_quiet_seconds=300, study_max_open_seconds=7200)
SHAPE = JobShape(
    instance_type="ml.m5.xlarge",
    instance_count=1,
    max_concurrent_transforms=4,
    max_payload_mb=16,
    transform_ami_version="",
    data_key_arn="arn:aws:kms:eu-west-1:111111111111:key/1",
    volume_key_arn="arn:aws:kms:eu-west-1:111111111111:key/1",
)


NO_EXPRESS = ExpressLimits()


def express_limits(**changes: int) -> ExpressLimits:
    """Return the limits of a stage with an express lane."""
    limits = {"express_concurrency": 1, "express_max": 600, "express_per_day": 1000, **changes}
    return ExpressLimits(express=limits["express_concurrency"] > 0, **limits, express_script_sha256=SCRIPT_SHA256)


def in_memory(lagging: Callable[[], bool]) -> FakeDynamoDB:
    """Return all tables, without the local cloud."""
    indexes = {f"index/{index.title}": (index.partition, index.sort) for index in IndexName}
    indexes[f"index/{BY_PATIENT}"] = "PatientHash", "UploadId"
    indexes |= {f"studies/{index.title}": (index.partition, index.sort) for index in StudyIndexName}
    keys = {"index": "UploadId", "batches": "Id", "keys": "UploadId", "studies": "StudyInstanceUID/Item"}
    return FakeDynamoDB(keys, indexes, lagging)


class World:
    """Every part of the service; the test drives its clock."""

    def __init__(
        self,
        *,
        slots: int = 2,
        max_batch: int = 100,
        parallel_threshold: int = 50,
        max_wait_seconds: int = 240,
        worst_seconds: float = 3000,
        max_jobs_per_day: int = 1000,
        window_seconds: int = 20,
        express: ExpressLimits = NO_EXPRESS,
        closers: int = 4,
        served: Served = SERVED,
        interfere: Callable[[str, str], None] = lambda _operation, _when: None,
        lagging: Callable[[], bool] = lambda: False,
        tables: Callable[[Callable[[], bool]], Any] = in_memory,
    ) -> None:
        self.time = datetime(2026, 11, 23, tzinfo=UTC)
        self.skew: Callable[[], timedelta] = timedelta
        self.dynamodb = tables(lagging)
        self.s3 = FakeS3()
        self.s3.clock = lambda: self.time
        self.sagemaker = FakeSageMaker(self.s3, self.clock)
        self.queue = FakeTicks(self.clock)
        self.kms = FakeKMS()
        self.metrics = FakeMetrics()
        self.events = FakeEvents()
        self.functions = FakeLambda()
        fakes = {"dynamodb": self.dynamodb, "s3": self.s3, "sagemaker": self.sagemaker, "sqs": self.queue}
        self.clients: dict[str, Any] = {
            name: Wire(name, fake, interfere)
            for name, fake in {
                **fakes,
                "kms": self.kms,
                "cloudwatch": self.metrics,
                "events": self.events,
                "lambda": self.functions,
            }.items()
        }
        dynamodb, s3, sagemaker, sqs, kms, cloudwatch, events, functions = self.clients.values()
        self.index = Index(dynamodb, "index")
        self.batches = Batches(dynamodb, "batches", "index")
        self.champions = Champions(dynamodb, "batches")
        self.ticks = Ticks(sqs, "https://sqs/ticks.fifo", window_seconds)
        self.jobs = Jobs(sagemaker, WORK)
        work = Documents(s3, WORK)
        self.runs = Runs(client=functions, work=work, function="express", clock=self.clock)
        limits = Limits(
            slots=slots,
            max_batch=max_batch,
            parallel_threshold=parallel_threshold,
            max_wait_seconds=max_wait_seconds,
            worst_seconds=worst_seconds,
        )
        self.uploads = Uploads(s3, UPLOADS, WORK)
        self.studies = Studies(dynamodb, "studies")
        self.ingesting = Ingesting(
            uploads=self.uploads,
            index=self.index,
            patients=Patients(kms, "key"),
            studies=self.studies,
            served=served,
            study_quiet_seconds=PATIENCE.study_quiet_seconds,
            clock=self.clock,
        )
        self.dispatching = Dispatching(
            index=self.index,
            batches=self.batches,
            champions=self.champions,
            artifacts=Artifacts(s3, MODELS),
            models=Models(sagemaker, Artifacts(s3, MODELS)),
            work=work,
            jobs=self.jobs,
            runs=self.runs,
            shape=SHAPE,
            limits=limits,
            express=express,
            max_jobs_per_day=max_jobs_per_day,
            job_name_prefix="wetread",
            clock=self.clock,
        )
        self.marking = Marking(index=self.index, champions=self.champions, studies=self.studies, clock=self.clock)
        self.trying = Trying(batches=self.batches, clock=self.clock)
        self.reported: dict[Metric, float] = {}
        self.collecting = Collecting(
            index=self.index,
            batches=self.batches,
            work=work,
            jobs=self.jobs,
            runs=self.runs,
            marking=self.marking,
            settling=Settling(
                index=self.index,
                work=work,
                results=Documents(s3, RESULTS),
                max_attempts=3,
                clock=self.clock,
            ),
            trying=self.trying,
            studies=self.studies,
            job_name_prefix="wetread",
            clock=self.clock,
        )
        self.concluding = Concluding(
            studies=self.studies,
            index=self.index,
            champions=self.champions,
            results=Documents(s3, RESULTS, study_document.MOST_BYTES),
            rescoring=Rescoring(index=self.index, uploads=self.uploads, clock=self.clock),
            backlog=Backlog(cloudwatch, "uploads", self.clock),
            announcing=Announcing(
                studies=self.studies,
                announcements=Announcements(events, "wetread", RESULTS, ("covid",)),
                clock=self.clock,
            ),
            rule=SeriesRule(),
            patience=PATIENCE,
            clock=self.clock,
        )
        self.sharing = Sharing(concluding=self.concluding, closers=Closers(functions, SWEEP), most=closers)
        self.sweeping = Sweeping(
            dispatching=self.dispatching,
            collecting=self.collecting,
            batches=self.batches,
            index=self.index,
            champions=self.champions,
            jobs=self.jobs,
            runs=self.runs,
            marking=self.marking,
            ticks=self.ticks,
            trying=self.trying,
            stalling=Stalling(index=self.index, clock=self.clock),
            sharing=self.sharing,
            report=self.reported.update,
            stale_seconds=180,
            max_job_seconds=3600,
            clock=self.clock,
        )

    def clock(self) -> datetime:
        """Return the time on the caller's clock."""
        return self.time + self.skew()

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def set_champion(self, package: str = "wetread/1", script_sha256: str = SCRIPT_SHA256) -> None:
        """Make a champion with its artifact, without the registry."""
        current, sha256 = self.champions.get(), hashlib.sha256(ARTIFACT).hexdigest()
        self.s3.objects[MODELS, layout.artifact_key(sha256)] = ARTIFACT
        asked: Any = {"image": IMAGE, "role_arn": ROLE, "vpc": {}}
        name = models.name_of(package, sha256=sha256, **asked)
        data_url = layout.uri(MODELS, layout.artifact_key(sha256))
        self.sagemaker.models[name] = models.request(name, data_url=data_url, **asked)
        champion = Champion(
            model_name=name,
            model_package=package,
            model_package_arn="arn:aws:sagemaker:eu-west-1:111111111111:model-package/wetread/1",
            artifact_sha256=sha256,
            weights_sha256=WEIGHTS_SHA256,
            promoted_at=timestamp(self.time),
            script_sha256=script_sha256,
            previous=current.model_package if current else "",
        )
        assert self.champions.move(champion, current)

    def upload(self, key: str, body: bytes, version: str = "v1") -> ObjectCreated:
        """Put an object version into the uploads bucket; return the event that S3 sends."""
        self.s3.add_version(UPLOADS, key, version, body)
        return ObjectCreated(
            bucket=UPLOADS, key=key, version_id=version, size=len(body), sequencer="01", time=timestamp(self.time)
        )

    def manifest(self, job_name: str) -> list[str]:
        """Return the names of the copies that a job or run reads."""
        batch_id = layout.batch_of_job("wetread", job_name) or ""
        names: list[str] = json.loads(self.s3.objects[WORK, layout.manifest_key(batch_id)])[1:]
        return names

    def rows(self) -> list[Row]:
        """Return every row, whatever its state."""
        return list(self.index.get_many(self.dynamodb.tables["index"]).values())

    def row(self, event: ObjectCreated) -> Row:
        row = self.index.get(layout.upload_id(event.key, event.version_id))
        assert row is not None
        return row


def answer(body: bytes, **changes: Any) -> bytes:
    """Return a container's answer to one object's bytes."""
    document = {
        "Schema": "prediction/2",
        "SOPInstanceUID": "",
        "ContentSHA256": hashlib.sha256(body).hexdigest(),
        "Model": {"Name": "m", "Version": "1", "WeightsSHA256": WEIGHTS_SHA256, "Form": "torch"},
        "Class": "covid",
        "Probabilities": {"normal": 0.125, "cap": 0.125, "covid": 0.75},
        "Notes": [],
        "TimingsMs": {"Decode": 8.0, "Predict": 95.5},
    }
    return json.dumps(document | changes).encode()


def relabelled(served: Served, **changes: Any) -> Served:
    """Return ``served`` with some of its settings changed."""
    return replace(served, **changes)
