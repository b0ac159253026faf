"""Labels in, a run started, and, with --wait, how it ended."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from functions.domain.verdict import Risk
from tests.fakes.workflow import entry
from wetread.deployment import Hosts
from wetread.training import following


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        (folder / name).write_bytes(name.encode())
    (folder / "manifest.json").write_text(json.dumps([entry("a.dcm", "cap"), entry("b.dcm", "covid")]))
    return folder


def started(connection):
    """The only execution's input."""
    (execution,) = connection.executions.executions.values()
    return json.loads(execution["input"])


def end(connection, outcome: str, *reasons: tuple[str, bool], **output: object) -> None:
    shown = [{"Code": code, "Message": f"{code} it is.", "Accepted": accepted} for code, accepted in reasons]
    document = {"Outcome": outcome, "Reasons": shown} | output
    connection.executions.ending = {"status": "SUCCEEDED", "output": json.dumps(document)}


def test_uploads_starts_and_prints_the_run_alone(wetread, connection, folder) -> None:
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 0, result.output
    (run,) = connection.runs.running()
    assert result.stdout == f"{run.run_id}\n"
    assert f"wetread runs {run.run_id}" in result.stderr
    assert "Uploaded 2 files; 0 were" in result.stderr
    (key,) = [key for _, key in connection.s3.objects if key.endswith(".json")]
    assert started(connection) == {
        "LabelsUri": f"s3://training/{key}",
        "AcceptedRisks": [],
        "Seed": 0,
        "HyperParameters": {},
    }


def test_every_option_reaches_the_execution(wetread, connection, folder) -> None:
    options = ("--accept-risk", "TooFewPatients", "--accept-risk", "PatientAcrossSplit", "--seed", "7")
    result = wetread("train", "--labels", folder, *options, "--set", "epochs=40", "--set", "learning_rate = 1e-4")
    assert result.exit_code == 0, result.output
    assert started(connection) | {"LabelsUri": ""} == {
        "LabelsUri": "",
        "AcceptedRisks": ["TooFewPatients", "PatientAcrossSplit"],
        "Seed": 7,
        "HyperParameters": {"epochs": "40", "learning_rate": "1e-4"},
    }


def test_weights_to_start_from_are_uploaded_once_and_named_with_their_licence(
    wetread, connection, folder, tmp_path
) -> None:
    weights = tmp_path / "radimagenet of Dr. X.pth"
    weights.write_bytes(b"tensors")
    options = ("--labels", folder, "--initial-weights", weights, "--weights-licence", "RadImageNet, not commercial")
    result = wetread("train", *options)
    assert result.exit_code == 0, result.output
    key = f"cohorts/initial-weights/{hashlib.sha256(b'tensors').hexdigest()}.pth"
    assert connection.s3.objects["training", key] == b"tensors"
    expected = {"Uri": f"s3://training/{key}", "Licence": "RadImageNet, not commercial"}
    assert started(connection)["InitialWeights"] == expected
    assert "already" in wetread("train", *options).stderr


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"t", ("--initial-weights", "w.pth"), "--initial-weights and --weights-licence go together."),
        (b"t", ("--weights-licence", "MIT"), "--initial-weights and --weights-licence go together."),
        (b"t", ("--initial-weights", "w.pth", "--weights-licence", " "), "go together."),
        (b"t", ("--initial-weights", "w.pth", "--weights-licence", "x" * 1001), "not a text of 1 to 1000 characters"),
        (b"", ("--initial-weights", "w.pth", "--weights-licence", "MIT"), "w.pth has 0 bytes; of weights 1 to"),
        (b"t", ("--initial-weights", "absent.pth", "--weights-licence", "MIT"), "absent.pth"),
    ],
)
def test_weights_that_are_not_taken_start_and_upload_nothing(
    wetread, connection, folder, monkeypatch, content, options, expected
) -> None:
    (folder / "w.pth").write_bytes(content)
    monkeypatch.chdir(folder)
    result = wetread("train", "--labels", ".", *options)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr.replace("\n", " ")
    assert (connection.executions.executions, connection.s3.objects) == ({}, {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--set", "epoch=3"), "There is no hyperparameter 'epoch'; did you mean epochs?"),
        (("--set", "learning-rat=3"), "did you mean learning_rate?"),
        (("--set", "qqq=3"), "There is no hyperparameter 'qqq'. Known: epochs, batch_size,"),
    ],
)
def test_a_hyperparameter_that_the_training_does_not_know_starts_and_uploads_nothing(
    wetread, connection, folder, options, expected
) -> None:
    result = wetread("train", "--labels", folder, *options)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert (connection.executions.executions, connection.s3.objects) == ({}, {})


@pytest.mark.parametrize("name", ["batch-size", "sagemaker_job_name"])
def test_hyperparameters_are_taken_in_the_spellings_that_the_training_takes(wetread, folder, name: str) -> None:
    assert wetread("train", "--labels", folder, "--set", f"{name}=8").exit_code == 0


def test_each_class_that_the_stage_does_not_know_is_named_with_its_count_before_anything_is_uploaded(
    wetread, connection, folder
) -> None:
    for name in ("c.dcm", "d.dcm"):
        (folder / name).write_bytes(name.encode())
    entries = [("a.dcm", "cap"), ("b.dcm", "covdi"), ("c.dcm", "covdi"), ("d.dcm", "Normal")]
    (folder / "manifest.json").write_text(json.dumps([entry(*one) for one in entries]))
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 2, result.output
    assert "1 entry has the class 'Normal'; this stage knows: normal, cap, covid.\n" in result.stderr
    assert "2 entries have the class 'covdi'; this stage knows: normal, cap, covid." in result.stderr
    assert (connection.executions.executions, connection.s3.objects) == ({}, {})


def test_labels_that_are_in_the_bucket_are_used_as_they_are(wetread, connection) -> None:
    uri = "s3://training/cohorts/mine/labels.csv"
    assert wetread("train", "--labels", uri).exit_code == 0
    assert started(connection)["LabelsUri"] == uri
    assert connection.s3.objects == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--labels", "s3://elsewhere/cohorts/a/manifest.json"), "elsewhere"),
        (("--labels", "s3://training/a.json"), "cohorts/"),
        (("--labels", "absent"), "no file or folder 'absent'"),
        (("--labels", ".", "--accept-risk", "TooFewPatient"), ", ".join(f"'{risk}'" for risk in Risk)),
        (("--labels", ".", "--set", "epochs"), "NAME=VALUE, not 'epochs'"),
        (("--labels", ".", "--set", "epochs="), "NAME=VALUE"),
        (("--labels", ".", "--set", "epochs=1", "--set", "epochs=2"), "'epochs' twice"),
        (("--labels", ".", "--set", "seed=3"), "Seed"),
        (("--labels", ".", "--seed", "-1"), "-1"),
        ((), "--labels"),
    ],
)
def test_wrong_use_starts_and_uploads_nothing(wetread, connection, folder, monkeypatch, options, expected) -> None:
    monkeypatch.chdir(folder)
    result = wetread("train", *options)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr.replace("\n", " ")
    assert (connection.executions.executions, connection.s3.objects) == ({}, {})


def test_a_file_that_cannot_be_uploaded_starts_nothing(wetread, connection, folder, monkeypatch) -> None:
    def deny(**request):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connection.s3, "put_object", deny)
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 1
    assert "2 of 2 files could not be uploaded, so no run was started" in result.stderr
    assert connection.executions.executions == {}


def test_waiting_shows_the_way_and_ends_with_a_promotion(wetread, connection, folder) -> None:
    end(connection, "Promoted", ("TooFewPatients", True), ModelPackage="wetread/4", ReportUri="s3://training/r.html")
    result = wetread("train", "--labels", folder, "--wait")
    assert result.exit_code == 0, result.output
    assert "Promoted" in result.stdout
    assert ["TooFewPatients", "accepted", "TooFewPatients"] in [line.split()[:3] for line in result.stdout.splitlines()]
    assert "s3://training/r.html" in result.stdout
    assert "model show wetread/4" in result.stderr


def test_reasons_of_a_run_name_the_files_of_the_labels_that_it_was_started_with(wetread, connection, folder) -> None:
    message = "Entry 1: its label is wrong."
    reasons = [{"Code": "UnknownLabel", "Message": message, "Accepted": False}]
    output = json.dumps({"Outcome": "Rejected", "Reasons": reasons})
    connection.executions.ending = {"status": "SUCCEEDED", "output": output}
    result = wetread("train", "--labels", folder, "--wait")
    assert result.exit_code == 1
    assert "Entry 1 (a.dcm): its label is wrong." in result.stdout


def test_a_version_that_awaits_approval_is_no_failure(wetread, connection, folder) -> None:
    end(connection, "AwaitingApproval", ModelPackage="wetread/4")
    result = wetread("train", "--labels", folder, "--wait")
    assert (result.exit_code, "model promote wetread/4" in result.stderr) == (0, True)


def test_a_rejection_reports_every_reason_and_what_to_do_next(wetread, connection, folder) -> None:
    end(connection, "Rejected", ("TooFewPatients", False), ("PatientAcrossSplit", False))
    result = wetread("train", "--labels", folder, "--wait")
    assert result.exit_code == 1
    assert "TooFewPatients it is." in result.stdout
    assert "PatientAcrossSplit it is." in result.stdout
    assert "--accept-risk PatientAcrossSplit --accept-risk TooFewPatients" in result.stderr


def test_a_failure_reports_where_and_why(wetread, connection, folder) -> None:
    connection.executions.states = ["Audit", "Failed"]
    connection.executions.ending = {"status": "FAILED", "error": "States.TaskFailed", "cause": "no room"}
    result = wetread("train", "--labels", folder, "--wait")
    assert result.exit_code == 1
    facts = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert "Audit" in facts["Failed in"]
    assert "no room" in facts["Failure"]


def test_ctrl_c_says_that_the_run_continues(wetread, connection, folder, monkeypatch) -> None:
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupt)
    result = wetread("train", "--labels", folder, "--wait")
    assert result.exit_code == 130
    assert f"The run continues: see `wetread runs {result.stdout.strip()}`" in result.stderr


@pytest.mark.parametrize(
    "name",
    ["ml.m5.2xlarge for training job usage", "ml.m5.xlarge for processing job usage"],
)
def test_a_quota_too_small_for_one_job_is_refused_before_anything_is_sent(wetread, connection, folder, name) -> None:
    connection.account.quotas[name] = 0
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 2
    assert f"The quota {name!r} is 0" in result.stderr
    assert "aws service-quotas request-service-quota-increase --service-code sagemaker" in result.stderr
    assert "--desired-value 1 --region eu-west-1" in result.stderr
    assert not connection.executions.executions
    assert not connection.s3.objects


def test_a_quota_that_aws_lists_too_late_can_be_passed_over(wetread, connection, folder) -> None:
    connection.account.quotas["ml.m5.2xlarge for training job usage"] = 0
    assert wetread("train", "--labels", folder, "--despite-quota").exit_code == 0
    assert len(connection.executions.executions) == 1


def test_the_quota_of_transform_jobs_does_not_stop_a_training(wetread, connection, folder) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    assert wetread("train", "--labels", folder).exit_code == 0


@pytest.mark.parametrize("operation", ["list_service_quotas", "list_aws_default_service_quotas"])
def test_quotas_that_may_not_be_asked_stop_no_training(wetread, connection, folder, operation) -> None:
    del connection.account.quotas["ml.m5.2xlarge for training job usage"]
    connection.account.denied[operation] = "AccessDeniedException"
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 0, result.output
    assert "could not be asked (AccessDeniedException)" in result.stderr


def test_a_type_that_aws_lists_no_quota_of_stops_no_training(wetread, connection, folder) -> None:
    del connection.account.quotas["ml.m5.2xlarge for training job usage"]
    assert wetread("train", "--labels", folder).exit_code == 0


def test_training_on_spot_hosts_goes_by_the_quota_of_spot_hosts(wetread, connection, folder) -> None:
    spot = Hosts(usage="spot training job", instance_type="ml.g5.xlarge", of_one=2, jobs=1)
    connection.deployment = dataclasses.replace(connection.deployment, job_hosts=(spot,))
    connection.account.quotas |= {"ml.g5.xlarge for training job usage": 8}
    connection.account.quotas |= {"ml.g5.xlarge for spot training job usage": 1}
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 2
    assert "'ml.g5.xlarge for spot training job usage' is 1: one spot training job needs 2" in result.stderr


def test_what_a_training_by_folds_costs_is_said_before_anything_is_sent(wetread, connection, folder) -> None:
    connection.deployment = dataclasses.replace(connection.deployment, folds=5)
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 0, result.output
    said, _, sent = result.stderr.partition("Uploaded 2 files")
    assert sent
    assert "on 1 ml.m5.2xlarge trains 6 models one after another" in " ".join(said.split())
    assert "about 5 times as much as one model of all patients, and at most 6 times" in " ".join(said.split())
    assert "An hour of it costs 0.46 USD" in " ".join(said.split())
    assert "Fewer than 5 of a class are refused" in " ".join(said.split())
    plain = wetread("train", "--labels", "s3://training/cohorts/mine/labels.csv")
    assert "trains 6 models" in " ".join(plain.stderr.split())
    connection.deployment = dataclasses.replace(connection.deployment, folds=0)
    assert "folds" not in wetread("train", "--labels", folder).stderr


def test_labels_with_a_split_of_their_own_have_a_test_part_and_no_folds(wetread, connection, folder) -> None:
    connection.deployment = dataclasses.replace(connection.deployment, folds=5)
    entries = [entry("a.dcm", "cap") | {"split": "test"}, entry("b.dcm", "covid") | {"split": "test"}]
    (folder / "manifest.json").write_text(json.dumps(entries))
    result = wetread("train", "--labels", folder)
    assert result.exit_code == 0, result.output
    assert "Patients in the test part: cap 1, covid 1" in result.stderr
    assert "folds" not in result.stderr
