"""The state machine's record of a run is read back whole, also from an execution of an earlier release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.domain.training_run import ComparedChampion, TrainingRun

CHAMPION = {
    "ModelPackage": "wetread/1",
    "ModelPackageArn": "arn:aws:sagemaker:eu-west-1:111111111111:model-package/wetread/1",
    "ArtifactUri": "s3://models/artifacts/ab/model.tar.gz",
    "ArtifactSHA256": "ab" * 32,
    "PromotedAt": "2026-11-23T00:00:00.000Z",
}
# As the first release wrote them: executions that began under it must stay readable.
TAKEN: dict[str, Any] = {
    "Taken": True,
    "Run": "0123456789ab",
    "Reasons": [],
    "AcceptedRisks": ["TooFewPatients"],
    "Seed": "3",
    "HyperParameters": {"epochs": "4"},
    "SnapshotUri": "s3://training/runs/0123456789ab/snapshot.json",
    "SlicesManifestUri": "s3://training/runs/0123456789ab/slices.manifest",
    "SnapshotDigest": "cd" * 32,
    "Slices": 36,
    "Champion": {},
}
REFUSED = {
    "Taken": False,
    "Run": "0123456789ab",
    "Reasons": [{"Code": "MissingManifest", "Message": "There is no object at LabelsUri.", "Accepted": False}],
    "AcceptedRisks": [],
    "Seed": "0",
    "HyperParameters": {},
    "SnapshotUri": "",
    "SlicesManifestUri": "",
    "SnapshotDigest": "",
    "Slices": 0,
    "Champion": {},
}


# Of which this release knows what they were trained on, and what the champion was compared with.
LATER = CHAMPION | {"SnapshotUri": "s3://training/runs/ba9876543210/snapshot.json"}
COMPARED = TAKEN | {"Champion": LATER | {"Reference": "wetread/1", "Behind": 0.0312}, "Reference": LATER}


STARTED = TAKEN | {"InitialWeightsUri": "s3://training/runs/0123456789ab/initial-weights/ab/"}


@pytest.mark.parametrize("document", [TAKEN, STARTED, TAKEN | {"Champion": CHAMPION}, COMPARED, REFUSED])
def test_a_run_is_written_as_it_was_read(document: dict[str, Any]) -> None:
    run = TrainingRun.from_json(document)
    assert json.loads(json.dumps(run.to_json())) == document
    assert TrainingRun.from_json(run.to_json()) == run


def test_a_refused_run_is_all_but_empty() -> None:
    assert TrainingRun(run_id=REFUSED["Run"], taken=False, reasons=REFUSED["Reasons"]).to_json() == REFUSED


def test_the_champion_is_none_or_whole() -> None:
    assert TrainingRun.from_json(TAKEN).champion is None
    champion = TrainingRun.from_json(TAKEN | {"Champion": CHAMPION}).champion
    assert isinstance(champion, ComparedChampion)
    assert champion.to_json() == CHAMPION
