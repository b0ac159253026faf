"""Work of a data scientist by hand: experiments and a real-time endpoint, by the SageMaker SDK in the local cloud."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.aws.objects import Documents
from functions.domain import prediction
from functions.domain.prediction import Prediction
from functions.domain.row import Status
from tests.e2e.conftest import Service
from wetread.demo.phantoms import LABELS, phantom_bytes, write_cohort
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

QUICK = ("--set", "epochs=1", "--set", "image_size=64", "--set", "batch_size=8")
NAME = "wetread-endpoint"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort that is large enough to be split."""
    folder = tmp_path_factory.mktemp("labelled")
    write_cohort(folder, patients=30, slices_per_patient=1, size=96)
    return folder


@pytest.fixture(scope="module")
def experiment(service: Service, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One experiment with changed code: its program's ``stdout`` and ``stderr`` as files."""
    code = tmp_path_factory.mktemp("mine") / "model_code"
    shutil.copytree(PROJECT.folder / "model_code", code, ignore=shutil.ignore_patterns("__pycache__"))
    with (code / "training/train.py").open("a") as file:
        file.write('\nprint("my own train", flush=True)\n')
    done = service.command("experiment", "--labels", str(folder), "--code", str(code), *QUICK)
    assert done.returncode == 0, done.stderr
    (code / "stdout").write_text(done.stdout)
    (code / "stderr").write_text(done.stderr)
    return code


def test_an_experiment_trains_with_its_own_code_and_prints_where_the_artifact_is(
    service: Service, experiment: Path
) -> None:
    shown = (experiment / "stderr").read_text()
    for line in (
        "my own train",
        "training_slices=18",
        "epoch=1 of 1 train_loss=",
        "train:loss = ",
        "model register s3://",
    ):
        assert line in shown
    uri = (experiment / "stdout").read_text()
    assert re.fullmatch(r"s3://\S+/model\.tar\.gz\n", uri)


def test_nothing_of_an_experiment_is_a_version_or_a_run_until_a_person_registers_it(
    service: Service, experiment: Path
) -> None:
    registry = service.connection.registry
    champion, versions = registry.champion(), [one.model_package for one in registry.versions()]
    uri = (experiment / "stdout").read_text().strip()
    assert uri.split("/runs/")[1].split("/")[0] not in {run.run_id for run in service.connection.runs.newest(1000)}
    registered = service.command("model", "register", uri)
    assert registered.returncode == 0, registered.stderr
    assert registered.stdout.strip() not in versions
    assert service.connection.registry.champion() == champion


def test_a_class_that_the_service_does_not_know_uploads_and_trains_nothing(
    service: Service, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    manifest = tmp_path / "other" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"covid"', '"flu"'))
    before = keys(service)
    done = service.command("experiment", "--labels", str(tmp_path / "other"), *QUICK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the class 'flu'; this stage knows: " in done.stderr
    assert "Nothing was uploaded or started." in done.stderr
    assert keys(service) == before


def keys(service: Service) -> list[str]:
    """Return the keys of the training bucket."""
    bucket = service.connection.deployment.training_bucket_name
    pages = service.connection.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [stored["Key"] for page in pages for stored in page.get("Contents", ())]


@pytest.fixture(scope="module")
def up(service: Service) -> Iterator[subprocess.CompletedProcess[str]]:
    """The champion behind the endpoint."""
    done = service.command("endpoint", "up")
    assert done.returncode == 0, done.stderr
    yield done
    service.command("endpoint", "down")


def test_the_endpoint_answers_as_the_batch_path_does(service: Service, up: subprocess.CompletedProcess[str]) -> None:
    assert up.stdout == f"{NAME}\n"
    bodies = {f"doors/{n}.dcm": phantom_bytes(LABELS[n % 3], 700 + n, 0, size=128, seed=8) for n in range(4)}
    rows = service.rows(service.put_all(bodies))
    connection = service.connection
    runtime = connection.client("sagemaker-runtime")
    results = Documents(connection.s3, connection.deployment.results_bucket_name)
    for key, body in bodies.items():
        row = rows[key]
        assert row.status is Status.COMPLETED
        kept = results.read(row.prediction_key or "")
        answered = runtime.invoke_endpoint(EndpointName=NAME, ContentType="application/dicom", Body=body)["Body"].read()
        answer = prediction.parse(answered, kept["ContentSHA256"])
        assert isinstance(answer, Prediction)
        assert (answer.predicted_class, answer.probabilities) == (kept["Class"], kept["Probabilities"])
        assert (answer.weights_sha256, answer.backend) == (kept["WeightsSHA256"], kept["Form"])


def test_people_see_its_answers_and_its_costs(
    service: Service, up: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    (tmp_path / "a.dcm").write_bytes(phantom_bytes("cap", 700, 0, size=128))
    (tmp_path / "b.dcm").write_bytes(b"no DICOM")
    documents = []
    for command in (("predict",), ("endpoint", "invoke")):
        done = service.command(*command, str(tmp_path / "a.dcm"), str(tmp_path / "b.dcm"), "--json")
        assert done.returncode == 1, done.stderr
        assert "could not read 1 of 2 files" in done.stderr
        documents.append([{k: v for k, v in one.items() if k != "TimingsMs"} for one in json.loads(done.stdout)])
    assert documents[0] == documents[1]
    assert re.search(r"costs money: end it with `\S*wetread --local endpoint down`", service.command("status").stderr)
    again = service.command("endpoint", "up")
    assert (again.returncode, "is InService already" in again.stderr) == (2, True)


def test_down_is_certain_and_safe_to_repeat(service: Service, up: subprocess.CompletedProcess[str]) -> None:
    sagemaker = service.connection.sagemaker
    for expected in ("is gone, and costs nothing more", "nothing to end"):
        done = service.command("endpoint", "down")
        assert (done.returncode, expected in done.stderr) == (0, True), done.stderr
        assert sagemaker.list_endpoints()["Endpoints"] == []
        assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
        assert NAME not in {one["ModelName"] for one in sagemaker.list_models()["Models"]}


def test_an_experiments_artifact_serves_without_being_the_champion(service: Service, experiment: Path) -> None:
    uri = (experiment / "stdout").read_text().strip()
    slice_ = experiment / "a.dcm"
    slice_.write_bytes(phantom_bytes("cap", 700, 0, size=128))
    try:
        assert service.command("endpoint", "up", "--artifact", uri, "--serverless", "3072").returncode == 0
        (answer,) = json.loads(service.command("endpoint", "invoke", str(slice_), "--json").stdout)
    finally:
        assert service.command("endpoint", "down").returncode == 0
    assert answer["Model"]["Version"] in uri, "an experiment's version is its run"


def repacked(artifact: Path, folder: Path, name: str, change: tuple[str, str]) -> Path:
    """Return the artifact with one text in one of its files replaced."""
    with tarfile.open(artifact) as archive:
        archive.extractall(folder, filter="data")
    text = (folder / name).read_text()
    assert change[0] in text
    (folder / name).write_text(text.replace(*change))
    target = folder.parent / "changed.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return target


def test_a_container_that_never_answers_is_reported_and_costs_nothing(service: Service, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    broken = repacked(
        service.artifact,
        tmp_path / "model",
        "code/inference.py",
        ("from model_code", "import not_there\nfrom model_code"),
    )
    done = service.command("endpoint", "up", "--artifact", str(broken))
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not pass the ping health check" in done.stderr
    assert "It was ended again" in done.stderr
    assert service.connection.sagemaker.list_endpoints()["Endpoints"] == []
    logs = service.connection.logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{NAME}")
    assert any("not_there" in event["message"] for event in logs["events"]), "the log says why"


def test_another_set_of_classes_is_refused(service: Service, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    other = repacked(service.artifact, tmp_path / "model", "metadata.json", ('"covid"', '"flu"'))
    done = service.command("endpoint", "up", "--artifact", str(other))
    assert done.returncode == 2
    assert "distinguishes normal, cap, flu, and this service normal, cap, covid" in done.stderr
