"""The cloud that a command calls, the local one or AWS, and the clients of its parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from functions.aws.batches import Batches
from functions.aws.caller import caller_arn
from functions.aws.champion import Champions
from functions.aws.deliveries import Deliveries
from functions.aws.index import Index
from functions.aws.keys import Keys
from functions.aws.objects import Uploads
from functions.aws.patients import Patients
from functions.aws.registry import Registry
from functions.aws.studies import Studies
from functions.aws.ticks import Ticks
from functions.flow.rescoring import Rescoring
from functions.flow.withdrawing import Withdrawing
from localcloud import cloud
from wetread.console import called
from wetread.deployment import Deployment
from wetread.problems import ConfigProblem
from wetread.project import PROJECT
from wetread.training.runs import Runs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sqs import SQSClient

POOL = 32


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The global options: which cloud, and which stack in it."""

    local: bool
    profile: str | None
    region: str | None
    stack: str


class Connection:
    """One cloud. Clients and outputs are created on first use."""

    def __init__(self, session: boto3.Session, where: Callable[[], str], stack: str, *, local: bool) -> None:
        self.session = session
        self.stack = stack
        self.local = local
        self._where = where

    @functools.cached_property
    def where(self) -> str:
        """The cloud in words, for the first line that a person sees."""
        return self._where()

    @property
    def called(self) -> str:
        """How a person calls the command line for this cloud."""
        return called(local=self.local)

    @functools.cached_property
    def deployment(self) -> Deployment:
        """The stack's outputs; raises ConfigProblem if there is no stack."""
        return Deployment.read(self.client("cloudformation"), self.stack)

    def client(self, service: str, **options: Any) -> Any:
        """Return a thread-safe boto3 client of this cloud that retries; ``options`` are of its Config."""
        usual: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 6}, "max_pool_connections": POOL}
        config = Config(**(usual | options))
        return cast("Any", self.session).client(service, config=config)

    @functools.cached_property
    def dynamodb(self) -> DynamoDBClient:
        """The DynamoDB client."""
        return cast("DynamoDBClient", self.client("dynamodb"))

    @functools.cached_property
    def s3(self) -> S3Client:
        """The S3 client."""
        return cast("S3Client", self.client("s3"))

    @functools.cached_property
    def sagemaker(self) -> SageMakerClient:
        """The SageMaker client."""
        return cast("SageMakerClient", self.client("sagemaker"))

    @functools.cached_property
    def sqs(self) -> SQSClient:
        """The SQS client."""
        return cast("SQSClient", self.client("sqs"))

    @functools.cached_property
    def stepfunctions(self) -> Any:
        """The Step Functions client."""
        return self.client("stepfunctions")

    @functools.cached_property
    def logs(self) -> Any:
        """The CloudWatch Logs client."""
        return self.client("logs")

    @functools.cached_property
    def caller_arn(self) -> str:
        """The ARN of the credentials that this command uses: recorded with changes of the champion, never trusted."""
        return caller_arn(self.client("sts"))

    @property
    def index(self) -> Index:
        """The rows."""
        return Index(self.dynamodb, self.deployment.index_table_name)

    @functools.cached_property
    def patients(self) -> Patients:
        """The keyed hashes of patients, studies and keys; they need kms:GenerateMac on the stage's key."""
        return Patients(self.client("kms"), self.deployment.patient_key_id)

    @property
    def keys(self) -> Keys:
        """The keys of objects that rows hide."""
        return Keys(self.dynamodb, self.deployment.keys_table_name, self.patients)

    @property
    def studies(self) -> Studies:
        """The studies: their members, and the revisions of their reads."""
        return Studies(self.dynamodb, self.deployment.studies_table_name)

    @property
    def deliveries(self) -> Deliveries:
        """What became of the DICOM results of studies."""
        return Deliveries(self.dynamodb, self.deployment.studies_table_name)

    @property
    def batches(self) -> Batches:
        """The batches and their slots."""
        return Batches(self.dynamodb, self.deployment.batches_table_name, self.deployment.index_table_name)

    @property
    def champions(self) -> Champions:
        """The champion, earlier champions and withdrawn versions."""
        return Champions(self.dynamodb, self.deployment.batches_table_name)

    @property
    def registry(self) -> Registry:
        """The model versions and the champion."""
        deployment = self.deployment
        return Registry(
            s3=self.s3,
            sagemaker=self.sagemaker,
            champions=self.champions,
            ticks=self._ticks,
            models_bucket=deployment.models_bucket_name,
            group=deployment.model_package_group_name,
            image_uri=deployment.image_uri,
            job_role_arn=deployment.job_role_arn,
            placement=deployment.placement,
            clock=_now,
            caller=lambda: self.caller_arn,
        )

    @property
    def withdrawing(self) -> Withdrawing:
        """The withdrawal of versions."""
        deployment = self.deployment
        return Withdrawing(
            index=self.index,
            batches=self.batches,
            champions=self.champions,
            registry=self.registry,
            studies=self.studies,
            rescoring=Rescoring(
                index=self.index,
                uploads=Uploads(self.s3, deployment.uploads_bucket_name, deployment.work_bucket_name),
                clock=_now,
                keys=self.keys,
            ),
            ticks=self._ticks,
            clock=_now,
        )

    @property
    def runs(self) -> Runs:
        """The runs of the training workflow."""
        return Runs(self.stepfunctions, self.deployment.training_state_machine_arn)

    @property
    def _ticks(self) -> Ticks:
        # One window per second: a person's promotion must not be dropped as the duplicate of another tick.
        return Ticks(self.sqs, self.deployment.tick_queue_url, 1)


def _now() -> datetime:
    return datetime.now(UTC)


def connect(choice: Choice) -> Connection:
    """Return the cloud that was chosen; raises ConfigProblem if the local one does not run."""
    return _local(choice) if choice.local else _aws(choice)


def _local(choice: Choice) -> Connection:
    running = cloud.current(PROJECT)
    if running is None:
        raise ConfigProblem(cloud.why_none(PROJECT), "Start it with `wetread --local up`.")
    return Connection(running.session(), lambda: f"local cloud at {running.endpoint}", choice.stack, local=True)


def _aws(choice: Choice) -> Connection:
    session = boto3.Session(profile_name=choice.profile, region_name=choice.region)

    def where() -> str:
        account = cast("Any", session).client("sts").get_caller_identity()["Account"]
        return f"AWS account {account}, region {session.region_name}, stack {choice.stack}"

    return Connection(session, where, choice.stack, local=False)
