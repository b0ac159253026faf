"""Versions of the model, and which one reads."""

import dataclasses
import io
import json
from types import SimpleNamespace

import pytest

from functions.aws.registry import ModelVersion
from functions.domain.champion import Promotion, Withdrawal
from functions.domain.errors import InvalidArtifact, PromotionRefused
from tests.wetread.evaluation import evaluation

KIM, LEE = "arn:aws:iam::123456789012:user/kim", "arn:aws:sts::123456789012:assumed-role/Approver/lee"
EVALUATION = "s3://training/runs/ab12/evaluation/evaluation.json"


@pytest.fixture
def registry(connection):
    def version(number: int) -> ModelVersion:
        return ModelVersion(
            model_package=f"wetread/{number}",
            arn=f"arn:aws:sagemaker:us-east-1:000000000000:model-package/wetread/{number}",
            approval="Approved",
            created_at="2026-11-20T08:00:00.000Z",
            name="densenet121",
            version=f"0.{number}.0",
            artifact_sha256=f"{number}abcdef0123456789",
        )

    trained = dataclasses.replace(
        version(4),
        run="ab12",
        snapshot_digest="cd" * 32,
        accepted_risks=("TooFewPatients", "PatientAcrossSplit"),
        balanced_accuracy=0.9123,
        evaluated_against="wetread/3",
        evaluation_uri=EVALUATION,
    )
    withdrawal = Withdrawal(
        model_package="wetread/2",
        withdrawn_at="2026-11-22T08:00:00.000Z",
        withdrawn_by=LEE,
        reason="False alarms.",
        rescored_at="2026-11-22T09:00:00.000Z",
        rescored_by=KIM,
    )
    promotion = Promotion(
        model_package="wetread/3", promoted_at="2026-11-23T08:00:00.000Z", previous="wetread/2", promoted_by=KIM
    )
    connection.champions.promotion = lambda package: promotion if package == "wetread/3" else None
    connection.champions.withdrawal = lambda package: withdrawal if package == "wetread/2" else None
    known = {one.model_package: one for one in (trained, version(3), version(2))}
    connection.registry.versions = lambda: list(known.values())
    connection.registry.version = known.__getitem__
    connection.registry.register = lambda path: version(int(path.read_text()))
    return connection.registry


def test_list_marks_the_champion(wetread, registry) -> None:
    lines = wetread("model", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines if "wetread/3" in line] == ["champion"]
    assert [line.split()[0] for line in lines if "wetread/4" in line] == ["wetread/4"]
    assert ["0.912" in line for line in lines if "wetread/4" in line] == [True]
    assert [line.split()[0] for line in lines if "wetread/2" in line] == ["withdrawn"]
    documents = json.loads(wetread("model", "list", "--json").stdout)
    shown = [(one["ModelPackage"], one["Champion"], one["BalancedAccuracy"], one["WithdrawnAt"]) for one in documents]
    assert shown == [
        ("wetread/4", False, 0.9123, None),
        ("wetread/3", True, None, None),
        ("wetread/2", False, None, "2026-11-22T08:00:00.000Z"),
    ]


def put_evaluation(connection, document: object) -> None:
    body = io.BytesIO(json.dumps(document).encode())
    key = EVALUATION.removeprefix("s3://training/")
    connection.s3.put_object(Bucket="training", Key=key, Body=body, ContentType="application/json")


def facts(result) -> dict[str, str]:
    """Return the lines of name and value."""
    split = (line.strip().split("  ", 1) for line in result.stdout.splitlines())
    return {one[0]: one[1].strip() for one in split if len(one) == 2}


def test_show_prints_a_trained_version_in_full(wetread, connection, registry) -> None:
    put_evaluation(connection, evaluation(champion=True))
    result = wetread("model", "show", "wetread/4")
    assert result.exit_code == 0, result.output
    shown = facts(result)
    assert (shown["Run"], shown["Evaluated against"], shown["Champion"]) == ("ab12", "wetread/3", "no")
    assert shown["Accepted risks"] == "TooFewPatients, PatientAcrossSplit"
    assert shown["Snapshot digest"] == "cd" * 32
    for text in ("0.900 (0.800 to 0.950)", "Sensitivity", "Confusion matrix", "PatientSex", "0.100 (-0.020 to 0.200)"):
        assert text in result.stdout
    assert "no clinical accuracy" in result.stderr
    document = json.loads(wetread("model", "show", "wetread/4", "--json").stdout)
    assert (document["Run"], document["Evaluation"]["Cases"]["Patients"]) == ("ab12", 9)


def test_show_prints_champion_withdrawal_and_registration_by_hand(wetread, registry) -> None:
    champion = facts(wetread("model", "show", "wetread/3"))
    assert champion["Champion"] == "since 2026-11-23T08:00:00.000Z"
    assert champion["Run"] == "none: registered by hand"
    assert "Evaluated against" not in champion
    assert facts(wetread("model", "show", "wetread/2"))["Withdrawn"] == "2026-11-22T08:00:00.000Z: False alarms."


def test_an_evaluation_that_is_gone_is_said(wetread, registry) -> None:
    result = wetread("model", "show", "wetread/4")
    assert result.exit_code == 0
    assert "no evaluation to be read at s3://training" in result.stderr


def test_an_empty_registry(wetread) -> None:
    result = wetread("model", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "wetread model register" in result.stderr


def test_register_prints_the_version_alone(wetread, registry, tmp_path) -> None:
    (tmp_path / "model.tar.gz").write_text("4")
    assert wetread("model", "register", tmp_path / "model.tar.gz").stdout == "wetread/4\n"


def test_register_names_the_champion_that_it_finds(wetread, registry, tmp_path) -> None:
    registry.champion = lambda: SimpleNamespace(model_package="wetread/4")
    (tmp_path / "model.tar.gz").write_text("4")
    result = wetread("model", "register", tmp_path / "model.tar.gz")
    assert (result.stdout, "is the champion" in result.stderr) == ("wetread/4\n", True)


def test_register_reports_why_a_file_is_no_artifact(wetread, registry, tmp_path) -> None:
    def refuse(path):
        raise InvalidArtifact(f"{path.name} lacks model.pth: it is not a model artifact.")

    registry.register = refuse
    (tmp_path / "notes.txt").touch()
    result = wetread("model", "register", tmp_path / "notes.txt")
    assert result.exit_code == 1
    assert "lacks model.pth" in result.stderr


def test_promote_prints_the_champion_and_how_to_look_back(wetread, registry) -> None:
    asked = []
    champion = dataclasses.replace(registry.champion(), model_package="wetread/4", previous="wetread/3")
    registry.promote = lambda version: asked.append(version) or champion
    result = wetread("model", "promote", "4")
    assert asked == ["4"]
    assert result.stdout == "wetread/4\n"
    assert "wetread results --model wetread/3" in result.stderr


def test_a_refused_promotion_fails(wetread, registry) -> None:
    def refuse(version):
        raise PromotionRefused(f"There is no version {version!r} in wetread.")

    registry.promote = refuse
    result = wetread("model", "promote", "9")
    assert result.exit_code == 1
    assert "no version '9'" in result.stderr


def test_who_promoted_withdrew_and_rescored_is_shown(wetread, registry) -> None:
    champion, withdrawn = (facts(wetread("model", "show", f"wetread/{number}")) for number in (3, 2))
    assert champion["Promoted"] == f"2026-11-23T08:00:00.000Z by {KIM}"
    assert withdrawn["Withdrawn by"] == LEE
    assert withdrawn["Rescored"] == f"2026-11-22T09:00:00.000Z by {KIM}"
    lines = wetread("model", "list").stdout.splitlines()
    assert [line.split()[-1] for line in lines if "wetread/3" in line] == ["kim"]
    assert [line.split()[-1] for line in lines if "wetread/2" in line] == ["lee"]
    document = json.loads(wetread("model", "show", "wetread/2", "--json").stdout)
    assert (document["WithdrawnBy"], document["RescoredBy"], document["PromotedBy"]) == (LEE, KIM, None)


def test_what_was_promoted_before_callers_were_recorded_says_so(wetread, connection, registry) -> None:
    old = Promotion(model_package="wetread/3", promoted_at="2026-11-23T08:00:00.000Z", previous="")
    connection.champions.promotion = lambda package: old if package == "wetread/3" else None
    assert facts(wetread("model", "show", "wetread/3"))["Promoted"].endswith("by a person who was not recorded")
