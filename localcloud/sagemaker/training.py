"""Training jobs: the operations, and what CreateTrainingJob refuses at once."""

from __future__ import annotations

import time
from pathlib import Path

from localcloud.sagemaker.checkpoints import checkpoint_folder
from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.jobs import Job, JobKind, Jobs
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.locations import S3Location, resolve
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record
from localcloud.sagemaker.training_metrics import TrainingMetrics
from localcloud.sagemaker.training_run import TrainingRun, metric_definitions, s3_source

KIND = JobKind(
    noun="TrainingJob",
    resource="training-job",
    detail_type="SageMaker Training Job State Change",
    start_member="TrainingStartTime",
    end_member="TrainingEndTime",
)
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_HOSTS = 9
_ONLY_DEFAULTS = {"InputMode": ("File", "FastFile"), "CompressionType": ("None",), "RecordWrapperType": ("None",)}


class TrainingJobs:
    """The operations on training jobs."""

    def __init__(self, jobs: Jobs, limits: Limits, machine: Machine):
        self._jobs = jobs
        self._limits = limits
        self._machine = machine

    def create(self, request: Record) -> Record:
        """CreateTrainingJob; refuses at once what AWS refuses at once."""
        name = request["TrainingJobName"]
        self._limits.count_call()
        self._jobs.check_name(name)
        _check_rules(request)
        with s3_with_role(request["RoleArn"], name, self._machine.endpoint) as s3:
            for channel in request.get("InputDataConfig", []):
                resolve(s3, s3_source(channel), request["RoleArn"])
        resources = request["ResourceConfig"]

        def admit() -> None:
            self._limits.check_instances(resources["InstanceType"], resources["InstanceCount"], "training job")
            if resources["InstanceCount"] > 1:
                self._check_alone()

        members = {"SecondaryStatus": "Starting", "LastModifiedTime": time.time()}
        return self._jobs.start(request, self._run, admit, members)

    def describe(self, request: Record) -> Record:
        """DescribeTrainingJob."""
        record = self._jobs.describe(request["TrainingJobName"])
        status = record["TrainingJobStatus"]
        if status not in _ENDED:
            return record
        if record["SecondaryStatus"] != "MaxRuntimeExceeded":
            record["SecondaryStatus"] = status
        seconds = int(record["TrainingEndTime"] - record.get("TrainingStartTime", record["TrainingEndTime"]))
        return {**record, "TrainingTimeInSeconds": max(1, seconds), "BillableTimeInSeconds": max(1, seconds)}

    def stop(self, request: Record) -> Record:
        """StopTrainingJob."""
        self._jobs.stop(request["TrainingJobName"])
        return {}

    def list(self, request: Record) -> Record:
        """ListTrainingJobs."""
        members = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "TrainingJobStatus")
        return page(
            self._jobs.all(),
            request,
            answer="TrainingJobSummaries",
            name="TrainingJobName",
            members=members,
            status="TrainingJobStatus",
        )

    def _run(self, job: Job) -> None:
        TrainingRun(job, self._jobs, self._machine).run()

    def _check_alone(self) -> None:
        """Raise ResourceLimitExceeded while another job of several hosts runs: both would use the same port."""
        for other in self._jobs.all():
            if other["TrainingJobStatus"] not in _ENDED and other["ResourceConfig"]["InstanceCount"] > 1:
                raise ServiceError(
                    "ResourceLimitExceeded",
                    "This local SageMaker runs one training job of several instances at a time, because all of them "
                    f"share this machine's ports; {other['TrainingJobName']} runs now.",
                )


def _check_rules(request: Record) -> None:
    """Raise a ValidationException for what SageMaker refuses or this service does not support."""
    algorithm, resources = request.get("AlgorithmSpecification", {}), request.get("ResourceConfig", {})
    if "InstanceType" not in resources or "InstanceCount" not in resources:
        raise invalid("ResourceConfig needs InstanceType and InstanceCount.")
    if not 1 <= resources["InstanceCount"] <= _HOSTS:
        raise invalid(f"ResourceConfig.InstanceCount is {resources['InstanceCount']}; here it can be 1 to {_HOSTS}.")
    if "TrainingImage" not in algorithm:
        raise invalid("AlgorithmSpecification needs a TrainingImage.")
    for member in ("ContainerEntrypoint", "ContainerArguments"):
        if member in algorithm:
            raise invalid(f"AlgorithmSpecification.{member} is not supported here: the image's command `train` runs.")
    TrainingMetrics(metric_definitions(request), request["TrainingJobName"])
    S3Location.parse(request["OutputDataConfig"]["S3OutputPath"])
    _check_spot(request)
    checkpoints = request.get("CheckpointConfig")
    if checkpoints is not None:
        checkpoint_folder(Path(), checkpoints)
        S3Location.parse(checkpoints["S3Uri"])
    for channel in request.get("InputDataConfig", []):
        for member, known in _ONLY_DEFAULTS.items():
            if channel.get(member, known[0]) not in known:
                raise invalid(f"{member} {channel[member]} of channel {channel['ChannelName']} is not supported here.")


def _check_spot(request: Record) -> None:
    stopping = request["StoppingCondition"]
    wait, limit = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds", 24 * 3600)
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < limit:
            raise invalid(
                f"MaxWaitTimeInSeconds is {wait}, but with EnableManagedSpotTraining it must be at least "
                f"MaxRuntimeInSeconds, which is {limit}."
            )
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds can be given only with EnableManagedSpotTraining.")
