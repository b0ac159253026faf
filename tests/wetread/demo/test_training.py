"""The demo's first model comes from a run of the training workflow: started once, watched, its report kept."""

import io
import json
from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from functions.domain.request import parse
from model_code.audit.acquisition import KEYWORDS, Unit, acquisition, read_tags
from model_code.reading.elements import read_elements
from tests.wetread.evaluation import evaluation
from wetread.demo import story, training
from wetread.demo.phantoms import LABELS, Dealt, deal, write_cohort
from wetread.problems import Problem
from wetread.training import following

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REPORT, EVALUATION = "s3://training/runs/r/evaluation/report.html", "s3://training/runs/r/evaluation/evaluation.json"


@pytest.fixture
def service(connection, monkeypatch):
    """A workflow that promotes every model, and a small cohort."""
    for uri, body in ((REPORT, b"<html>"), (EVALUATION, json.dumps(evaluation()).encode())):
        key = uri.removeprefix("s3://training/")
        connection.s3.put_object(Bucket="training", Key=key, Body=io.BytesIO(body), ContentType="")
    end(connection, Outcome="Promoted", ModelPackage="wetread/1", EvaluationUri=EVALUATION, ReportUri=REPORT)
    monkeypatch.setattr(training, "PATIENTS", 3)
    monkeypatch.setattr(training, "SIZES", (64,))
    monkeypatch.setattr(following.time, "sleep", lambda _: None)
    return connection


def end(connection, **output: object) -> None:
    connection.executions.ending = {"status": "SUCCEEDED", "output": json.dumps(output)}


def test_a_cohort_is_uploaded_and_trained_on(service, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    training.first_model(service, tmp_path / "demo", NOW)
    (execution,) = service.executions.executions.values()
    request = parse(json.loads(execution["input"]), "training")
    assert execution["name"].startswith("demo-20261123-093000-")
    assert request.hyperparameters == training.HYPERPARAMETERS
    assert ("training", request.manifest_key) in service.s3.objects
    assert sum(key.endswith(".dcm") for _, key in service.s3.objects) == 3 * training.SLICES
    assert (tmp_path / "demo" / "report.html").read_bytes() == b"<html>"
    shown = capsys.readouterr()
    assert "wetread/1 is the champion" in shown.err
    assert "for a browser: demo/report.html" in shown.err
    assert "0.900 (0.800 to 0.950)" in shown.out


def test_a_run_that_an_interrupted_demo_left_is_waited_for(service, tmp_path, capsys) -> None:
    service.executions.add("train-20261123-090000-aaaaaa")
    service.executions.add("demo-20261123-090000-aaaaaa")
    training.first_model(service, tmp_path / "demo", NOW)
    assert len(service.executions.executions) == 2
    assert "of an earlier demo is at work" in capsys.readouterr().err


def test_a_run_that_promotes_nothing_is_a_failure_with_its_reasons(service, tmp_path) -> None:
    reasons = [
        {"Code": "TooFewPatients", "Message": "Few.", "Accepted": True},
        {"Code": "AUCTooLow", "Message": "It is low.", "Accepted": False},
    ]
    end(service, Outcome="Rejected", Reasons=reasons)
    with pytest.raises(Problem, match=r"it is Rejected\. AUCTooLow: It is low\. See `wetread --local runs"):
        training.first_model(service, tmp_path / "demo", NOW)
    service.executions.ending = {"status": "FAILED", "error": "States.TaskFailed", "cause": "no room"}
    with pytest.raises(Problem, match=r"it is Failed\. States\.TaskFailed\. no room"):
        training.first_model(service, tmp_path / "demo", NOW)


def test_a_report_far_away_has_its_whole_path(tmp_path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert training._from_here(tmp_path / "there.html") == str(tmp_path / "there.html")


def position(one: Dealt) -> int:
    """Return the axial position of a slice, 0..255 from the apex down."""
    return round(256 * (one.level - 0.08) / 0.86)


def test_the_model_is_taught_and_shown_at_every_level_of_the_chest() -> None:
    """A model that learned from the apex alone read the lower half of a normal chest as pneumonia."""
    taught = deal(training.PATIENTS, training.SLICES, training.SEED)
    for label in LABELS:
        levels = [position(one) // 16 for one in taught if one.label == label]
        assert min(map(levels.count, range(16))) >= 5
    shown = deal(6, story.SLICES_PER_PATIENT, story.UPLOAD_SEED)  # of `wetread demo --count 24`
    assert {position(one) // 32 for one in shown} == set(range(8))


def test_the_cohort_has_subgroups_and_its_acquisition_does_not_give_the_class_away(tmp_path) -> None:
    small = [size // 4 for size in training.SIZES]
    written = write_cohort(tmp_path, training.PATIENTS, 1, small, training.SEED)
    headers = [dcmread(one.path, stop_before_pixels=True) for one in written]
    for keyword, least in (("PatientSex", 2), ("Manufacturer", 2), ("PatientAge", 10), ("Rows", 3)):
        assert len({header[keyword].value for header in headers}) >= least
    tags = [read_tags(read_elements(one.path.read_bytes(), KEYWORDS)) for one in written]
    units = [Unit(one, slice_.label) for one, slice_ in zip(tags, written, strict=True)]
    found = acquisition(units, [str(one.patient) for one in written], LABELS, training.SEED)
    assert found["Unit"] == "Patient"
    assert found["Units"] == training.PATIENTS
    assert found["PValue"] > 0.02  # the gate's limit is 0.01
