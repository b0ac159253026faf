"""The requests of a retraining to SageMaker: one training job and three processing jobs.

Values that only a run knows are JSONata expressions on the workflow's variables: ``$run``, ``$snapshot`` (the answer of
the function ``snapshot``), ``$training`` (the training job, its artifact, and the digest of its files as the job
reported it), ``$candidateUri`` (the artifact with its faster backends, which is evaluated and promoted) and
``$candidateSHA256`` (its digest, as the job that wrote it reported it), ``$attempt`` (how many runs have measured
models on the same patients).
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from infra.config import StageConfig
from infra.grants import volume_key

INPUTS = "/opt/ml/processing/input"
OUTPUTS = "/opt/ml/processing/output"
# SageMaker's name of a metric -> what the container prints for every epoch.
METRICS = {
    "train:loss": "train_loss",
    "validation:loss": "val_loss",
    "validation:accuracy": "val_accuracy",
    "validation:balanced_accuracy": "val_balanced_accuracy",
    "epoch_seconds": "epoch_seconds",
}
# The job reports which files its model has the same way (model_code/artifacts/seal.py): what lies in S3 is compared
# with it.
DIGEST = "model:digest_"
DIGESTS = {f"{DIGEST}{number}": f"model_digest_{number}" for number in range(1, 7)}
NUMBER = "([0-9.]+(?:e[-+]?[0-9]+)?)"
# What a candidate is compared with, as the snapshot's answer calls it: its artifact, and what it was trained on.
RIVALS = ("Champion", "Reference")
# More than the workflow's retries of one request.
RETRIES = 10


def jsonata(expression: str) -> str:
    """Return a JSONata expression as Amazon States Language writes it."""
    return f"{{% {expression} %}}"


class JobRequests:
    """Build the requests.

    Below the S3 URI ``folder`` runs keep their documents, below ``checkpoints`` what an interrupted training continues
    from. Both end in a slash.
    """

    def __init__(
        self,
        *,
        config: StageConfig,
        image_uri: str,
        job_role: iam.IRole,
        key: kms.IKey,
        folder: str,
        checkpoints: str,
    ) -> None:
        self._config = config
        self._image_uri = image_uri
        self._role_arn = job_role.role_arn
        self._key = key
        self._key_arn = key.key_arn
        self._folder = folder
        self._checkpoints = checkpoints

    def training(self) -> dict[str, Any]:
        """Return CreateTrainingJob: train a candidate on the slices of the snapshot."""
        config = self._config
        return {
            "TrainingJobName": self.name("train"),
            "AlgorithmSpecification": {
                "TrainingImage": self._image_uri,
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": name, "Regex": f"{printed}={NUMBER}"} for name, printed in (METRICS | DIGESTS).items()
                ],
            },
            "RoleArn": self._role_arn,
            # A person's choices first, so that they cannot change the run's name and seed.
            "HyperParameters": jsonata(
                "$merge([$snapshot.HyperParameters, {'model_version': $run, 'seed': $snapshot.Seed}])"
            ),
            "InputDataConfig": jsonata(f"({_CHANNEL}; [{', '.join(_CHANNELS)}])"),
            "OutputDataConfig": {"S3OutputPath": self.uri("training"), "KmsKeyId": self._key_arn},
            "CheckpointConfig": {"S3Uri": jsonata(f"'{self._checkpoints}' & $run"), "LocalPath": "/opt/ml/checkpoints"},
            "ResourceConfig": self._cluster(config.training_instance_type, config.training_instance_count),
            "StoppingCondition": {"MaxRuntimeInSeconds": config.training_max_seconds} | self._spot_wait(),
            "EnableManagedSpotTraining": config.training_spot,
            "EnableNetworkIsolation": True,
            **self._vpc(),
            **self._tags(),
        } | self._encrypted_traffic()

    def audit(self) -> dict[str, Any]:
        """Return CreateProcessingJob: check the pixels of the snapshot's slices."""
        pictures = ("--report-pictures", self._config.report_pictures)
        return self._processing("audit", "audit", [_SNAPSHOT, _SLICES], *pictures)

    def optimisation(self) -> dict[str, Any]:
        """Return CreateProcessingJob: add faster backends, validated on the held-out slices, to the candidate."""
        trained = "$input('candidate', 'S3Prefix', $training.ModelArtifactUri)"
        arguments = () if self._config.quantise else ("--fp32-only",)
        trained_digest = ("--trained", jsonata("$training.Digest"))
        return self._processing("optimise", "optimised", [_SNAPSHOT, _SLICES, trained], *trained_digest, *arguments)

    def evaluation(self) -> dict[str, Any]:
        """Return CreateProcessingJob: evaluate candidate, champion and reference, if any, on the held-out slices.

        The job gets their digests too, since the object at a URI may have been replaced, and the snapshots that
        champion and reference were trained on, so that they are compared on other patients alone.
        """
        candidate = "$input('candidate', 'S3Prefix', $candidateUri)"
        rivals = [
            f"$snapshot.{role}.{uri} ? $input('{role.lower()}{kind}', 'S3Prefix', $snapshot.{role}.{uri})"
            for role in RIVALS
            for uri, kind in (("ArtifactUri", ""), ("SnapshotUri", "-snapshot"))
        ]
        request = self._processing("evaluate", "evaluation", [_SNAPSHOT, _SLICES, candidate, *rivals])
        digests = [
            f"$snapshot.{role}.ArtifactUri ? ['--{role.lower()}-sha256', $snapshot.{role}.ArtifactSHA256] : []"
            for role in RIVALS
        ]
        request["AppSpecification"]["ContainerArguments"] = jsonata(
            f"$reduce([['evaluate', '--report-pictures', '{self._config.report_pictures}', "
            "'--candidate-sha256', $candidateSHA256, '--attempt', $string($attempt)], "
            f"{', '.join(digests)}], $append)"
        )
        return request

    def name(self, purpose: str) -> str:
        """Return a job's name. It differs for each try, since SageMaker accepts a name only once."""
        start = f"{self._config.service_name}-{purpose}-"
        number = f"(($waits + $restarts) * {RETRIES} + $states.context.State.RetryCount)"
        return jsonata(f"'{start}' & $run & '-' & {number}")

    def uri(self, path: str) -> str:
        """Return the S3 URI of ``path`` in the folder of the run."""
        return jsonata(f"'{self._folder}' & $run & '/{path}'")

    def _processing(self, command: str, output: str, inputs: list[str], *arguments: str) -> dict[str, Any]:
        written = {"S3Uri": self.uri(output), "LocalPath": f"{OUTPUTS}/{output}", "S3UploadMode": "EndOfJob"}
        return {
            "ProcessingJobName": self.name(command),
            "AppSpecification": {"ImageUri": self._image_uri, "ContainerArguments": [command, *arguments]},
            "RoleArn": self._role_arn,
            "ProcessingInputs": jsonata(f"({_INPUT}; [{', '.join(inputs)}])"),
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": output, "S3Output": written}],
                "KmsKeyId": self._key_arn,
            },
            "ProcessingResources": {"ClusterConfig": self._cluster(self._config.processing_instance_type, 1)},
            "StoppingCondition": {"MaxRuntimeInSeconds": self._config.processing_max_seconds},
            "NetworkConfig": {"EnableNetworkIsolation": True, **self._vpc()},
            **self._tags(),
        }

    def _vpc(self) -> dict[str, Any]:
        vpc = self._config.placement.vpc_config
        return {"VpcConfig": vpc} if vpc else {}

    def _tags(self) -> dict[str, Any]:
        tags = self._config.placement.tags
        return {"Tags": tags} if tags else {}

    def _cluster(self, instance_type: str, count: int) -> dict[str, Any]:
        volume_key_arn = volume_key(self._key, instance_type)
        return {
            "InstanceType": instance_type,
            "InstanceCount": count,
            "VolumeSizeInGB": self._config.training_volume_gb,
        } | ({"VolumeKmsKeyId": volume_key_arn} if volume_key_arn else {})

    def _encrypted_traffic(self) -> dict[str, bool]:
        # Only where there is traffic: that Step Functions supports the field is documented nowhere, and one that it
        # does not support fails the deployment.
        return {"EnableInterContainerTrafficEncryption": True} if self._config.training_instance_count > 1 else {}

    def _spot_wait(self) -> dict[str, int]:
        config = self._config
        return {"MaxWaitTimeInSeconds": config.training_max_wait_seconds} if config.training_spot else {}


# A JSONata array leaves out undefined elements, and so the champion's input when there is no champion.
_INPUT = (
    "$input := function($name, $type, $uri) {{'InputName': $name, 'S3Input': {'S3Uri': $uri, 'S3DataType': $type, "
    f"'S3InputMode': 'File', 'LocalPath': '{INPUTS}/' & $name}}}}}}"
)
_SNAPSHOT = "$input('snapshot', 'S3Prefix', $snapshot.SnapshotUri)"
_SLICES = "$input('slices', 'ManifestFile', $snapshot.SlicesManifestUri)"
_CHANNEL = (
    "$channel := function($name, $type, $uri) {{'ChannelName': $name, "
    "'DataSource': {'S3DataSource': {'S3DataType': $type, 'S3Uri': $uri}}}}"
)
_CHANNELS = (
    "$channel('slices', 'ManifestFile', $snapshot.SlicesManifestUri)",
    "$channel('snapshot', 'S3Prefix', $snapshot.SnapshotUri)",
    # Below the folder of the run, of which the job's role may read everything: it needs no further grant.
    "$snapshot.InitialWeightsUri ? $channel('initial-weights', 'S3Prefix', $snapshot.InitialWeightsUri)",
)
