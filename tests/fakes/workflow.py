"""The training workflow's functions over the AWS in memory; a test writes the documents of SageMaker's jobs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.aws.artifacts import Artifacts
from functions.aws.cohorts import Cohorts
from functions.aws.holdout import Holdout
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.aws.registry import Registry
from functions.domain import layout
from functions.domain.leakage import AcquisitionLimits
from functions.domain.placement import Placement
from functions.domain.promotion import Thresholds
from functions.domain.training_run import TrainingRun
from functions.domain.verdict import Verdict
from functions.flow.approving import Approving
from functions.flow.comparing import Attempting, Comparing
from functions.flow.gating import Gating, Subject
from functions.flow.promoting import Approval, Promoted, Promoting
from functions.flow.snapshotting import Snapshotting
from functions.flow.withdrawing import Withdrawing
from functions.names import COHORTS, RUNS
from tests.fakes.dicom import ct
from tests.fakes.world import MODELS, SERVED, World, relabelled

TRAINING = "training-bucket"
LABELS = ("normal", "cap", "covid")
WEIGHTS = b"weights"
CALLER = "arn:aws:sts::111111111111:assumed-role/Promote/function"
# As the product's default: the public sample is JPEG Lossless.
ADMITTED = relabelled(SERVED, transfer_syntax_uids=(*SERVED.transfer_syntax_uids, "1.2.840.10008.1.2.4.70"))
THRESHOLDS = Thresholds(
    min_balanced_accuracy=0.7,
    min_sensitivity=0.6,
    min_specificity=0.6,
    min_auc=0.75,
    max_calibration_error=0.25,
    champion_margin=0.05,
    subgroup_min_patients=5,
    max_subgroup_drop=0.25,
)
LIMITS = AcquisitionLimits(max_acquisition_p_value=0.01, min_acquisition_gain=0.1)


class Workflow:
    """The functions of one stage's training workflow, in ``world``'s time and tables."""

    def __init__(self, world: World | None = None, approval: Approval = Approval.AUTO, folds: int = 0) -> None:
        self.world = world = world or World()
        s3, sagemaker = world.clients["s3"], world.clients["sagemaker"]
        self.documents = Documents(s3, TRAINING, MOST_RUN_DOCUMENT_BYTES)
        self.holdout = Holdout(world.clients["dynamodb"], "batches")
        self.attempting = Attempting(documents=self.documents, holdout=self.holdout)
        self.registry = Registry(
            s3=s3,
            sagemaker=sagemaker,
            champions=world.champions,
            ticks=world.ticks,
            models_bucket=MODELS,
            group="wetread",
            image_uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:1",
            job_role_arn="arn:aws:iam::111111111111:role/job",
            placement=Placement(),
            clock=world.clock,
            caller=lambda: CALLER,
        )
        self.snapshotting = Snapshotting(
            cohorts=Cohorts(s3, TRAINING),
            documents=self.documents,
            champions=world.champions,
            comparing=Comparing(
                describe=self.registry.describe, documents=self.documents, artifacts=Artifacts(s3, MODELS)
            ),
            holdout=self.holdout,
            patients=world.ingesting.patients,
            served=ADMITTED,
            labels=LABELS,
            folds=folds,
            clock=world.clock,
        )
        self.gating = Gating(documents=self.documents, holdout=self.holdout, limits=LIMITS, thresholds=THRESHOLDS)
        self.promoting = Promoting(registry=self.registry, training=self.documents, approval=approval)
        self.approving = Approving(registry=self.registry)
        self.withdrawing = Withdrawing(
            index=world.index,
            batches=world.batches,
            champions=world.champions,
            registry=self.registry,
            studies=world.studies,
            rescoring=world.concluding.rescoring,
            ticks=world.ticks,
            clock=world.clock,
        )

    def put(self, name: str, body: bytes, version: str = "v1") -> None:
        """Put a file into the cohort's folder."""
        self.world.s3.add_version(TRAINING, f"{COHORTS}c/{name}", version, body)

    def put_manifest(self, entries: Any, version: str = "m1") -> str:
        """Put manifest.json into the cohort's folder; return its URI."""
        self.put("manifest.json", json.dumps(entries).encode(), version)
        return layout.uri(TRAINING, f"{COHORTS}c/manifest.json")

    def put_cohort(self, patients_per_class: int = 6, slices_per_patient: int = 2) -> str:
        """Put a sound cohort; return the URI of its manifest."""
        entries = []
        for number, label in enumerate(LABELS):
            for patient in range(patients_per_class):
                for one in range(slices_per_patient):
                    name = f"{label}-{patient}-{one}.dcm"
                    study = f"1.2.{number + 1}.{patient}"
                    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
                    self.put(name, ct(PatientID=f"P-{label}-{patient}", SOPInstanceUID=f"{study}.1.{one}", **uids))
                    entries.append(entry(name, label))
        return self.put_manifest(entries)

    def put_sample(self, slices: Sequence[Path]) -> str:
        """Put the public sample's slices and its manifest; return the URI of the manifest."""
        for path in slices:
            self.put(path.name, path.read_bytes())
        return self.put_manifest(json.loads((slices[0].parent / "manifest.json").read_text()))

    def take(self, labels_uri: str, execution: str = "run-1", **changes: Any) -> dict[str, Any]:
        """Return the Snapshot state's answer to an execution's input."""
        return self.snapshotting.take(execution, {"LabelsUri": labels_uri, **changes}).to_json()

    def count_attempt(self, taken: Mapping[str, Any]) -> int:
        """Return the Attempt state's answer: which attempt a run is."""
        return self.attempting.count(TrainingRun.from_json(taken))

    def judge(self, subject: Subject, taken: Mapping[str, Any], attempt: int = 1) -> Verdict:
        """Return a gate's verdict on a run, given as the state machine carries it."""
        return self.gating.judge(subject, TrainingRun.from_json(taken), attempt)

    def snapshot(self, run: str) -> Any:
        """Return the snapshot/1 document of a run."""
        return json.loads(self.world.s3.objects[TRAINING, layout.snapshot_key(run)])

    def write(self, key: str, document: Any) -> None:
        """Write a job's document."""
        self.world.s3.objects[TRAINING, key] = json.dumps(document).encode()

    def train(self, taken: Mapping[str, Any], weights: bytes = WEIGHTS, **figures: Any) -> str:
        """Write a passing run's evaluation and artifact; return the artifact's URI."""
        self.write(layout.evaluation_key(taken["Run"]), evaluation(taken, weights=weights, **figures))
        self.write(layout.model_gate_key(taken["Run"]), Verdict().to_json())
        key = f"{RUNS}{taken['Run']}/training/job/output/model.tar.gz"
        self.world.s3.objects[TRAINING, key] = artifact(weights, version=taken["Run"])
        return layout.uri(TRAINING, key)

    def promote(self, taken: Mapping[str, Any], artifact_uri: str, job: str = "job") -> Promoted:
        """Promote the artifact at a URI as the run's."""
        body = self.world.s3.objects[layout.parse_uri(artifact_uri)]
        return self.promoting.promote(TrainingRun.from_json(taken), job, artifact_uri, hashlib.sha256(body).hexdigest())


def entry(filename: str, label: str, **more: Any) -> dict[str, Any]:
    """Return one entry of a manifest.json."""
    content = {"type": "classification", "label": label}
    return {"studyId": "s", "seriesId": "s", "filename": filename, "content": content, **more}


def artifact(weights: bytes = WEIGHTS, version: str = "1", labels: tuple[str, ...] = LABELS) -> bytes:
    """Return a model.tar.gz with the required files."""
    channels = {str(number): label for number, label in enumerate(labels)}
    metadata = {
        "name": "ct-slices",
        "version": version,
        "network_data_format": {"outputs": {"pred": {"channel_def": channels}}},
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        files = {"model.pth": weights, "code/inference.py": b"", "metadata.json": json.dumps(metadata).encode()}
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return stream.getvalue()


def audit(taken: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the audit/2 of a run with sound data."""
    nothing: dict[str, Any] = {"Count": 0, "Examples": []}
    return {
        "Schema": "audit/2",
        "SnapshotDigest": taken["SnapshotDigest"],
        "Slices": taken["Slices"],
        "Unreadable": nothing,
        "Identical": nothing,
        "NearIdentical": nothing | {"Threshold": 4},
        "SamePatient": nothing,
        **{name: acquisition() for name in ("Acquisition", "Person", "Position", "Background")},
        **changes,
    }


def audit_before(taken: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the same as audit/1, which releases before audit/2 wrote."""
    document = audit(taken) | {"Schema": "audit/1"}
    for later in ("SamePatient", "Person", "Position", "Background"):
        del document[later]
    del document["Acquisition"]["AttainablePValue"]
    return {**document, **changes}


def acquisition(balanced_accuracy: float | None = 0.4, p_value: float | None = 0.3, **changes: Any) -> dict[str, Any]:
    """Return the part of an audit about acquisition tags, or another subject."""
    return {
        "Unit": "Patient",
        "Units": 18,
        "BalancedAccuracy": balanced_accuracy,
        "Chance": None if balanced_accuracy is None else 0.3333,
        "PValue": p_value,
        "AttainablePValue": None if balanced_accuracy is None else 0.001,
        "Permutations": 999,
        "Tags": [{"Keyword": "KVP", "BalancedAccuracy": 0.4}],
        **changes,
    }


def figure(value: float | None, low: float | None = None, *, too_few: bool = False) -> dict[str, float | bool | None]:
    """Return a figure with its interval, which by default has no width."""
    return {"Value": value, "Low": value if low is None else low, "High": value, "TooFew": too_few}


def measured(weights: bytes = WEIGHTS, **changes: Any) -> dict[str, Any]:
    """Return the part of evaluation/2 about one good model."""
    rates = {"Sensitivity": figure(0.9), "Specificity": figure(0.95), "AUC": figure(0.97)}
    return {
        "Model": {"Name": "ct-slices", "Version": "1", "WeightsSHA256": hashlib.sha256(weights).hexdigest()},
        "BalancedAccuracy": figure(0.9),
        "Accuracy": figure(0.9),
        "Classes": {label: dict(rates) for label in LABELS},
        "ConfusionMatrix": [[3, 0, 0], [0, 3, 0], [1, 0, 2]],
        "Calibration": {"Temperature": 1.1, "ECE": 0.05, "ECEUncalibrated": 0.08, "Bins": []},
        "Subgroups": [subgroup("PatientSex", "F", 0.88), subgroup("PatientSex", "M", 0.92)],
        **changes,
    }


def subgroup(attribute: str, value: str, balanced_accuracy: float | None, patients: int = 9) -> dict[str, Any]:
    """Return the part of evaluation/2 about one subgroup."""
    found = figure(balanced_accuracy)
    return {"Attribute": attribute, "Value": value, "Patients": patients, "Slices": 20, "BalancedAccuracy": found}


def attempt_of(taken: Mapping[str, Any], *bounds: float | None, number: int = 1) -> dict[str, Any]:
    """Return the part of an evaluation about champion and reference, as far as the run has them, with these bounds."""
    roles = [role for role in ("Champion", "Reference") if taken.get(role)]
    bounds = (*bounds, *bounds[-1:])
    against = {role: {"Bound": bound, "Patients": 9, "Seen": 0} for role, bound in zip(roles, bounds, strict=False)}
    return {"Number": number, "Champion": None, "Reference": None} | against


def evaluation(
    taken: Mapping[str, Any], weights: bytes = WEIGHTS, low: float | None = -0.01, **changes: Any
) -> dict[str, Any]:
    """Return the evaluation/2 of a run with a passing candidate; ``low`` is the paired interval's lower end."""
    paired = {"Metric": "BalancedAccuracy", "Difference": 0.02, "Low": low, "High": 0.05, "TooFew": False}
    paired |= {"StandardError": 0.015, "DegreesOfFreedom": 50.0}
    return {
        "Schema": "evaluation/2",
        "SnapshotDigest": taken["SnapshotDigest"],
        "Labels": list(LABELS),
        "Cases": {"Slices": 18, "Patients": 9, "ByClass": {}},
        "Candidate": measured(weights),
        "Champion": measured(b"champion") if taken["Champion"] else None,
        "Paired": paired if taken["Champion"] else None,
        "Attempt": attempt_of(taken, low),
        **changes,
    }
