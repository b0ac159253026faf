"""A stage that tests by folds, in the local cloud: from labelled files on a disk to a champion that answers."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.row import Status
from tests.e2e.conftest import Service, running
from wetread.demo.phantoms import phantom_bytes, write_cohort

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FOLDS, PATIENTS = 3, 30
STAGE = {
    "folds": FOLDS,
    "lower_bound": False,
    "min_balanced_accuracy": 0.0,
    "min_sensitivity": 0.0,
    "min_specificity": 0.0,
    "min_auc": 0.0,
    "max_calibration_error": 1.0,
    "max_subgroup_drop": 1.0,
    "quantise": False,
}
"""What a few seconds' training makes passes: how good a model must be is tested elsewhere."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a champion."""
    with running(tmp_path_factory.mktemp("home"), Path(), champion=False, settings=STAGE) as service:
        yield service


def document(service: Service, key: str) -> Any:
    """Read a JSON document of the training bucket."""
    bucket = service.connection.deployment.training_bucket_name
    return json.loads(service.connection.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def packed(service: Service, run: str, name: str) -> Any:
    """Read a JSON document of the artifact that a run promoted."""
    bucket = service.connection.deployment.training_bucket_name
    body = service.connection.s3.get_object(Bucket=bucket, Key=layout.candidate_key(run))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        member = archive.extractfile(name)
        assert member
        return json.loads(member.read())


def test_every_patient_is_tested_once_and_the_model_of_all_becomes_the_champion(
    service: Service, tmp_path: Path
) -> None:
    write_cohort(tmp_path / "cohort", PATIENTS, 1, 64)
    options = ("--set", "epochs=2", "--set", "image_size=64", "--set", "batch_size=8")
    trained = service.command("train", "--labels", str(tmp_path / "cohort"), "--wait", *options)
    said = trained.stdout + trained.stderr
    assert trained.returncode == 0, said
    assert f"Patients, each tested once in one of {FOLDS} folds: cap 10, covid 10, normal 10." in said
    assert f"trains {FOLDS + 1} models one after another, which takes and costs about {FOLDS} times" in said
    assert f"figures of {FOLDS} models" in said

    (run,) = json.loads(service.command("runs", "--json").stdout)
    assert run["Outcome"] == "Promoted", run
    taken = document(service, layout.snapshot_key(run["Run"]))
    folds = {one["Line"]: one["Fold"] for one in taken["Slices"]}
    assert Counter(folds.values()) == {1: 10, 2: 10, 3: 10}
    tested = packed(service, run["Run"], "out_of_fold.json")["Slices"]
    assert {one["Line"]: one["Fold"] for one in tested} == folds, "each by the model without its fold"
    assert len(tested) == PATIENTS
    evaluation = document(service, layout.evaluation_key(run["Run"]))
    assert evaluation["Cases"]["Patients"] == PATIENTS
    assert [one["Patients"]["test"] for one in evaluation["OutOfFold"]["Folds"]] == [10, 10, 10]

    about = packed(service, run["Run"], "metadata.json")
    assert sum(about["training"]["patients"].values()) == PATIENTS, "the champion is the model of all"
    upload = service.put("new/1.dcm", phantom_bytes("covid", 900, 0, size=64, seed=3))
    row = service.rows({"new/1.dcm": upload})["new/1.dcm"]
    assert (row.status, row.model_package) == (Status.COMPLETED, run["ModelPackage"])

    report = tmp_path / "report.html"
    shown = service.command("runs", run["Run"], "--report", str(report))
    assert shown.returncode == 0, shown.stderr
    assert f"Every figure is of {FOLDS} models, and not of the model that is promoted." in report.read_text()
