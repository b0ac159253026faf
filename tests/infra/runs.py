"""Answers of services in a run of the workflow, and a walk through it with these answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from functions.domain import layout
from tests.infra.asl import Execution, TaskError, run

NAME = "a-person-s-name-for-it"
RUN = layout.run_id(NAME)
BUCKET = "wetread-training"
SNAPSHOT = {
    "Taken": True,
    "Run": RUN,
    "Reasons": [],
    "AcceptedRisks": [],
    "Seed": "7",
    "HyperParameters": {"epochs": "40", "model_version": "mine", "seed": "9"},
    "SnapshotUri": layout.uri(BUCKET, layout.snapshot_key(RUN)),
    "SlicesManifestUri": layout.uri(BUCKET, layout.slices_manifest_key(RUN)),
    "SnapshotDigest": "d" * 64,
    "Slices": 360,
    "Champion": {},
}
CHAMPION = {
    "ModelPackage": "wetread/3",
    "ArtifactUri": "s3://wetread-models/artifacts/0/model.tar.gz",
    "ArtifactSHA256": "c" * 64,
}
ACCEPTED = {"Code": "TooFewPatients", "Message": "One patient of class cap in test.", "Accepted": True}
REFUSED = {"Code": "PatientAcrossSplit", "Message": "Lines 1 and 2.", "Accepted": False}
TRAINED = {
    "TrainingJobName": f"wetread-train-{RUN}-0",
    "TrainingJobStatus": "Completed",
    "FinalMetricDataList": [
        {"MetricName": name, "Value": value}
        for name, value in [("train:loss", 0.5), *((f"model:digest_{n}", 2.0**24 - n) for n in (2, 1, 3, 6, 5, 4))]
    ],
    "ModelArtifacts": {
        "S3ModelArtifacts": f"s3://{BUCKET}/runs/{RUN}/training/wetread-train-{RUN}-0/output/model.tar.gz"
    },
}
TRAINED_DIGEST = "-".join(str(2**24 - n) for n in range(1, 7))
OPTIMISED = f"s3://{BUCKET}/runs/{RUN}/optimised/model.tar.gz"
OPTIMISED_SHA256 = "0" * 63 + "1"
PROMOTED = {"Outcome": "Promoted", "Reasons": [], "ModelPackage": "wetread/4"}
PASSED = {"Passed": True, "Reasons": []}
COUNTED = {"Attempt": 3, "Reasons": []}
WHOLE_WAY = [
    *("Begin", "Snapshot", "SnapshotTaken?", "Audit", "GateData", "DataSound?"),
    *("Train", "Optimise", "CountAttempt", "Evaluate", "GateModel", "GoodEnough?", "Promote", "Promoted?"),
]


def walk(machine: dict[str, Any], answers: dict[str, Any] | None = None, *, retry_count: int = 0) -> Execution:
    """Walk a run that is promoted, except for ``answers``: state -> the function's payload, the job, or an error.

    An iterator has one of them for each try; the job is good once it ends.
    """
    called = {"Snapshot": SNAPSHOT, "GateData": PASSED, "CountAttempt": COUNTED, "GateModel": PASSED}
    called |= {"Promote": PROMOTED} | (answers or {})

    jobs = {"Train": TRAINED, "Optimise": {"ExitMessage": OPTIMISED_SHA256}}

    def perform(state: str, arguments: Any) -> Any:
        answer = called.get(state, jobs.get(state, {}))
        if isinstance(answer, Iterator):
            answer = next(answer, jobs.get(state, {}))
        if isinstance(answer, TaskError):
            raise answer
        return {"Payload": answer, "StatusCode": 200} if "FunctionName" in arguments else answer

    given = {"LabelsUri": f"s3://{BUCKET}/cohorts/a/labels.csv"}
    return run(machine, NAME, given, perform, retry_count=retry_count)
