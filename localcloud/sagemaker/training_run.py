"""The run of a training job: prepare its hosts, run their containers, and upload what they wrote."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.containers.container_process import ContainerProcess
from localcloud.logs import LogStream
from localcloud.sagemaker.checkpoints import checkpoint_folder, checkpointed
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.hosts import Ending, watch
from localcloud.sagemaker.jobs import Job, JobFailed, Jobs
from localcloud.sagemaker.locations import S3Location, resolve
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record
from localcloud.sagemaker.training_metrics import TrainingMetrics
from localcloud.sagemaker.transfers import download, files, upload_archive

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class TrainingRun:
    """Runs one training job."""

    def __init__(self, job: Job, jobs: Jobs, machine: Machine):
        self._job = job
        self._request = job.record
        self._jobs = jobs
        self._machine = machine

    def run(self) -> None:
        """Run the job to its end; raise JobFailed or JobStopped."""
        name, role = self._request["TrainingJobName"], self._request["RoleArn"]
        with s3_with_role(role, name, self._machine.endpoint) as s3, self._machine.folder(name) as folder:
            hosts = hosts_of(self._request["ResourceConfig"]["InstanceCount"])
            bases = [folder / f"host-{number}" for number in range(1, len(hosts) + 1)]
            self._enter("Downloading")
            for base, host in zip(bases, hosts, strict=True):
                _write_configuration(base, self._request, host, hosts)
            for channel in self._request.get("InputDataConfig", []):
                self._download(s3, channel, bases)
            with checkpointed(s3, self._job, bases):
                self._enter("Training")
                ending = self._train(bases)
            self._upload(s3, bases, ending)

    def _enter(self, status: str) -> None:
        self._job.check()
        self._set_status(status)

    def _set_status(self, status: str) -> None:
        self._jobs.update(self._request, SecondaryStatus=status, LastModifiedTime=time.time())

    def _download(self, s3: S3Client, channel: Record, bases: Sequence[Path]) -> None:
        """Download a channel to all hosts: its shard to each, or all of it, linked from the first host."""
        source = s3_source(channel)
        objects = resolve(s3, source, self._request["RoleArn"])
        folders = [base / "input" / "data" / channel["ChannelName"] for base in bases]
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            for number, folder in enumerate(folders):
                download(s3, objects[number :: len(bases)], folder, self._job.check)
            return
        download(s3, objects, folders[0], self._job.check)
        for folder in folders[1:]:
            shutil.copytree(folders[0], folder, copy_function=os.link)

    def _train(self, bases: Sequence[Path]) -> Ending:
        """Run the containers to their end and return how they ended; stop a job that is out of time."""
        limit = self._request["StoppingCondition"].get("MaxRuntimeInSeconds", 24 * 3600)
        metrics = TrainingMetrics(metric_definitions(self._request), self._request["TrainingJobName"])
        containers: list[ContainerProcess] = []
        try:
            for number, base in enumerate(bases, 1):
                containers.append(self._container(base, number, metrics))
            ending = watch(self._job, containers, limit)
        finally:
            for container in containers:
                container.stop(grace=0)
        if ending.out_of_time:
            self._set_status("MaxRuntimeExceeded")
            self._job.cancelled.set()
        return ending

    def _container(self, base: Path, number: int, metrics: TrainingMetrics) -> ContainerProcess:
        log = LogStream(LOG_GROUP, f"{self._request['TrainingJobName']}/algo-{number}-local")

        def follow(line: str) -> None:
            log.write([line])
            final = metrics.read(line)
            if final is not None:
                self._jobs.update(self._request, FinalMetricDataList=final)

        command, environment = self._machine.command_of("train"), self._request.get("Environment")
        return ContainerProcess(command, base, environment=environment, log=follow)

    def _upload(self, s3: S3Client, bases: Sequence[Path], ending: Ending) -> None:
        """Upload outputs and artifact; a failed job has no artifact, a stopped job has what was written."""
        config = self._request["OutputDataConfig"]
        key_id = config.get("KmsKeyId")
        output = S3Location.parse(config["S3OutputPath"]).below(f"{self._request['TrainingJobName']}/output")
        stopped = self._job.cancelled.is_set()
        if not stopped:
            self._set_status("Uploading")
        outputs = [_merged(bases, folder) for folder in (Path("output/data"), Path("model"))]
        if ending.status != 0 and not stopped:
            with contextlib.suppress(JobFailed):  # the container's own failure says more
                upload_archive(s3, outputs[0], output.below("output.tar.gz"), key_id)
            raise JobFailed(_failure(bases[ending.host], ending.status))
        upload_archive(s3, outputs[0], output.below("output.tar.gz"), key_id)
        artifact = output.below("model.tar.gz")
        if upload_archive(s3, outputs[1], artifact, key_id):
            uri = f"s3://{artifact.bucket}/{artifact.key}"
            self._jobs.update(self._request, ModelArtifacts={"S3ModelArtifacts": uri})
        elif not stopped:
            raise JobFailed("ClientError: The container ended well but wrote nothing to /opt/ml/model.")


def hosts_of(count: int) -> list[str]:
    """Return the names of a job's hosts; several are loopback addresses, since no resolver knows names here."""
    return ["algo-1"] if count == 1 else [f"127.0.0.{number}" for number in range(1, count + 1)]


def s3_source(channel: Record) -> Record:
    """Return the S3DataSource of a channel; raise a ValidationException for any other source."""
    source: Record | None = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise invalid(f"Channel {channel['ChannelName']} has no S3DataSource, the only source that is supported here.")
    return source


def metric_definitions(request: Record) -> list[Record]:
    """Return the MetricDefinitions of a request."""
    return list(request["AlgorithmSpecification"].get("MetricDefinitions", []))


def _write_configuration(base: Path, request: Record, host: str, hosts: Sequence[str]) -> None:
    """Write the files that a container finds in /opt/ml/input/config, and make the folders that it writes to."""
    folder = base / "input" / "config"
    for path in (folder, base / "input" / "data", base / "model", base / "output" / "data"):
        path.mkdir(parents=True)
    checkpoint_folder(base, request.get("CheckpointConfig", {})).mkdir(parents=True)
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": "File",
            "S3DistributionType": s3_source(channel).get("S3DataDistributionType", "FullyReplicated"),
        }
        for channel in request.get("InputDataConfig", [])
    }
    for file, document in (
        ("hyperparameters.json", request.get("HyperParameters", {})),
        ("inputdataconfig.json", channels),
        ("resourceconfig.json", {"current_host": host, "hosts": list(hosts), "network_interface_name": "lo"}),
    ):
        (folder / file).write_text(json.dumps(document))


def _merged(bases: Sequence[Path], folder: Path) -> Path:
    """Merge a folder of all hosts into the first host's and return it; of equal names the first host's file is kept."""
    first = bases[0] / folder
    for base in bases[1:]:
        for path in files(base / folder):
            target = first / path.relative_to(base / folder)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    return first


def _failure(base: Path, status: int) -> str:
    """Return the FailureReason of a container that failed, from its file /opt/ml/output/failure."""
    path = base / "output" / "failure"
    written = path.read_text(errors="replace").strip() if path.is_file() else "No /opt/ml/output/failure was written"
    return f"AlgorithmError: {written}, exit code: {status}"
