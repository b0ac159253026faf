"""Builds and parses the S3 keys of the service, and the names that carry an identity."""

from __future__ import annotations

import hashlib
import re

from functions.names import (
    ARTIFACTS,
    AUDIT,
    AUDIT_REPORT,
    BATCHES,
    CANDIDATE,
    DICOM_RESULTS,
    EVALUATION,
    EXPRESS,
    INSTANCES,
    OUTPUTS,
    PREDICTIONS,
    REPORT,
    RUN_ID_DIGITS,
    RUNS,
    SLICES,
    STUDIES,
)


def is_folder(key: str, size: int) -> bool:
    """Return whether an object of ``size`` bytes only marks a folder, as S3's console and Hadoop's tools write one."""
    return size == 0 and key.endswith(("/", "_$folder$"))


def upload_id(key: str, version_id: str) -> str:
    """Return the identity of one Upload: 32 hex digits of the hash of an object version's key and version id."""
    return hashlib.sha256(f"{key}\0{version_id}".encode()).hexdigest()[:32]


def instance_name(upload: str, requeued_at: str | None = None) -> str:
    """Return the flat, unique basename of one Upload's copy (a manifest entry), or of one slice's.

    An Upload that is read again has another name, so a late collector of its first job deletes only that job's copy.
    """
    again = f"-{re.sub('[^0-9]', '', requeued_at)}" if requeued_at else ""
    return f"{upload}{again}.dcm"


def upload_of_instance(name: str) -> str:
    """Return the upload id that a manifest entry names."""
    return name.removesuffix(".dcm").partition("-")[0]


def instance_key(name: str) -> str:
    """Return a work bucket key: the pinned copy of one Upload that transform jobs read, by its ``instance_name``."""
    return INSTANCES + name


def candidates_key(batch_id: str) -> str:
    """Return a work bucket key: the uploads that a batch may claim."""
    return f"{BATCHES}{batch_id}/candidates.json"


def manifest_key(batch_id: str) -> str:
    """Return a work bucket key: the SageMaker manifest of a batch."""
    return f"{BATCHES}{batch_id}/manifest.json"


def run_begun_key(job_name: str) -> str:
    """Return a work bucket key: which invocation is the run of a batch in the express lane, or that none may be."""
    return f"{EXPRESS}{job_name}/begun.json"


def run_ended_key(job_name: str) -> str:
    """Return a work bucket key: how the run of a batch in the express lane ended."""
    return f"{EXPRESS}{job_name}/ended.json"


def output_prefix(job_name: str) -> str:
    """Return a work bucket prefix: the outputs of a job or run. It ends in ``/``: S3 prefixes are not folders."""
    return f"{OUTPUTS}{job_name}/"


def upload_of_output(key: str) -> str | None:
    """Return the upload id that an output key names, or None if the key is not an output.

    Only the basename counts: which part of the input key SageMaker keeps in front of it is not documented.
    """
    name = key.rsplit("/", 1)[-1]
    return upload_of_instance(name.removesuffix(".out")) if name.endswith(".dcm.out") else None


def prediction_id(content_sha256: str, model_package: str, weights_sha256: str) -> str:
    """Return the identity of a result: the same bytes, model and weights always give the same id."""
    return hashlib.sha256(f"{content_sha256}\0{model_package}\0{weights_sha256}".encode()).hexdigest()[:40]


def prediction_key(prediction: str) -> str:
    """Return a results bucket key: one result document."""
    return f"{PREDICTIONS}{prediction}.json"


def study_hash(study_instance_uid: str) -> str:
    """Return the name of a study where its UID must not be: in keys, logs and events."""
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:32]


def study_prefix(study_instance_uid: str) -> str:
    """Return a results bucket prefix: the documents of one study's revisions. Keys are logged, so it is a hash."""
    return f"{STUDIES}{study_hash(study_instance_uid)}/"


def revision_key(study_instance_uid: str, revision: int, digest: str) -> str:
    """Return a results bucket key: the study/1 document of a revision, by its number and its content."""
    return f"{study_prefix(study_instance_uid)}{revision:06d}-{digest[:32]}.json"


def dicom_prefix(study_instance_uid: str) -> str:
    """Return a results bucket prefix: the DICOM results of one study."""
    return DICOM_RESULTS + study_prefix(study_instance_uid).removeprefix(STUDIES)


def dicom_key(study_instance_uid: str, revision: int, kind: str) -> str:
    """Return a results bucket key: the DICOM result of one kind of a revision."""
    return f"{dicom_prefix(study_instance_uid)}{revision:06d}-{kind}.dcm"


def fhir_key(revision_key: str) -> str:
    """Return a results bucket key: the FHIR bundle of a revision, beside its document."""
    return f"{revision_key.removesuffix('.json')}.fhir.json"


def artifact_key(sha256: str) -> str:
    """Return a models bucket key: one model artifact, by the digest of its bytes."""
    return f"{ARTIFACTS}{sha256}/model.tar.gz"


def study_rule_key(sha256: str) -> str:
    """Return a models bucket key: how the model in an artifact reads studies, by the digest of the artifact's bytes."""
    return f"{ARTIFACTS}{sha256}/study.json"


def job_name(prefix: str, batch_id: str) -> str:
    """Return the TransformJobName of a batch: the idempotency key of CreateTransformJob."""
    return f"{prefix}-{batch_id}"


def batch_of_job(prefix: str, name: str) -> str | None:
    """Return the batch id that a TransformJobName carries, or None for a job of another stage."""
    return name[len(prefix) + 1 :] if name.startswith(f"{prefix}-") else None


def run_id(execution_name: str) -> str:
    """Return the identity of one execution of the training workflow: 12 hex digits of its name's hash."""
    return hashlib.sha256(execution_name.encode()).hexdigest()[:RUN_ID_DIGITS]


def slice_key(name: str) -> str:
    """Return a training bucket key: one pinned slice, by the ``instance_name`` of its object's key and version."""
    return SLICES + name


def weights_prefix(run: str, version: str) -> str:
    """Return a training bucket prefix: the pinned copy of a version (its ``upload_id``) of a run's initial weights."""
    return f"{RUNS}{run}/initial-weights/{version}/"


def snapshot_key(run: str) -> str:
    """Return a training bucket key: the snapshot/1 document of a run."""
    return f"{RUNS}{run}/snapshot.json"


def slices_manifest_key(run: str) -> str:
    """Return a training bucket key: the SageMaker manifest of a run's pinned slices."""
    return f"{RUNS}{run}/slices.manifest"


def code_prefix(run: str) -> str:
    """Return a training bucket prefix: an experiment's changed model_code."""
    return f"{RUNS}{run}/code/"


def training_prefix(run: str) -> str:
    """Return a training bucket prefix: where a run's training job writes."""
    return f"{RUNS}{run}/training"


def audit_key(run: str) -> str:
    """Return a training bucket key: the audit/2 document of a run."""
    return f"{RUNS}{run}/{AUDIT}"


def evaluation_key(run: str) -> str:
    """Return a training bucket key: the evaluation/1 document of a run."""
    return f"{RUNS}{run}/{EVALUATION}"


def report_key(run: str) -> str:
    """Return a training bucket key: the report that people read, beside the evaluation."""
    return f"{RUNS}{run}/{REPORT}"


def audit_report_key(run: str) -> str:
    """Return a training bucket key: the report on a run's data that people read, beside the audit."""
    return f"{RUNS}{run}/{AUDIT_REPORT}"


def candidate_key(run: str) -> str:
    """Return a training bucket key: the artifact that a run measures, promoted or not."""
    return f"{RUNS}{run}/{CANDIDATE}"


def refusal_key(run: str) -> str:
    """Return a training bucket key: all reasons why a run's labels or input were not taken (verdict/1)."""
    return f"{RUNS}{run}/refusal.json"


def data_gate_key(run: str) -> str:
    """Return a training bucket key: the data gate's verdict/1."""
    return f"{RUNS}{run}/data-gate.json"


def model_gate_key(run: str) -> str:
    """Return a training bucket key: the model gate's verdict/1."""
    return f"{RUNS}{run}/model-gate.json"


def uri(bucket: str, key: str) -> str:
    """Return the s3:// URI of a bucket's key."""
    return f"s3://{bucket}/{key}"


def parse_uri(s3_uri: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URI; raise ValueError for any other text."""
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    if not s3_uri.startswith("s3://") or not bucket or not key:
        raise ValueError(f"{s3_uri!r} is not of the form s3://bucket/key")
    return bucket, key
