"""Batch transform: the operations, what CreateTransformJob refuses, and the run of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from localcloud.containers.container import Container, ContainerError
from localcloud.logs import LogStream
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.jobs import Job, JobFailed, JobKind, Jobs
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.locations import S3Location, resolve
from localcloud.sagemaker.machine import Machine, serving_container
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record
from localcloud.sagemaker.transform_run import BATCH_STRATEGY, RecordTransform, TransformSettings

KIND = JobKind(
    noun="TransformJob",
    resource="transform-job",
    detail_type="SageMaker Transform Job State Change",
    start_member="TransformStartTime",
    end_member="TransformEndTime",
)
LOG_GROUP = "/aws/sagemaker/TransformJobs"
ANSWERS = "answers"
"""The subfolder of a job that holds the container's answers until the job ends."""
_SEE_LOGS = "See job logs for more information"
_NO_PING = (
    "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint is implemented and "
    "responds with an HTTP 200 status code."
)
_ONLY_DEFAULTS = {
    ("TransformInput", "SplitType"): "None",
    ("TransformInput", "CompressionType"): "None",
    ("TransformOutput", "AssembleWith"): "None",
    ("DataProcessing", "JoinSource"): "None",
}


class TransformJobs:
    """The operations on transform jobs."""

    def __init__(self, jobs: Jobs, models: Models, limits: Limits, machine: Machine):
        self._jobs = jobs
        self._models = models
        self._limits = limits
        self._machine = machine

    def create(self, request: Record) -> Record:
        """CreateTransformJob; refuses at once what AWS refuses at once."""
        name = request["TransformJobName"]
        self._limits.count_call()
        self._jobs.check_name(name)
        model = self._models.get(request["ModelName"])
        _check_rules(request)
        role = model["ExecutionRoleArn"]
        with s3_with_role(role, name, self._machine.endpoint) as s3:
            resolve(s3, request["TransformInput"]["DataSource"]["S3DataSource"], role)
        resources = request["TransformResources"]

        def admit() -> None:
            self._limits.check_instances(resources["InstanceType"], resources["InstanceCount"], "transform job")

        return self._jobs.start(request, self._run, admit)

    def describe(self, request: Record) -> Record:
        """DescribeTransformJob."""
        return self._jobs.describe(request["TransformJobName"])

    def stop(self, request: Record) -> Record:
        """StopTransformJob."""
        self._jobs.stop(request["TransformJobName"])
        return {}

    def list(self, request: Record) -> Record:
        """ListTransformJobs."""
        members = (
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "TransformJobStatus",
            "FailureReason",
        )
        return page(
            self._jobs.all(),
            request,
            answer="TransformJobSummaries",
            name="TransformJobName",
            members=members,
            status="TransformJobStatus",
        )

    def _run(self, job: Job) -> None:
        request = job.record
        name = request["TransformJobName"]
        role = self._models.get(request["ModelName"])["ExecutionRoleArn"]
        definition = self._models.container(request["ModelName"])
        container_log = LogStream(LOG_GROUP, f"{name}/i-local")
        data_log = LogStream(LOG_GROUP, f"{name}/i-local/data-log")
        with (
            s3_with_role(role, name, self._machine.endpoint) as s3,
            self._machine.folder(name) as folder,
        ):
            objects = resolve(s3, request["TransformInput"]["DataSource"]["S3DataSource"], role)
            environment = _environment(definition, request)
            container = serving_container(
                s3, definition, folder=folder, machine=self._machine, environment=environment, log=container_log
            )
            with job.stopped_by(container.stop), _serving(container, job, data_log):
                settings = TransformSettings.of(request, container.execution_parameters())
                answers = folder / ANSWERS
                answers.mkdir()
                work = RecordTransform(s3, container, settings, data_log, job.cancelled, answers)
                with ThreadPoolExecutor(settings.concurrency, thread_name_prefix=name) as pool:
                    answered = list(pool.map(work.transform, objects))
            job.check()
            with ThreadPoolExecutor(settings.concurrency, thread_name_prefix=name) as pool:
                succeeded = list(pool.map(work.store, objects, answered))
        job.check()
        if not all(succeeded):
            raise JobFailed(f"{work.blame}: {_SEE_LOGS}")


@contextlib.contextmanager
def _serving(container: Container, job: Job, log: LogStream) -> Iterator[None]:
    """Run the container while this context lasts; raise JobFailed if it does not start."""
    try:
        container.start(job.cancelled)
        yield
    except ContainerError as error:
        job.check()
        log.write(str(error).splitlines())
        raise JobFailed(f"{_NO_PING} {str(error).splitlines()[0]}") from error
    finally:
        container.stop()


def _check_rules(request: Record) -> None:
    """Raise a ValidationException for what SageMaker refuses or this service does not support."""
    concurrency, payload = request.get("MaxConcurrentTransforms", 0), request.get("MaxPayloadInMB", 6)
    if concurrency * payload > 100:
        raise invalid(f"MaxConcurrentTransforms ({concurrency}) * MaxPayloadInMB ({payload}) must not exceed 100 MB.")
    for (structure, member), only in _ONLY_DEFAULTS.items():
        value = request.get(structure, {}).get(member, only)
        if value != only:
            raise invalid(
                f"{structure}.{member} {value} is not supported here: this local SageMaker sends whole objects."
            )
    if request.get("BatchStrategy", "SingleRecord") != "SingleRecord":
        raise invalid("BatchStrategy MultiRecord needs a SplitType other than None.")
    S3Location.parse(request["TransformOutput"]["S3OutputPath"])


def _environment(definition: Record, request: Record) -> dict[str, str]:
    """Return the container's environment: the model's, the job's, and what batch transform adds."""
    environment = {**definition.get("Environment", {}), **request.get("Environment", {}), "SAGEMAKER_BATCH": "true"}
    if "BatchStrategy" in request:
        environment["SAGEMAKER_BATCH_STRATEGY"] = BATCH_STRATEGY
    for member, variable in (
        ("MaxPayloadInMB", "SAGEMAKER_MAX_PAYLOAD_IN_MB"),
        ("MaxConcurrentTransforms", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"),
    ):
        if member in request:
            environment[variable] = str(request[member])
    return environment
