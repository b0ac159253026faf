"""Experiments: training jobs outside the workflow with its settings, from frozen slices to an artifact.

Nothing of one is audited, gated or registered: no version comes of it, and so no champion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.domain import layout
from functions.domain.training_run import TrainingRun
from functions.domain.verdict import Places
from wetread import sdk
from wetread.connection import Connection
from wetread.console import how_many, note
from wetread.problems import ConfigProblem, Problem
from wetread.training import cohorts, initial_weights, starting
from wetread.training.initial_weights import WeightsFile
from wetread.training.recipe import Recipe
from wetread.training.run_report import Reason
from wetread.training.runs import execution_name
from wetread.uploads.files import Source, files_below, opened

PURPOSE = "experiment"
SNAPSHOT_SECONDS = 900
"""The function's timeout on Lambda, in seconds."""
PACKAGE = "model_code"
LISTED = 10
"""How many reasons against the labels are listed."""


def begin(
    connection: Connection,
    labels: str,
    *,
    seed: int,
    hyperparameters: Mapping[str, str],
    now: datetime,
    code: Path | None = None,
    weights: WeightsFile | None = None,
) -> str:
    """Start an experiment on labels here or at an s3:// URI; return its job's name.

    It has a changed model_code and weights to start from where they are given.

    Raises ConfigProblem before anything is uploaded, and Problem when the labels are not taken.
    """
    sdk.require()
    source = labels if labels.startswith("s3://") else cohorts.read(Path(labels))
    document = starting.request(
        connection, source, seed=seed, hyperparameters=hyperparameters, weights=weights, own_code=code is not None
    )
    recipe = Recipe.read(connection.stepfunctions, connection.deployment.training_state_machine_arn)
    if code:
        check(code)
    if not isinstance(source, str):
        starting.send(connection, source)
    if weights:
        initial_weights.send(connection, weights)
    run = freeze(
        connection, recipe, execution_name(PURPOSE, now), document, None if isinstance(source, str) else source.places
    )
    code_uri = upload_code(connection, run.run_id, code) if code else None
    job = start(connection, recipe, run, code_uri)
    note(f"{how_many(run.slices, 'slice')} frozen; training job {job} has started.")
    return job


def freeze(
    connection: Connection, recipe: Recipe, name: str, document: Mapping[str, Any], places: Places | None = None
) -> TrainingRun:
    """Check, pin and split the labelled slices as the workflow does, and return the TrainingRun of its ``$snapshot``.

    ``name`` is in the place of an execution's; ``places`` name the labels' entries in a problem. Raises Problem when
    the labels are not taken.
    """
    functions = connection.client("lambda", read_timeout=SNAPSHOT_SECONDS)
    payload = json.dumps({"Execution": name, "Input": document})
    answer = functions.invoke(FunctionName=recipe.snapshot_function, Payload=payload)
    answered = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Problem(
            f"The function {recipe.snapshot_function} failed: {answered.get('errorMessage')}.",
            "Its log says more; start again.",
        )
    run = TrainingRun.from_json(answered)
    if not run.taken:
        reasons = [Reason.of(one, places) for one in run.reasons]
        listed = " ".join(f"{one.code}: {one.message}" for one in reasons[:LISTED])
        raise Problem(
            f"The labels were not taken, {how_many(len(reasons), 'reason')}. {listed}", "Nothing was trained."
        )
    return run


def check(folder: Path) -> None:
    """Raise ConfigProblem for a folder that is not a copy of model_code."""
    if folder.resolve().name != PACKAGE or not (folder / "__main__.py").is_file():
        raise ConfigProblem(f"{folder} is no copy of {PACKAGE}/.", f"Give a folder {PACKAGE} with its __main__.py.")


def upload_code(connection: Connection, run: str, folder: Path) -> str:
    """Upload a changed model_code for the job to train with; return the URI of its prefix."""
    bucket, prefix = connection.deployment.training_bucket_name, layout.code_prefix(run)
    for path in files_below(folder):
        inside = path.relative_to(folder)
        if not any(part.startswith((".", "__pycache__")) for part in inside.parts):
            key = f"{prefix}{PACKAGE}/{inside.as_posix()}"
            with opened(Source(path, key, folder)) as body:
                connection.s3.put_object(Bucket=bucket, Key=key, Body=body)
    return layout.uri(bucket, prefix)


def start(connection: Connection, recipe: Recipe, run: TrainingRun, code_uri: str | None) -> str:
    """Start the training job with the SDK's ModelTrainer; return its name."""
    trainer = _trainer(connection, recipe, run, code_uri)
    trainer.train(wait=False, logs=False)
    return str(trainer._latest_training_job.training_job_name)  # as the SDK's examples do


def _trainer(connection: Connection, recipe: Recipe, run: TrainingRun, code_uri: str | None) -> Any:
    from sagemaker.core.training import configs  # noqa: PLC0415
    from sagemaker.train.model_trainer import ModelTrainer  # noqa: PLC0415

    request, deployment = recipe.training, connection.deployment
    resources, run_id = request["ResourceConfig"], run.run_id
    vpc = request.get("VpcConfig", {})
    channels = [
        ("slices", "ManifestFile", run.slices_manifest_uri),
        ("snapshot", "S3Prefix", run.snapshot_uri),
        *([("initial-weights", "S3Prefix", run.initial_weights_uri)] if run.initial_weights_uri else []),
        *([("code", "S3Prefix", code_uri)] if code_uri else []),
    ]
    trainer = ModelTrainer(
        sagemaker_session=sdk.session(connection.session),
        training_image=request["AlgorithmSpecification"]["TrainingImage"],
        role=request["RoleArn"],
        base_job_name=f"{deployment.job_name_prefix}-{PURPOSE}-{run_id}",
        hyperparameters={**run.hyperparameters, "model_version": run_id, "seed": str(run.seed)},
        input_data_config=[
            configs.InputData(channel_name=name, data_source=configs.S3DataSource(s3_data_type=data_type, s3_uri=uri))
            for name, data_type, uri in channels
        ],
        output_data_config=configs.OutputDataConfig(
            s3_output_path=layout.uri(deployment.training_bucket_name, layout.training_prefix(run_id)),
            kms_key_id=request["OutputDataConfig"]["KmsKeyId"],
        ),
        compute=configs.Compute(
            instance_type=resources["InstanceType"],
            instance_count=resources["InstanceCount"],
            volume_size_in_gb=resources["VolumeSizeInGB"],
            volume_kms_key_id=resources.get("VolumeKmsKeyId"),
        ),
        networking=configs.Networking(
            subnets=vpc.get("Subnets"),
            security_group_ids=vpc.get("SecurityGroupIds"),
            enable_network_isolation=True,
            enable_inter_container_traffic_encryption=request.get("EnableInterContainerTrafficEncryption"),
        ),
        stopping_condition=configs.StoppingCondition(
            max_runtime_in_seconds=request["StoppingCondition"]["MaxRuntimeInSeconds"]
        ),
        tags=[configs.Tag(key=one["Key"], value=one["Value"]) for one in request.get("Tags", [])] or None,
    )
    metrics = request["AlgorithmSpecification"]["MetricDefinitions"]
    return trainer.with_metric_definitions(
        [configs.MetricDefinition(name=one["Name"], regex=one["Regex"]) for one in metrics]
    )
