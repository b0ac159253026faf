"""``wetread erase`` shows before it erases, asks on a terminal, and ends with what stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.fakes.dicom import ct
from tests.wetread.erasure.clinic import Clinic, old_row, put_cohort_of_both, traces, two_patients
from wetread import cli
from wetread.commands import erase as command
from wetread.commands import session
from wetread.erasure import erasure


class Backups:
    def describe_continuous_backups(self, **_: Any) -> Any:
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": {"RecoveryPeriodInDays": 35}}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``wetread erase`` against a clinic."""
    monkeypatch.setattr(erasure, "is_free", lambda row, _now, _seconds: row.status != "Batched")

    def erase(clinic: Clinic, *arguments: str, **options: Any) -> Result:
        connection = clinic.connection
        vars(connection).update(patients=clinic.patients, where="AWS account 1", client=lambda _: Backups())
        vars(connection.deployment).update(index_table_name="index")
        monkeypatch.setattr(session, "connect", lambda _choice: connection)
        return CliRunner().invoke(cli.main, ["erase", *arguments], **options)

    return erase


def test_it_shows_and_changes_nothing_unless_it_may(run: Callable[..., Result]) -> None:
    clinic = two_patients()
    before = clinic.everything()
    done = run(clinic, "--patient", "P-1")
    assert done.exit_code == 0, done.output
    assert clinic.everything() == before
    assert "upload versions" in done.stdout
    assert "Nothing was changed" in done.stderr
    assert "point-in-time recovery" in done.stdout


def test_on_a_terminal_it_asks(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = two_patients()
    monkeypatch.setattr(command, "on_a_terminal", lambda: True)
    before = clinic.everything()
    assert run(clinic, "--patient", "P-1", input="n\n").exit_code == 0
    assert clinic.everything() == before
    assert run(clinic, "--patient", "P-1", input="y\n").exit_code == 0
    assert traces(clinic, "P-1") == []


def test_it_erases_and_says_how_much_and_what_stays(run: Callable[..., Result]) -> None:
    clinic = two_patients()
    taken = put_cohort_of_both(clinic)
    done = run(clinic, "--patient", "P-1", "--yes", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["Erased"]["rows"] == 5
    assert document["Erased"] == document["Found"]
    stays = {one["What"]: one["HowLong"] for one in document["Stays"]}
    assert stays[f"Trained weights: what run {taken['Run']} made"] == "until you delete them"
    assert stays["Rows, in point-in-time recovery"] == "35 days"
    assert traces(clinic, "P-1") == []


def test_the_versions_that_have_learned_from_them_are_named(run: Callable[..., Result]) -> None:
    clinic = two_patients()
    taken = put_cohort_of_both(clinic)
    version = SimpleNamespace(run=taken["Run"], model_package="wetread/1", artifact_sha256="")
    clinic.connection.registry = SimpleNamespace(versions=lambda: [version])
    done = run(clinic, "--study", "1.2.77", "--yes")
    assert f"wetread/1, the champion, run {taken['Run']}" in done.stdout


def test_undecided_uploads_are_an_exit_code_and_a_remedy(run: Callable[..., Result]) -> None:
    clinic = Clinic()
    old_row(clinic, "gone.dcm", PatientID="4711", IssuerOfPatientID="A", StudyInstanceUID="1.2.99")
    clinic.world.s3._delete(("uploads-bucket", "gone.dcm"), "v1")
    done = run(clinic, "--patient", "4711", "--issuer", "A", "--yes")
    assert done.exit_code == 1
    assert "wetread erase --study 1.2.99" in done.stderr


def test_another_issuers_objects_are_said_to_stay(run: Callable[..., Result]) -> None:
    clinic = Clinic()
    old_row(clinic, "a.dcm", PatientID="4711", IssuerOfPatientID="Hospital A")
    done = run(clinic, "--patient", "4711", "--yes")
    assert "another patient's and stay: 'Hospital A'." in done.stderr
    assert "Nothing was found" in done.stderr


def test_objects_without_an_issuer_are_named_so_when_they_stay(run: Callable[..., Result]) -> None:
    clinic = Clinic()
    old_row(clinic, "a.dcm", PatientID="4711")
    done = run(clinic, "--patient", "4711", "--issuer", "Hospital A")
    assert "another patient's and stay: (no issuer)." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--patient", "P-1"), True),
        (("--patient", "P-1", "--yes"), True),
        (("--patient", "P-1", "--issuer", " "), True),
        (("--patient", "P-1", "--issuer", "Hospital A"), False),
        (("--study", "1.2.77"), False),
    ],
)
def test_without_an_issuer_it_says_that_those_with_one_were_not_looked_for(
    run: Callable[..., Result], arguments: tuple[str, ...], said: bool
) -> None:
    done = run(two_patients(), *arguments)
    line = "Only objects that name no issuer were looked for; add --issuer for those of an issuer."
    assert (line in done.stderr) == said


@pytest.mark.parametrize("arguments", [("--patient", "P-3"), ("--patient", "P-3", "--yes"), ("--study", "1.2.3")])
def test_of_somebody_unknown_it_says_one_thing_and_records_nothing(
    run: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    clinic = two_patients()
    before = clinic.everything()
    done = run(clinic, *arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Nothing was found: check the ID." in done.stderr
    assert "--yes" not in done.stderr
    assert clinic.everything() == before
    document = json.loads(run(clinic, *arguments, "--json").stdout)
    assert document == {"Found": {}, "Erased": {}, "Stays": []}
    assert clinic.everything() == before


@pytest.mark.parametrize(
    "arguments", [(), ("--patient", "1", "--study", "1.2"), ("--study", "1.2", "--issuer", "A"), ("--patient", " ")]
)
def test_a_patient_or_a_study_must_be_named(run: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    assert run(Clinic(), *arguments).exit_code == 2


def test_a_study_that_is_not_an_identifier_is_refused_without_repeating_it(run: Callable[..., Result]) -> None:
    done = run(Clinic(), "--study", "Doe^Jane")
    assert done.exit_code == 2
    assert "Doe" not in done.output


@pytest.mark.parametrize("arguments", [(), ("--yes",)])
@pytest.mark.parametrize("patient", ["P-1", "P-3"])
def test_what_cannot_be_decided_is_named_and_the_exit_is_1(
    run: Callable[..., Result], patient: str, arguments: tuple[str, ...]
) -> None:
    clinic = two_patients()
    clinic.workflow.put("cut.dcm", ct()[:300])
    done = run(clinic, "--patient", patient, *arguments)
    assert done.exit_code == 1
    assert "'cohorts/c/cut.dcm' cannot be read as far as its patient." in done.stderr
    assert (traces(clinic, "P-1") == []) == (arguments == ("--yes",) and patient == "P-1")


def test_a_run_that_is_under_way_is_named_and_the_exit_is_1(run: Callable[..., Result]) -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    clinic.running = [taken["Run"]]
    for arguments in (("--yes",), ()):  # the second time nothing is left but what the run may still write
        done = run(clinic, "--patient", "P-1", *arguments)
        assert done.exit_code == 1
        assert f"Training run {taken['Run']} is under way" in done.stderr
        assert "Run the command again when they have ended" in done.stderr
        assert traces(clinic, "P-1-") == []
