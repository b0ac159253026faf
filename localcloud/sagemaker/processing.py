"""Processing jobs: download inputs, run the image with the job's arguments, upload outputs even if it failed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.containers.container_process import ContainerProcess
from localcloud.logs import LogStream
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.hosts import watch
from localcloud.sagemaker.jobs import Job, JobFailed, JobKind, Jobs, JobStopped
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.locations import S3Location, resolve
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record
from localcloud.sagemaker.transfers import download, moved, upload_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KIND = JobKind(
    noun="ProcessingJob",
    resource="processing-job",
    detail_type="SageMaker Processing Job State Change",
    start_member="ProcessingStartTime",
    end_member="ProcessingEndTime",
)
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
_BELOW = "/opt/ml/processing/"
_DEFAULT_MAX_SECONDS = 24 * 3600
_MESSAGE_LENGTH = 1024
_HOST = "algo-1"
# The values that this service supports, of those that the API offers.
_ONLY: dict[str, tuple[str, ...]] = {
    "S3InputMode": ("File",),
    "S3CompressionType": ("None",),
    "S3UploadMode": ("EndOfJob",),
}


class ProcessingJobs:
    """The operations on processing jobs."""

    def __init__(self, jobs: Jobs, limits: Limits, machine: Machine):
        self._jobs = jobs
        self._limits = limits
        self._machine = machine

    def create(self, request: Record) -> Record:
        """CreateProcessingJob; refuses at once what AWS refuses at once."""
        name = request["ProcessingJobName"]
        self._limits.count_call()
        self._jobs.check_name(name)
        _check_rules(request)
        with s3_with_role(request["RoleArn"], name, self._machine.endpoint) as s3:
            for source in _inputs(request):
                resolve(s3, source, request["RoleArn"])
        cluster = request["ProcessingResources"]["ClusterConfig"]

        def admit() -> None:
            self._limits.check_instances(cluster["InstanceType"], cluster["InstanceCount"], "processing job")

        return self._jobs.start(request, self._run, admit)

    def describe(self, request: Record) -> Record:
        """DescribeProcessingJob."""
        return self._jobs.describe(request["ProcessingJobName"])

    def stop(self, request: Record) -> Record:
        """StopProcessingJob."""
        self._jobs.stop(request["ProcessingJobName"])
        return {}

    def list(self, request: Record) -> Record:
        """ListProcessingJobs."""
        members = (
            "ProcessingJobName",
            "ProcessingJobArn",
            "CreationTime",
            "ProcessingEndTime",
            "ProcessingJobStatus",
            "FailureReason",
            "ExitMessage",
        )
        return page(
            self._jobs.all(),
            request,
            answer="ProcessingJobSummaries",
            name="ProcessingJobName",
            members=members,
            status="ProcessingJobStatus",
        )

    def _run(self, job: Job) -> None:
        request = job.record
        name, role = request["ProcessingJobName"], request["RoleArn"]
        with s3_with_role(role, name, self._machine.endpoint) as s3, self._machine.folder(name) as base:
            _write_configuration(base, request)
            for source in _inputs(request):
                download(s3, resolve(s3, source, role), moved(base, source["LocalPath"]), job.check)
            try:
                self._process(job, base)
            except (JobFailed, JobStopped):
                with contextlib.suppress(JobFailed):  # the container's own failure says more
                    _upload_outputs(s3, base, request)
                raise
            _upload_outputs(s3, base, request)

    def _process(self, job: Job, base: Path) -> None:
        """Run the container to its end; raise JobFailed if it fails, JobStopped if it was stopped."""
        request = job.record
        for output in _outputs(request):
            moved(base, output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        log = LogStream(LOG_GROUP, f"{request['ProcessingJobName']}/{_HOST}-local")
        container = ContainerProcess(
            self._machine.command_of(*request["AppSpecification"].get("ContainerArguments", [])),
            base,
            environment=request.get("Environment"),
            log=lambda line: log.write([line]),
        )
        limit = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_MAX_SECONDS)
        ending = watch(job, [container], limit)
        message = _message(base)
        if message:
            self._jobs.update(request, ExitMessage=message)
        if ending.out_of_time:
            job.cancelled.set()
        job.check()
        if ending.status != 0:
            raise JobFailed(f"AlgorithmError: {message}, exit code: {ending.status}")


def _check_rules(request: Record) -> None:
    """Raise a ValidationException for what SageMaker refuses or this service does not support."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if "InstanceType" not in cluster or "InstanceCount" not in cluster:
        raise invalid("ProcessingResources.ClusterConfig needs InstanceType and InstanceCount.")
    if cluster["InstanceCount"] != 1:
        raise invalid(
            f"This local SageMaker processes on 1 instance; InstanceCount is {cluster['InstanceCount']}. "
            "Processing jobs of several instances run on AWS only."
        )
    if "ContainerEntrypoint" in request["AppSpecification"]:
        raise invalid(
            "AppSpecification.ContainerEntrypoint is not supported here: there is no image, so the command of the "
            "image's own ENTRYPOINT runs. Leave it out and pass ContainerArguments."
        )
    for entry in (*_inputs(request), *_outputs(request)):
        moved(Path(), entry.get("LocalPath", ""), below=_BELOW)
        for member, known in _ONLY.items():
            if entry.get(member, known[0]) not in known:
                raise invalid(f"{member} {entry[member]} is not supported here; use {known[0]}.")
        S3Location.parse(entry["S3Uri"])
    names = [entry.get("InputName") or entry["OutputName"] for entry in (*_input_entries(request), *_entries(request))]
    if len(set(names)) < len(names):
        raise invalid(f"The names of inputs and outputs must differ from each other: {', '.join(sorted(names))}.")


def _input_entries(request: Record) -> list[Record]:
    return list(request.get("ProcessingInputs", []))


def _entries(request: Record) -> list[Record]:
    return list(request.get("ProcessingOutputConfig", {}).get("Outputs", []))


def _inputs(request: Record) -> Iterator[Record]:
    for entry in _input_entries(request):
        if "S3Input" not in entry:
            raise invalid(f"Input {entry['InputName']} has no S3Input, the only source that is supported here.")
        yield entry["S3Input"]


def _outputs(request: Record) -> Iterator[Record]:
    for entry in _entries(request):
        if "S3Output" not in entry:
            raise invalid(f"Output {entry['OutputName']} has no S3Output, the only target that is supported here.")
        yield entry["S3Output"]


def _write_configuration(base: Path, request: Record) -> None:
    """Write the files that a processing container finds in /opt/ml/config, and make the folder for its message."""
    (base / "output").mkdir(parents=True)
    folder = base / "config"
    folder.mkdir()
    members = ("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "AppSpecification", "Environment")
    job: dict[str, Any] = {member: request[member] for member in members if member in request}
    (folder / "processingjobconfig.json").write_text(json.dumps(job))
    (folder / "resourceconfig.json").write_text(json.dumps({"current_host": _HOST, "hosts": [_HOST]}))


def _upload_outputs(s3: S3Client, base: Path, request: Record) -> None:
    key_id = request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
    for output in _outputs(request):
        folder = moved(base, output["LocalPath"])
        if folder.is_dir():
            upload_folder(s3, folder, S3Location.parse(output["S3Uri"]), key_id)


def _message(base: Path) -> str:
    """Return the ExitMessage: what the container wrote to /opt/ml/output/message, else ""."""
    path = base / "output" / "message"
    return path.read_text(errors="replace").strip()[:_MESSAGE_LENGTH] if path.is_file() else ""
