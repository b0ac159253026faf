"""Every S3 key that the service makes, built and parsed; and the names that carry an identity."""

from __future__ import annotations

import hashlib

INSTANCES = "instances/"
BATCHES = "batches/"
OUTPUTS = "outputs/"
PREDICTIONS = "predictions/"
ARTIFACTS = "artifacts/"


def upload_id(key: str, version_id: str) -> str:
    """The identity of one Upload: 32 hex digits of the hash of an object version's key and version id."""
    return hashlib.sha256(f"{key}\0{version_id}".encode()).hexdigest()[:32]


def instance_name(upload: str) -> str:
    """The flat, unique basename under which a job reads one Upload (a manifest entry)."""
    return f"{upload}.dcm"


def upload_of_instance(name: str) -> str:
    """The upload id that a manifest entry names."""
    return name.removesuffix(".dcm")


def instance_key(upload: str) -> str:
    """Work bucket: the pinned copy of one Upload that transform jobs read."""
    return INSTANCES + instance_name(upload)


def candidates_key(batch_id: str) -> str:
    """Work bucket: the uploads that a batch may claim."""
    return f"{BATCHES}{batch_id}/candidates.json"


def manifest_key(batch_id: str) -> str:
    """Work bucket: the SageMaker manifest of a batch."""
    return f"{BATCHES}{batch_id}/manifest.json"


def output_prefix(job_name: str) -> str:
    """Work bucket: where one transform job writes; it ends in ``/`` because S3 prefixes are not folders."""
    return f"{OUTPUTS}{job_name}/"


def upload_of_output(key: str) -> str | None:
    """The upload id that an output key names, or None for a key that is no output.

    Only the basename counts: which part of the input key SageMaker keeps in front of it is not documented.
    """
    name = key.rsplit("/", 1)[-1]
    return name.removesuffix(".dcm.out") if name.endswith(".dcm.out") else None


def prediction_id(content_sha256: str, model_package: str, configuration: str) -> str:
    """The identity of a result: the same bytes, model and configuration always give the same id."""
    return hashlib.sha256(f"{content_sha256}\0{model_package}\0{configuration}".encode()).hexdigest()[:40]


def prediction_key(prediction: str) -> str:
    """Results bucket: one result document."""
    return f"{PREDICTIONS}{prediction}.json"


def artifact_key(sha256: str) -> str:
    """Models bucket: one model artifact, by the digest of its bytes."""
    return f"{ARTIFACTS}{sha256}/model.tar.gz"


def job_name(prefix: str, batch_id: str) -> str:
    """The TransformJobName of a batch: the idempotency key of CreateTransformJob."""
    return f"{prefix}-{batch_id}"


def batch_of_job(prefix: str, name: str) -> str | None:
    """The batch id that a TransformJobName carries, or None for a job that is not ours."""
    return name[len(prefix) + 1 :] if name.startswith(f"{prefix}-") else None
