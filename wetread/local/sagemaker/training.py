"""Training jobs: channels in, hyperparameters in, `model.tar.gz` out, and the failure that the container wrote down."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from wetread.local.archive import pack
from wetread.local.container_process import ContainerProcess
from wetread.local.logs import LogStream
from wetread.local.sagemaker.errors import invalid
from wetread.local.sagemaker.jobs import Job, JobFailed, JobKind, Jobs
from wetread.local.sagemaker.limits import Limits
from wetread.local.sagemaker.listing import page
from wetread.local.sagemaker.locations import S3Location, resolve
from wetread.local.sagemaker.place import Place
from wetread.local.sagemaker.roles import s3_with_role
from wetread.local.sagemaker.store import Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KIND = JobKind(
    noun="TrainingJob",
    resource="training-job",
    detail_type="SageMaker Training Job State Change",
    start_member="TrainingStartTime",
    end_member="TrainingEndTime",
)
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_DEFAULT_MAX_SECONDS = 24 * 3600
_GRACE_SECONDS = 10.0


class TrainingJobs:
    """The operations on training jobs."""

    def __init__(self, jobs: Jobs, limits: Limits, place: Place):
        self._jobs = jobs
        self._limits = limits
        self._place = place

    def create(self, request: Record) -> Record:
        """CreateTrainingJob: refused at once for whatever AWS refuses at once."""
        name = request["TrainingJobName"]
        self._limits.count_call()
        self._jobs.check_name(name)
        resources = request.get("ResourceConfig", {})
        if "InstanceType" not in resources or "InstanceCount" not in resources:
            raise invalid("ResourceConfig needs InstanceType and InstanceCount.")
        if "TrainingImage" not in request.get("AlgorithmSpecification", {}):
            raise invalid("AlgorithmSpecification needs a TrainingImage.")
        with s3_with_role(request["RoleArn"], name, self._place.endpoint) as s3:
            for channel in request.get("InputDataConfig", []):
                resolve(s3, _source(channel), request["RoleArn"])

        def admit() -> None:
            self._limits.check_instances(resources["InstanceType"], resources["InstanceCount"], "training job")

        members = {"SecondaryStatus": "Starting", "LastModifiedTime": time.time()}
        return self._jobs.start(request, self._run, admit, members)

    def describe(self, request: Record) -> Record:
        """DescribeTrainingJob."""
        record = self._jobs.describe(request["TrainingJobName"])
        ended = record["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
        if ended and record["SecondaryStatus"] != "MaxRuntimeExceeded":
            return {**record, "SecondaryStatus": record["TrainingJobStatus"]}
        return record

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
        request = job.record
        name, role = request["TrainingJobName"], request["RoleArn"]
        with s3_with_role(role, name, self._place.endpoint) as s3, self._place.folder(name) as base:
            self._enter(job, "Downloading")
            _write_configuration(base, request)
            for channel in request.get("InputDataConfig", []):
                _download(s3, channel, role, base / "input" / "data" / channel["ChannelName"], job)
            self._enter(job, "Training")
            status = self._train(job, base)
            self._enter(job, "Uploading")
            output = S3Location.parse(request["OutputDataConfig"]["S3OutputPath"]).below(f"{name}/output")
            _upload(s3, base / "output" / "data", output.below("output.tar.gz"))
            job.check()
            if status != 0:
                raise JobFailed(_failure(base, status))
            artifact = output.below("model.tar.gz")
            if not _upload(s3, base / "model", artifact):
                raise JobFailed("ClientError: The container ended well but wrote nothing to /opt/ml/model.")
            uri = f"s3://{artifact.bucket}/{artifact.key}"
            self._jobs.update(request, ModelArtifacts={"S3ModelArtifacts": uri})

    def _train(self, job: Job, base: Path) -> int:
        """Run the container to its end and return its exit status; a job out of time is stopped."""
        name = job.record["TrainingJobName"]
        log = LogStream(LOG_GROUP, f"{name}/algo-1-local")
        limit = job.record["StoppingCondition"].get("MaxRuntimeInSeconds", _DEFAULT_MAX_SECONDS)
        process = ContainerProcess(
            self._place.command_of("train"),
            base,
            environment=job.record.get("Environment"),
            log=lambda line: log.write([line]),
        )
        try:
            with job.stopped_by(lambda: process.stop(_GRACE_SECONDS)):
                return process.wait(limit)
        except subprocess.TimeoutExpired:
            self._enter(job, "MaxRuntimeExceeded")
            job.cancelled.set()
            return process.stop(_GRACE_SECONDS)
        finally:
            process.stop(grace=0)

    def _enter(self, job: Job, status: str) -> None:
        job.check()
        self._jobs.update(job.record, SecondaryStatus=status, LastModifiedTime=time.time())


def _source(channel: Record) -> Record:
    source: Record | None = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise invalid(f"Channel {channel['ChannelName']} has no S3DataSource, the only source that is supported here.")
    return source


def _write_configuration(base: Path, request: Record) -> None:
    """The files that every training container finds in /opt/ml/input/config."""
    folder = base / "input" / "config"
    for path in (folder, base / "input" / "data", base / "model", base / "output" / "data"):
        path.mkdir(parents=True)
    channels = {
        channel["ChannelName"]: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
        for channel in request.get("InputDataConfig", [])
    }
    host = "algo-1"
    for file, document in (
        ("hyperparameters.json", request.get("HyperParameters", {})),
        ("inputdataconfig.json", channels),
        ("resourceconfig.json", {"current_host": host, "hosts": [host], "network_interface_name": "lo"}),
    ):
        (folder / file).write_text(json.dumps(document))


def _download(s3: S3Client, channel: Record, role: str, folder: Path, job: Job) -> None:
    for item in resolve(s3, _source(channel), role):
        job.check()
        target = (folder / item.name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise JobFailed(f"ClientError: The key {item.name!r} leads out of its channel.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            s3.download_file(item.location.bucket, item.location.key, str(target))
        except ClientError as error:
            raise JobFailed(f"ClientError: Data download failed: {item.name}: {error}") from error


def _upload(s3: S3Client, folder: Path, target: S3Location) -> bool:
    """Pack a folder and upload it; False when it is empty."""
    if not any(folder.iterdir()):
        return False
    archive = folder.parent / target.key.rsplit("/", 1)[-1]
    pack(folder, archive)
    try:
        s3.upload_file(str(archive), target.bucket, target.key)
    except S3UploadFailedError as error:
        raise JobFailed(f"ClientError: The output could not be uploaded: {error}") from error
    return True


def _failure(base: Path, status: int) -> str:
    """The FailureReason of a container that ended badly: what it wrote to /opt/ml/output/failure."""
    path = base / "output" / "failure"
    written = path.read_text(errors="replace").strip() if path.is_file() else "No /opt/ml/output/failure was written"
    return f"AlgorithmError: {written}, exit code: {status}"
