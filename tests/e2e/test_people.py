"""What people may do: each policy of the stack for people, on a role that has nothing else, at the command line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.aws.index import Index
from functions.domain.evidence import Evidence
from functions.domain.row import Status
from localcloud import cloud
from tests.e2e.conftest import Service, running
from tests.e2e.story import QUICK, SMALL
from tests.training import train
from wetread.connection import Connection
from wetread.demo.phantoms import phantom_bytes, write_cohort
from wetread.operations import account
from wetread.operations.diagnosis import service_checks
from wetread.project import PROJECT
from wetread.uploads.waiting import wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PERSONAS = ("Uploader", "Reader", "Labeller", "Approver", "Examiner")
AT_WORK, IN_VAIN = "work", "test"
"""Names of people's sessions; requests of the latter are not recorded (assurance/least_privilege/record.py)."""
FOLLOWED_SECONDS = 600


@dataclass(frozen=True)
class Person:
    """A person with a role: their credentials as environment variables."""

    credentials: Mapping[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``wetread`` as on AWS, at the endpoint of the local cloud."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WETREAD_"))}
        program = Path(sys.executable).parent / "wetread"
        environment = kept | self.credentials
        return subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    def does(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must end well."""
        done = self.command(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done

    def client(self, service: str) -> Any:
        """Return a boto3 client with the person's credentials."""
        return boto3.client(
            service,
            endpoint_url=self.credentials["AWS_ENDPOINT_URL"],
            region_name=self.credentials["AWS_REGION"],
            aws_access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.credentials["AWS_SESSION_TOKEN"],
        )


@dataclass(frozen=True)
class Hospital:
    """A service, and how its people sign in."""

    service: Service
    policies: Mapping[str, str]

    def person(self, *personas: str, session: str = AT_WORK) -> Person:
        """Return a person whose role has the policies of these personas only."""
        iam, name = self.service.connection.client("iam"), f"People{''.join(personas)}Role"
        account = {"AWS": "arn:aws:iam::000000000000:root"}
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": account, "Action": "sts:AssumeRole"}],
        }
        # With the tag that CloudFormation gives, which gives the role of a recorded IAM request.
        tag = {"Key": "aws:cloudformation:logical-id", "Value": name}
        try:
            arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=[tag])["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
        for persona in personas:
            iam.attach_role_policy(RoleName=name, PolicyArn=self.policies[persona])
        taken = self.service.connection.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        running_cloud = cloud.current(PROJECT)
        assert running_cloud
        return Person(
            running_cloud.environment()
            | {
                "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
                "AWS_SESSION_TOKEN": taken["SessionToken"],
            }
        )


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Hospital]:
    """A service with a champion."""
    with running(tmp_path_factory.mktemp("home"), artifact) as service:
        (stack,) = service.connection.client("cloudformation").describe_stacks(StackName="Wetread")["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        yield Hospital(service, {one: outputs[f"{one}PolicyArn"] for one in PERSONAS})


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slices to be read."""
    folder = tmp_path_factory.mktemp("slices")
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(phantom_bytes("cap", 700 + number, 0, size=96))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort that is large enough to be split."""
    folder = tmp_path_factory.mktemp("labelled")
    write_cohort(folder, patients=30, slices_per_patient=1, size=96)
    return folder


@pytest.fixture(scope="module")
def submitted(hospital: Hospital, slices: Path) -> list[dict[str, str]]:
    """What an uploader sent."""
    return list(json.loads(hospital.person("Uploader").does("submit", str(slices), "--json").stdout))


def test_an_uploader_submits_and_a_reader_follows_and_reads(
    hospital: Hospital, submitted: list[dict[str, str]]
) -> None:
    assert len(submitted) == 3
    reader, deployment = hospital.person("Reader"), hospital.service.connection.deployment
    ids = [one["UploadId"] for one in submitted]
    index = Index(reader.client("dynamodb"), deployment.index_table_name)
    waited = wait(index, ids, FOLLOWED_SECONDS, lambda _: None)
    assert {row.status for row in waited.rows.values()} == {Status.COMPLETED}
    row = waited.rows[ids[0]]
    for option, value in (
        ("--study", row.study_instance_uid),
        ("--series", row.series_instance_uid),
        ("--key", row.key),
        ("--job", row.transform_job_name),
        ("--status", "completed"),
        ("--class", row.predicted_class),
        ("--model", row.model_package),
    ):
        found = json.loads(reader.does("results", option, str(value), "--json").stdout)
        assert ids[0] in {one["UploadId"] for one in found}, option
    key = str(row.prediction_key)
    document = reader.client("s3").get_object(Bucket=deployment.results_bucket_name, Key=key)["Body"].read()
    assert json.loads(document)["Class"] == row.predicted_class


def test_a_reader_asks_for_studies_and_saves_one(
    hospital: Hospital, submitted: list[dict[str, str]], tmp_path: Path
) -> None:
    reader, ids = hospital.person("Reader"), [one["UploadId"] for one in submitted]
    index = Index(reader.client("dynamodb"), hospital.service.connection.deployment.index_table_name)
    study = str(wait(index, ids, FOLLOWED_SECONDS, lambda _: None).rows[ids[0]].study_instance_uid)
    deadline = time.monotonic() + FOLLOWED_SECONDS
    while (read := reader.command("studies", study, "--json")).returncode:
        assert time.monotonic() < deadline, read.stderr
        reader.does("studies", "--open")
        time.sleep(2)
    label = str(json.loads(read.stdout)["Class"])
    for options in (("--class", label), ()):
        listed = json.loads(reader.does("studies", *options, "--json").stdout)
        assert study in {one["StudyInstanceUID"] for one in listed}
    saved = reader.does("studies", study, "--save", str(tmp_path))
    assert "DICOM results were not looked for" not in saved.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"study-{study}-000001.json"]
    assert (
        "are all of study"
        in hospital.person("Uploader", "Reader", session=IN_VAIN).does("studies", study, "--close").stderr
    )


def test_an_uploader_who_reads_nothing_sends_once_what_is_submitted_again(
    hospital: Hospital, submitted: list[dict[str, str]], slices: Path
) -> None:
    uploader = hospital.person("Uploader")
    assert json.loads(uploader.does("submit", str(slices), "--json").stdout) == submitted
    listed = hospital.service.connection.s3.list_object_versions(
        Bucket=hospital.service.connection.deployment.uploads_bucket_name, Prefix=f"{slices.name}/"
    )
    assert len(listed["Versions"]) == len(submitted)


def test_who_uploads_and_reads_may_wait_for_it(hospital: Hospital, slices: Path) -> None:
    both = hospital.person("Uploader", "Reader", session=IN_VAIN)
    assert json.loads(both.does("submit", str(slices / "0.dcm"), "--wait", "--json").stdout)[0]["Status"] == "Completed"


def test_a_labeller_trains_and_reads_the_report_while_a_reader_sees_how_it_goes(
    hospital: Hospital, cohort: Path, tmp_path: Path
) -> None:
    labeller, reader = hospital.person("Labeller"), hospital.person("Reader")
    up = hospital.service.command("endpoint", "up")
    assert up.returncode == 0, up.stderr
    assert "costs money" in reader.does("status").stderr
    hospital.service.command("endpoint", "down")
    run = labeller.does("train", "--labels", str(cohort), *QUICK, *SMALL).stdout.strip()
    deadline = time.monotonic() + FOLLOWED_SECONDS
    while (shown := json.loads(labeller.does("runs", run, "--json").stdout))["Status"] == "RUNNING":
        assert time.monotonic() < deadline
        labeller.does("runs", run)
        reader.does("status")
    assert shown["Status"] == "SUCCEEDED"
    labeller.does("runs")
    labeller.does("runs", run, "--report", str(tmp_path / "report.html"))
    assert "<html" in (tmp_path / "report.html").read_text()
    again = labeller.does("train", "--labels", str(cohort), *QUICK)
    assert "were in the training bucket already" in again.stderr


def test_an_approver_promotes_takes_back_and_has_uploads_read_again(
    hospital: Hospital, submitted: list[dict[str, str]], slices: Path, tmp_path: Path
) -> None:
    service, approver = hospital.service, hospital.person("Approver")
    second = service.connection.registry.register(
        train(tmp_path / "opt-ml", image_size=96), evidence_of(service)
    ).model_package
    assert second in approver.does("model", "list", "--json").stdout
    approver.does("model", "show", second)
    approver.does("predict", str(slices / "0.dcm"))
    first = service.connection.registry.champion()
    assert first
    approver.does("model", "promote", second)
    uploads = service.put_all({f"again/{one.name}": one.read_bytes() for one in slices.iterdir()})
    assert {row.model_package for row in service.rows(uploads).values()} == {second}
    back = approver.does("model", "rollback", "--yes", "--rescore", "--reason", "a trial")
    assert "3 uploads requeued" in back.stderr
    assert {row.model_package for row in service.rows(uploads).values()} == {first.model_package}
    approver.does("model", "rescore", second)
    approver.does("model", "promote", first.model_package)


def test_an_examiner_asks_how_the_stage_is_deployed_and_what_the_account_allows(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = hospital.person("Examiner").credentials
    monkeypatch.setenv("AWS_ENDPOINT_URL", credentials["AWS_ENDPOINT_URL"])
    session = boto3.Session(
        credentials["AWS_ACCESS_KEY_ID"],
        credentials["AWS_SECRET_ACCESS_KEY"],
        credentials["AWS_SESSION_TOKEN"],
        region_name=credentials["AWS_REGION"],
    )
    connection = Connection(session, lambda: "", hospital.service.connection.stack, local=False)
    asked = [*service_checks(connection, datetime.now(UTC))[:1], *account.checks(connection)]
    # The endpoint is the reader's.
    found = [result for one in asked if one.name != "Quota of the endpoint" for result in one.results()]
    assert not [one for one in found if not one.well or "Denied" in one.found]
    assert {"Uploads bucket", "Functions", "Lambda concurrency", "Model registry", "CDK bootstrap"} <= {
        one.name for one in found if one.is_known
    }


def test_a_person_without_the_rights_of_doctor_sees_what_it_needs(hospital: Hospital) -> None:
    done = hospital.person("Reader", session=IN_VAIN).command("doctor", "--json")
    results = {one["Name"]: one for one in json.loads(done.stdout)}
    assert results["Lambda"]["Well"] is None
    assert "lambda:GetAccountSettings" in results["Lambda"]["Remedy"]
    assert results["Champion"]["Well"] is True


def evidence_of(service: Service) -> Evidence:
    """Return a run's evidence for its version, with the evaluation of an earlier run."""
    run = service.connection.runs.newest(10)[-1]
    return Evidence(
        run="trial",
        snapshot_digest="0" * 64,
        evaluation_sha256="0" * 64,
        evaluation_uri=str(run.output["EvaluationUri"]),
        accepted_risks=(),
        evaluated_against="",
        balanced_accuracy=0.9,
        training_job_name="trial",
    )


MINE = {
    "Uploader": "submit",
    "Reader": "results",
    "Labeller": "train",
    "Approver": "promote",
    "Examiner": None,
}


@pytest.mark.parametrize("persona", PERSONAS)
def test_what_is_another_persons_is_denied_with_a_sentence(
    hospital: Hospital, slices: Path, cohort: Path, persona: str, tmp_path: Path
) -> None:
    person = hospital.person(persona, session=IN_VAIN)
    model = tmp_path / "model.tar.gz"
    model.write_bytes(gzip.compress(gzip.decompress(hospital.service.artifact.read_bytes()), mtime=1))
    others = {
        "submit": ("submit", str(slices)),
        "results": ("results",),
        "train": ("train", "--labels", str(cohort)),
        "promote": ("model", "promote", "1"),
        "register": ("model", "register", str(model)),
        "erase": ("erase", "--study", "2.25.1", "--yes"),
        "endpoint": ("endpoint", "up"),
    }
    others = {name: arguments for name, arguments in others.items() if name != MINE[persona]}
    before = hospital.service.connection.registry.champion()
    for arguments in others.values():
        done = person.command(*arguments)
        assert done.returncode in {1, 2}, (arguments, done.stderr)
        assert "AWS does not allow this: " in done.stderr, (arguments, done.stderr)
    assert hospital.service.connection.registry.champion() == before


def test_an_uploader_reads_lists_and_deletes_nothing_and_a_labeller_writes_no_run(hospital: Hospital) -> None:
    deployment = hospital.service.connection.deployment
    labeller = hospital.person("Labeller", session=IN_VAIN).client("s3")
    with pytest.raises(labeller.exceptions.ClientError, match="AccessDenied"):
        labeller.put_object(Bucket=deployment.training_bucket_name, Key="runs/x/snapshot.json", Body=b"{}")
    uploader = hospital.person("Uploader", session=IN_VAIN).client("s3")
    for ask in (
        lambda: uploader.get_object(Bucket=deployment.uploads_bucket_name, Key="slices/0.dcm"),
        lambda: uploader.list_objects_v2(Bucket=deployment.uploads_bucket_name),
        lambda: uploader.delete_object(Bucket=deployment.uploads_bucket_name, Key="slices/0.dcm"),
    ):
        with pytest.raises(uploader.exceptions.ClientError, match="AccessDenied"):
            ask()
