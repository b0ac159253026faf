"""The command ``evaluate``: two files with a champion and without, or a failure that says what to do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_code.__main__ import main
from model_code.artifacts.artifact import sha256_of
from model_code.container import Container
from model_code.evaluation.against import level_of
from tests.model_code.evaluation.conftest import LABELS, MakeArchive
from tests.snapshots import phantom_slices, write_snapshot
from wetread.demo.phantoms import phantom_bytes


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """A processing job's /opt/ml with a snapshot."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    write_snapshot(tmp_path / "processing/input", phantom_slices(patients=18))
    return Container(tmp_path)


def put(archive: Path, place: Path) -> None:
    place.parent.mkdir()
    shutil.copyfile(archive, place)


def evaluate(container: Container) -> int:
    """Run the command with the digests of the files in the channels, as a run knows them."""
    arguments = ["evaluate"]
    for role in ("candidate", "champion", "reference"):
        archive = getattr(container.processing, role)
        arguments += [f"--{role}-sha256", sha256_of(archive)] if archive.is_file() else []
    return main(arguments)


def evaluated(container: Container) -> dict[str, Any]:
    assert evaluate(container) == 0
    assert not container.message.exists()
    document: dict[str, Any] = json.loads((container.processing.evaluation / "evaluation.json").read_text())
    return document


def test_a_first_model_is_measured_alone(container: Container, make_archive: MakeArchive) -> None:
    put(make_archive(temperature=2.0), container.processing.candidate)
    document = evaluated(container)
    assert (document["Champion"], document["Paired"]) == (None, None)
    assert document["Cases"]["Slices"] == 12
    assert document["Candidate"]["Calibration"]["Temperature"] == 2.0
    page = (container.processing.evaluation / "report.html").read_text()
    assert "untrained" in page
    assert "champion" not in page.lower().partition("<body>")[2]


def test_both_are_measured_on_the_same_slices_again_and_again(container: Container, make_archive: MakeArchive) -> None:
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    document = evaluated(container)
    assert document["Candidate"]["Model"]["Version"] == "0"
    assert document["Champion"]["Model"]["Version"] == "1"
    assert sum(map(sum, document["Champion"]["ConfusionMatrix"])) == document["Cases"]["Slices"]
    assert document["Paired"]["TooFew"], "two patients of each class"
    page = (container.processing.evaluation / "report.html").read_bytes()
    assert evaluated(container) == document
    assert (container.processing.evaluation / "report.html").read_bytes() == page


def test_a_champion_that_was_replaced_fails_the_job(container: Container, make_archive: MakeArchive) -> None:
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    digests = ["--candidate-sha256", sha256_of(container.processing.candidate), "--champion-sha256", "ab" * 32]
    assert main(["evaluate", *digests]) == 1
    assert "input named champion has the SHA-256" in container.message.read_text()
    assert not container.processing.evaluation.exists()


def test_a_champion_without_a_digest_is_not_taken(container: Container, make_archive: MakeArchive) -> None:
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    assert main(["evaluate", "--candidate-sha256", sha256_of(container.processing.candidate)]) == 1
    assert "the run's champion is not known" in container.message.read_text()


def test_a_champion_that_was_taken_away_is_missed(container: Container, make_archive: MakeArchive) -> None:
    put(make_archive(), container.processing.candidate)
    digests = ["--candidate-sha256", sha256_of(container.processing.candidate), "--champion-sha256", "ab" * 32]
    assert main(["evaluate", *digests]) == 1
    assert "no model.tar.gz in the input named champion" in container.message.read_text()


def test_a_candidate_is_compared_with_the_reference_on_the_attempt_that_the_run_counted(
    container: Container, make_archive: MakeArchive
) -> None:
    shutil.rmtree(container.base / "processing")
    write_snapshot(container.base / "processing/input", phantom_slices(patients=36))
    for seed, role in enumerate(("candidate", "champion", "reference")):
        put(make_archive(seed=seed), getattr(container.processing, role))
    found = evaluated(container)["Attempt"]
    assert (found["Number"], found["Level"]) == (1, level_of(1))
    assert [found[role]["Model"]["Version"] for role in ("Champion", "Reference")] == ["1", "2"]
    digests = ["--candidate-sha256", sha256_of(container.processing.candidate)]
    digests += ["--champion-sha256", sha256_of(container.processing.champion)]
    assert main(["evaluate", *digests, "--attempt", "4"]) == 0
    again = json.loads((container.processing.evaluation / "evaluation.json").read_text())["Attempt"]
    assert (again["Number"], again["Reference"]) == (4, None)
    assert again["Champion"]["Bound"] < found["Champion"]["Bound"]


def test_a_reference_that_this_image_cannot_load_is_left_out_and_another_file_fails_the_job(
    container: Container, make_archive: MakeArchive
) -> None:
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    container.processing.reference.parent.mkdir()
    container.processing.reference.write_bytes(make_archive(seed=2).read_bytes()[:-1000])
    assert evaluated(container)["Attempt"]["Reference"] is None
    digests = ["--candidate-sha256", sha256_of(container.processing.candidate)]
    digests += ["--champion-sha256", sha256_of(container.processing.champion), "--reference-sha256", "ab" * 32]
    assert main(["evaluate", *digests]) == 1
    assert "input named reference has the SHA-256" in container.message.read_text()


def test_patients_that_the_champion_was_trained_on_are_left_out(
    container: Container, make_archive: MakeArchive
) -> None:
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    whole = evaluated(container)
    document = json.loads(container.processing.snapshot.read_text())
    tested = sorted({one["Patient"] for one in document["Slices"] if one["Split"] == "test"})
    for one in document["Slices"]:
        one["Split"] = "train" if one["Patient"] in tested[:3] else "test"
    container.processing.champion_snapshot.parent.mkdir()
    container.processing.champion_snapshot.write_text(json.dumps(document))
    found = evaluated(container)
    assert found["Candidate"] == whole["Candidate"]
    assert (found["Attempt"]["Champion"]["Seen"], found["Attempt"]["Champion"]["Patients"]) == (3, len(tested) - 3)
    assert sum(map(sum, found["Champion"]["ConfusionMatrix"])) < whole["Cases"]["Slices"]
    assert "was trained on 3 of the test patients" in (container.processing.evaluation / "report.html").read_text()


@pytest.mark.parametrize("damage", ["absent", "damaged", "other classes"])
def test_a_champion_that_cannot_be_compared_fails_the_job(
    container: Container, make_archive: MakeArchive, damage: str
) -> None:
    put(make_archive(), container.processing.candidate)
    champion = container.processing.champion
    champion.parent.mkdir()
    if damage == "damaged":
        champion.write_bytes(make_archive().read_bytes()[:-1000])
    elif damage == "other classes":
        shutil.copyfile(make_archive(labels=("ill", "well")), champion)
    assert evaluate(container) == 1
    assert "champion" in container.message.read_text()
    assert not container.processing.evaluation.exists()


def test_without_test_slices_there_is_nothing_to_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_archive: MakeArchive
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    container = Container(tmp_path)
    write_snapshot(tmp_path / "processing/input", phantom_slices(patients=3))
    put(make_archive(labels=LABELS), container.processing.candidate)
    assert evaluate(container) == 1
    assert "no test slices" in container.message.read_text()


def test_studies_are_measured_with_slices_that_have_no_label_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_archive: MakeArchive
) -> None:
    """Ten slices of a test patient are a series: one labelled, and nine by their study's label."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    made = phantom_slices(patients=9, slices_per_patient=1)
    first = next(one for one in made if one.split == "test")
    more = [
        replace(first, body=phantom_bytes(first.label, 0, number, size=64), label="", study_label=first.label)
        for number in range(9)
    ]
    write_snapshot(tmp_path / "processing/input", [*made, *more])
    container = Container(tmp_path)
    put(make_archive(), container.processing.candidate)
    put(make_archive(seed=1), container.processing.champion)
    document = evaluated(container)
    assert document["Cases"]["Slices"] == 3
    assert (document["Cases"]["Studies"]["Studies"], document["Cases"]["Studies"]["NoSeries"]) == (1, 2)
    for role in ("Candidate", "Champion"):
        assert document[role]["Study"]["Studies"] == 1
        assert document[role]["Study"]["Aggregation"]["Rule"] == "top_mean"
