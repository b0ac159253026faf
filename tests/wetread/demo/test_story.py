"""The demo's steps against a service that answers at once."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from functions.domain.layout import upload_id
from functions.domain.marker import SUFFIX
from functions.domain.row import Status
from tests.fakes.dicom import ct
from tests.wetread.studies import STUDY_OF_ROWS, close
from wetread import cli
from wetread.commands import demo as command
from wetread.commands import session
from wetread.demo import story, training
from wetread.demo.defects import DEFECTS
from wetread.demo.phantoms import LABELS
from wetread.demo.studies import FEWER, SLICES


@pytest.fixture
def service(connection, completed, monkeypatch, tmp_path):
    """A service that reads an object as its defect or label says, but not the defects in ``service.wrong``."""
    put = connection.s3.put_object
    by_name = {f"spoilt-{defect.name}.dcm": defect for defect in DEFECTS}
    connection.wrong, connection.labels, connection.local, connection.home = set(), {}, True, tmp_path
    connection.read_as = "covid"
    connection.called = "wetread --local"

    def put_and_read(**request):
        answer = put(**request)
        key, version = request["Key"], answer["VersionId"]
        name = key.rsplit("/", 1)[-1]
        row = completed(upload_id=upload_id(key, version), key=key, version_id=version)
        if key.endswith(SUFFIX):
            row = dataclasses.replace(row, status=Status.MARKER)
            for study in (json.loads(connection.s3.objects["uploads", key])["StudyInstanceUID"], STUDY_OF_ROWS):
                close(connection, study, connection.read_as)
        for ending, code in (("-localizer.dcm", "LocalizerNotServed"), ("-dose.dcm", "NoPixelData")):
            if name.endswith(ending):
                row = dataclasses.replace(row, status=Status.REFUSED, code=code)
        if name in connection.labels:
            row = dataclasses.replace(row, predicted_class=connection.labels[name])
        if name in by_name and name not in connection.wrong:
            row = dataclasses.replace(row, status=by_name[name].status, code=by_name[name].code)
        connection.index.rows.append(row)
        return answer

    monkeypatch.setattr(connection.s3, "put_object", put_and_read)
    monkeypatch.setattr(session, "connect", lambda choice: connection)
    monkeypatch.setattr(command.cloud, "up", lambda _project, progress: progress("The local cloud is up."))
    monkeypatch.setenv("WETREAD_HOME", str(tmp_path / "home"))
    return connection


def folder_of(service, *names):
    folder = service.home / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(ct())
    return folder


def run(*options):
    return CliRunner().invoke(cli.main, ["--local", "demo", *map(str, options)])


def test_phantoms_are_read_and_the_spoilt_ones_are_seen(service, tmp_path) -> None:
    result = run("--count", "6", "--size", "64")
    assert result.exit_code == 0, result.output
    sent = [key for key, _ in service.s3.versions if not key.endswith(SUFFIX) and "/studies/" not in key]
    assert len(sent) == 6 + len(story.SHOWN_DEFECTS)
    assert "TruncatedHeader" in result.stderr
    assert "of 6 slices" in result.stderr
    assert "no medical device" in result.stderr
    assert "wetread --local results --study" in result.stderr
    assert "read as covid" in result.stdout


def test_the_demo_says_in_which_lane_uploads_were_read(service) -> None:
    assert "Read: none." in run("--count", "1", "--size", "64").stderr, "rows from before there were lanes"
    taken = [("express", "a run"), ("express", "a run"), (None, "a job"), (None, None)]
    rows = [dataclasses.replace(service.index.rows[0], lane=lane, transform_job_name=name) for lane, name in taken]
    assert story.lanes(rows) == "Read: 2 in the express lane (a function), 1 by a transform job."


def test_the_table_has_every_spoilt_object_and_some_phantoms(service) -> None:
    result = run("--count", "40", "--size", "64")
    table = result.stdout.split("Known labels")[0]
    lines = [line for line in table.splitlines() if ".dcm" in line]
    assert sum("spoilt-" in line for line in lines) == len(story.SHOWN_DEFECTS)
    assert len(story.SHOWN_DEFECTS) < len(lines) <= story.SHOWN_ROWS
    of_studies = len(LABELS) * (SLICES + FEWER + 2)
    assert f"{len(lines)} of {40 + len(story.SHOWN_DEFECTS) + of_studies} are shown." in result.stderr


def test_studies_of_several_series_end_the_demo_with_a_localizer_and_a_dose_report_among_them(service) -> None:
    result = run("--count", "1", "--size", "64")
    keys = [key for key, _ in service.s3.versions if "/studies/study-covid" in key]
    assert len(keys) == SLICES + FEWER + 2
    table = result.stdout.split("\nStudies\n")[1]
    assert sum("8 of 9" in line for line in table.splitlines()) == len(LABELS)
    assert "1 of 3 studies were read as they were made" in result.stderr


def test_the_studies_of_a_persons_own_folder_are_shown(service) -> None:
    result = run("--data", folder_of(service, "a.dcm"))
    assert result.exit_code == 0, result.output
    assert STUDY_OF_ROWS in result.stdout.split("\nStudies\n")[1]
    assert "as they were made" not in result.stderr


def test_a_folder_of_many_objects_is_shown_in_part(service) -> None:
    result = run("--data", folder_of(service, *(f"{number}.dcm" for number in range(31))))
    assert "11 of 31 are shown." in result.stderr


def test_files_of_one_name_in_many_folders_are_shown_in_part_too(service) -> None:
    folder = folder_of(service)
    for number in range(31):
        (folder / str(number)).mkdir()
        (folder / str(number) / "1.dcm").write_bytes(ct())
    assert "11 of 31 are shown." in run("--data", folder).stderr


def test_a_spoilt_object_that_is_read_is_a_failure(service) -> None:
    service.wrong = {"spoilt-mr.dcm"}
    result = run("--count", "1", "--size", "64")
    assert result.exit_code == 1
    assert "spoilt-mr.dcm is Completed (None), expected Refused (ModalityNotServed)" in result.stderr


def test_a_folder_with_labels_is_compared(service, tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    truth = {"a.dcm": "cap", "b.dcm": "covid"}
    entries = [{"filename": name, "content": {"label": label}} for name, label in truth.items()]
    (folder / "manifest.json").write_text(json.dumps(entries))
    for name in truth:
        (folder / name).write_bytes(ct())
    service.labels = {"a.dcm": "cap", "b.dcm": "normal"}
    result = run("--data", folder)
    assert result.exit_code == 0, result.output
    assert "1 of 2 slices (50 %)" in result.stderr


def test_a_folder_without_labels_is_not_compared(service, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.dcm").write_bytes(ct())
    assert "No labels are known" in run("--data", tmp_path / "mine").stderr


def test_without_a_champion_the_uploads_wait_until_one_is_trained(service, monkeypatch) -> None:
    champion, taken = service.registry.champion(), service.s3.put_object
    service.registry.champion = lambda: None
    steps = []

    def put_and_wait(**request):
        answer = taken(**request)
        row = service.index.rows[-1]
        if row.status == Status.COMPLETED:
            service.index.rows[-1] = dataclasses.replace(row, status=Status.PENDING)
        return answer

    def first_model(connection, workspace, now):
        waiting = [row for row in service.index.rows if row.status == Status.PENDING]
        steps.append(len(waiting))
        service.index.rows = [dataclasses.replace(row, status=Status.COMPLETED) for row in waiting] + [
            row for row in service.index.rows if row not in waiting
        ]
        service.registry.champion = lambda: champion

    monkeypatch.setattr(service.s3, "put_object", put_and_wait)
    monkeypatch.setattr(training, "first_model", first_model)
    result = run("--data", folder_of(service, "a.dcm", "b.dcm"))
    assert result.exit_code == 0, result.output
    assert steps == [2]
    assert "There is no model yet: 2 Pending" in result.stderr


def test_with_a_champion_nothing_is_trained(service, monkeypatch) -> None:
    monkeypatch.setattr(training, "first_model", lambda *_: pytest.fail("trained"))
    assert "The champion is wetread/3" in run("--data", folder_of(service, "a.dcm")).stderr


def test_uploads_without_rows_are_a_failure(service, monkeypatch) -> None:
    service.registry.champion = lambda: None
    monkeypatch.setattr(story, "ROWS_SECONDS", 0)
    monkeypatch.setattr(service.index, "get_many", lambda ids: {})
    result = run("--data", folder_of(service, "a.dcm"))
    assert result.exit_code == 1
    assert "1 upload without a row" in result.stderr
    assert "the same command again continues" in result.stderr


def test_every_shown_defect_exists() -> None:
    assert set(story.SHOWN_DEFECTS) <= {defect.name for defect in DEFECTS}
    assert {Status.REFUSED, Status.FAILED} <= {d.status for d in DEFECTS if d.name in story.SHOWN_DEFECTS}
