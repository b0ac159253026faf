"""The training workflow in the local cloud: promoted, rejected, interrupted, two at once, and rolled back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from functions.aws.objects import Documents
from functions.domain import layout
from functions.domain.row import Row, Status
from functions.names import COHORTS, IndexName
from localcloud import cloud
from model_code.backends import networks
from tests.e2e.clinic import Clinic
from tests.e2e.conftest import Service
from wetread.connection import Choice, connect
from wetread.demo import training
from wetread.demo.phantoms import LABELS, phantom_bytes, write_cohort
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

QUICK = {"epochs": "1", "image_size": "64", "batch_size": "8"}
GOOD = {name: value for name, value in training.HYPERPARAMETERS.items() if name != "model_name"}
LICENCE = "none: random numbers"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """The demo's service: its uploads waited for a model, which its workflow trained and promoted."""
    patch = pytest.MonkeyPatch()
    patch.setenv("WETREAD_HOME", str(tmp_path_factory.mktemp("home")))
    patch.setenv("WETREAD_SAGEMAKER_CREATE_RATE", "1")  # two runs that create jobs at once are throttled
    try:
        cloud.up(PROJECT, tether=True)
        connection = connect(Choice(local=True, profile=None, region=None, stack="Wetread"))
        service = Service(connection, Path(), dict(os.environ))
        demo = service.command("demo", "--size", "128", "--count", "12")
        assert demo.returncode == 0, demo.stdout + demo.stderr
        yield Clinic(service, demo.stdout + demo.stderr)
    finally:
        cloud.down(PROJECT)
        patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many phantom patients as the demo has: enough for every gate."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, training.PATIENTS, training.SLICES, training.SIZES)
    return folder


@pytest.fixture(scope="module")
def cohort(clinic: Clinic, folder: Path) -> str:
    """The cohort in the training bucket."""
    return clinic.store("good", folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights to start from, of a network that has seen nothing."""
    path = tmp_path_factory.mktemp("weights") / "densenet121.pth"
    torch.manual_seed(0)
    torch.save(networks.build(len(LABELS)).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def noisy(clinic: Clinic, cohort: str, folder: Path) -> str:
    """The same slices with random labels, one a patient."""
    entries = json.loads((folder / "manifest.json").read_text())
    lots: dict[str, str] = {}
    draw = random.Random(5)
    for entry in entries:
        entry["content"]["label"] = lots.setdefault(entry["studyId"], draw.choice(LABELS))
    bucket = clinic.service.connection.deployment.training_bucket_name
    key = f"{COHORTS}good/noisy.json"
    clinic.service.connection.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(entries).encode())
    return f"s3://{bucket}/{key}"


def read_now(clinic: Clinic, prefix: str, seed: int) -> dict[str, Row]:
    """Upload six slices and wait for their rows."""
    bodies = {f"{prefix}/{n}.dcm": phantom_bytes(LABELS[n % 3], 900 + n, 0, size=128, seed=seed) for n in range(6)}
    return clinic.service.rows(clinic.service.put_all(bodies))


def test_the_first_model_is_promoted_and_reads_what_waited(clinic: Clinic) -> None:
    """The demo, unattended: train, promote, the pending uploads drain, results."""
    assert "Pending waits for one" in clinic.demo
    assert clinic.champion() == "wetread/1"
    (version,) = clinic.service.connection.registry.versions()
    assert (version.approval, version.accepted_risks, version.evaluated_against) == ("Approved", (), "")
    assert version.balanced_accuracy is not None
    assert version.balanced_accuracy >= 0.7
    rows = list(clinic.service.connection.index.find(IndexName.BY_MODEL, "wetread/1"))
    assert [row.status for row in rows].count(Status.COMPLETED) >= 12
    results = Documents(clinic.service.connection.s3, clinic.service.connection.deployment.results_bucket_name)
    backends = {results.read(row.prediction_key)["Form"] for row in rows if row.prediction_key}
    assert len(backends) == 1, "one version answers in one form"
    assert backends <= {"openvino-fp32", "openvino-bf16", "openvino-int8", "openvino-int8-bf16"}, (
        "what was optimised serves"
    )


def report_of(clinic: Clinic, run: str, file: Path) -> str:
    """Save a run's report from the command line; return the page."""
    shown = clinic.service.command("runs", run, "--report", str(file))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return file.read_text()


def test_a_worse_candidate_is_rejected_with_its_reasons(clinic: Clinic, noisy: str, tmp_path: Path) -> None:
    before = clinic.champion()
    # Random labels give some class few test patients; that is not what this is about.
    outcome = clinic.outcome(noisy, QUICK, "TooFewToCompare")
    assert (outcome["Outcome"], outcome["ModelPackage"]) == ("Rejected", "")
    codes = {reason["Code"] for reason in outcome["Reasons"]}
    assert "BalancedAccuracyTooLow" in codes, outcome["Reasons"]
    assert codes & {"WorseThanChampion", "TooFewToCompare"}, outcome["Reasons"]
    assert all(reason["Message"] for reason in outcome["Reasons"])
    assert clinic.champion() == before
    rows = read_now(clinic, "after-rejection", seed=6)
    assert {(row.status, row.model_package) for row in rows.values()} == {(Status.COMPLETED, before)}

    page = report_of(clinic, outcome["Run"], tmp_path / "report.html")
    assert "Rejected: the champion is what it was." in page
    assert "does not hold" in page
    assert 'class="learning validation"' in page
    assert re.search(r'<td class="file" data-line="\d+">[^<]+\.dcm</td>', page), "the names of the person's files"
    found = re.search(r"wetread model register (s3://[^<]+)</code>", page.replace("wetread --local", "wetread"))
    assert found, "the artifact is named with its command"
    registered = clinic.service.command("model", "register", found[1])
    assert registered.returncode == 0, registered.stderr
    assert registered.stdout.startswith("wetread/")
    assert clinic.champion() == before
    compared = clinic.service.command("runs", "compare", outcome["Run"], first_run(clinic))
    assert "epochs" in compared.stdout, compared.stderr


def metadata_of(clinic: Clinic, run: str) -> Any:
    """Return the metadata.json of the artifact that a run measured."""
    bucket = clinic.service.connection.deployment.training_bucket_name
    packed = clinic.service.connection.s3.get_object(Bucket=bucket, Key=layout.candidate_key(run))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.extractfile("metadata.json")
        assert member
        return json.loads(member.read())


def first_run(clinic: Clinic) -> str:
    """Return the id of the demo's run."""
    return str(json.loads(clinic.service.command("runs", "--json").stdout)[-1]["Run"])


def training_process(home: str) -> int | None:
    """Return the process id of this cloud's running ``train`` command."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            where = (path / "cwd").readlink()
        except OSError:
            continue
        if b"model_code" in command and b"train" in command and str(where).startswith(home):
            return int(path.name)
    return None


def test_a_killed_training_fails_its_run_and_nothing_else(clinic: Clinic, cohort: str) -> None:
    champion, versions = clinic.champion(), len(clinic.service.connection.registry.versions())
    execution = clinic.start(cohort, GOOD)
    os.kill(clinic.wait(lambda: training_process(clinic.service.environment["WETREAD_HOME"])), signal.SIGKILL)
    ended = clinic.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert "exit code: 137" in ended["cause"], ended
    assert (clinic.champion(), len(clinic.service.connection.registry.versions())) == (champion, versions)
    shown = clinic.service.command("runs", layout.run_id(execution.rsplit(":", 1)[-1])).stdout
    assert "Failed" in shown
    assert "Train" in shown


def test_a_failed_evaluation_promotes_nothing(clinic: Clinic, cohort: str) -> None:
    sagemaker, champion = clinic.service.connection.sagemaker, clinic.champion()
    execution = clinic.start(cohort, QUICK)
    run = layout.run_id(execution.rsplit(":", 1)[-1])

    def evaluation() -> str | None:
        jobs = sagemaker.list_processing_jobs(NameContains=f"evaluate-{run}", StatusEquals="InProgress")
        return next((job["ProcessingJobName"] for job in jobs["ProcessingJobSummaries"]), None)

    sagemaker.stop_processing_job(ProcessingJobName=clinic.wait(evaluation))
    ended = clinic.end(execution)
    assert ended["status"] == "FAILED"
    assert "evaluate" in ended["cause"], ended
    assert clinic.champion() == champion


def test_of_two_runs_at_once_one_is_promoted_and_a_rollback_restores(
    clinic: Clinic, artifact: Path, cohort: str
) -> None:
    """Against a poor champion, after all that failed before; both create jobs at once, so one is throttled."""
    poor = clinic.service.connection.registry.register(artifact).model_package
    assert clinic.service.command("model", "promote", poor).returncode == 0
    executions = [clinic.start(cohort, GOOD), clinic.start(cohort, GOOD)]
    ended = [clinic.end(execution) for execution in executions]
    assert [one["status"] for one in ended] == ["SUCCEEDED", "SUCCEEDED"], ended
    promoted, late = sorted((one["document"] for one in ended), key=lambda document: str(document["Outcome"]))
    assert promoted["Outcome"] == "Promoted", promoted["Reasons"]
    assert late["Outcome"] == "Rejected"
    assert [reason["Code"] for reason in late["Reasons"] if not reason["Accepted"]] == ["ChampionChanged"]

    better = clinic.champion()
    assert better == promoted["ModelPackage"] != poor
    rows = read_now(clinic, "better", seed=7)
    assert {(row.status, row.model_package) for row in rows.values()} == {(Status.COMPLETED, better)}

    back = clinic.service.command("model", "rollback", "--rescore", "--yes", "--reason", "a test of the way back")
    assert back.returncode == 0, back.stdout + back.stderr
    assert clinic.champion() == poor
    again = clinic.service.rows({key: row.upload_id for key, row in rows.items()})
    read = {(row.status, row.model_package, row.withdrawn_at) for row in again.values()}
    assert read == {(Status.COMPLETED, poor, None)}
    versions = {one.model_package: one.approval for one in clinic.service.connection.registry.versions()}
    assert (versions[better], versions[late["ModelPackage"]]) == ("Rejected", "Rejected")


def test_a_model_from_given_weights_that_awaits_approval_is_promoted_by_it(
    clinic: Clinic, folder: Path, weights: Path
) -> None:
    """From the command line, in a stage with approval by a person."""
    clinic.set_approval("manual")
    poor = clinic.champion()
    options = [option for name, value in GOOD.items() for option in ("--set", f"{name}={value}")]
    options += ["--initial-weights", str(weights), "--weights-licence", LICENCE]
    trained = clinic.service.command("train", "--labels", str(folder), "--wait", *options)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "AwaitingApproval" in trained.stdout + trained.stderr
    assert clinic.champion() == poor
    newest = clinic.service.connection.registry.versions()[0]
    assert (newest.approval, newest.evaluated_against) == ("PendingManualApproval", poor)
    clinic.service.connection.sagemaker.update_model_package(
        ModelPackageArn=newest.arn, ModelApprovalStatus="Approved", ApprovalDescription="The report is convincing"
    )
    clinic.wait(lambda: clinic.champion() == newest.model_package)
    rows = read_now(clinic, "approved", seed=8)
    assert {(row.status, row.model_package) for row in rows.values()} == {(Status.COMPLETED, newest.model_package)}
    shown = clinic.service.command("model", "show", newest.model_package)
    assert shown.returncode == 0, shown.stderr
    assert newest.snapshot_digest[:12] in shown.stdout
    pinned = metadata_of(clinic, newest.run)["training"]["initial_weights"]
    assert (pinned["sha256"], pinned["licence"]) == (hashlib.sha256(weights.read_bytes()).hexdigest(), LICENCE)


def test_the_public_sample_is_refused_and_runs_through_when_its_risks_are_accepted(
    clinic: Clinic, real_slices: list[Path], tmp_path: Path
) -> None:
    labels = clinic.store("sample", real_slices[0].parent)
    refused = clinic.outcome(labels, QUICK)
    assert refused["Outcome"] == "Rejected"
    codes = sorted({reason["Code"] for reason in refused["Reasons"]})
    assert len(codes) >= 3, refused["Reasons"]
    page = report_of(clinic, refused["Run"], tmp_path / "report.html")
    assert "Rejected for its data" in page
    assert "Nearly the same picture in two parts" in page
    assert re.search(r'<span class="file" data-line="\d+">[^<]+</span>', page), "the names of the person's files"

    outcome = clinic.outcome(labels, QUICK, *codes)
    assert outcome["EvaluationUri"], outcome
    accepted = {reason["Code"] for reason in outcome["Reasons"] if reason["Accepted"]}
    assert accepted <= set(codes)


def test_a_bad_request_ends_with_its_reasons(clinic: Clinic) -> None:
    answer = clinic.workflow.start_execution(
        stateMachineArn=clinic.service.connection.deployment.training_state_machine_arn,
        input=json.dumps({"LabelsUri": "s3://elsewhere/manifest.json", "AcceptedRisks": ["Everything"], "Epochs": 3}),
    )
    document = clinic.end(answer["executionArn"])["document"]
    assert document["Outcome"] == "Rejected"
    shown = json.dumps(document["Reasons"])
    for wrong in ("elsewhere", "Everything", "Epochs"):
        assert wrong in shown
