"""The reads of studies: a list, one in full, one saved, one closed by a person."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from functions.aws.deliveries import Deliveries, Delivery
from functions.domain import layout
from functions.domain.row import Status
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, QUIET, SERIES, ReadingRoom
from tests.fakes.workflow import Workflow
from tests.fakes.world import RESULTS, UPLOADS, World
from wetread.commands import session, studies
from wetread.studies import answers
from wetread.studies import table as studies_table

OTHER = f"{STUDY}.7"


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


@pytest.fixture
def hospital(connection: SimpleNamespace, room: ReadingRoom, monkeypatch: pytest.MonkeyPatch) -> World:
    """The command line asks the room, at the room's time."""
    connection.deployment = dataclasses.replace(
        connection.deployment, results_bucket_name=RESULTS, uploads_bucket_name=UPLOADS
    )
    connection.deliveries = Deliveries(room.clients["dynamodb"], "studies")
    connection.studies, connection.index, connection.s3 = room.studies, room.index, room.clients["s3"]
    monkeypatch.setattr(session.Session, "now", staticmethod(room.clock))
    return room


def lesion(room: ReadingRoom, study: str = STUDY, slices: int = 12) -> None:
    """Have a study read whose slices 5 to 7 have a lesion, without waiting for it to be quiet."""
    room.deliver(
        *(
            room.send(one, LESION if one in {5, 6, 7} else None, study=study, series=f"{study}.1")
            for one in range(slices)
        )
    )
    room.read()


def test_a_study_is_a_line_with_class_score_slices_and_evidence(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    room.wait(180)
    result = wetread("studies")
    assert result.exit_code == 0
    for cell in ("covid", "0.80", "12 of 12", "5, 6, 7", " 1 ", "3 min", "AggregatorNotFitted"):
        assert cell in result.stdout
    assert "1  AggregatorNotFitted: how slices become one answer was not chosen" in result.stderr


def test_the_newest_comes_first_and_a_limit_says_that_there_are_more(wetread, hospital, room) -> None:
    for study in (STUDY, OTHER):
        lesion(room, study)
        room.sweep()
    documents = json.loads(wetread("studies", "--json").stdout)
    assert [one["StudyInstanceUID"] for one in documents] == [OTHER, STUDY]
    assert documents[0]["Read"] == room.document(OTHER)
    result = wetread("studies", "--limit", 1)
    assert "There are more than these 1" in result.stderr


def test_a_list_is_by_class_and_time(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    room.deliver(room.send(1, study=OTHER))
    room.read()
    room.sweep(3600)
    (normal,) = json.loads(wetread("studies", "--class", "normal", "--json").stdout)
    assert normal["StudyInstanceUID"] == OTHER
    (recent,) = json.loads(wetread("studies", "--since", "30m", "--json").stdout)
    assert recent["StudyInstanceUID"] == OTHER
    assert "No study fits" in wetread("studies", "--class", "covid", "--since", "30m").stderr
    refused = wetread("studies", "--class", "flu", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Its classes are normal, cap, covid." in refused.stderr


def test_an_open_study_is_listed_by_the_time_of_its_last_revision(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    room.wait(3600)
    room.deliver(room.send(40))
    assert json.loads(wetread("studies", "--since", "30m", "--json").stdout) == []
    (found,) = json.loads(wetread("studies", "--since", "2h", "--json").stdout)
    assert (found["State"], found["Revision"]) == ("Open", 1)


def test_many_open_studies_hide_no_closed_one(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    for n in range(5):
        room.deliver(room.send(1, study=f"{OTHER}.{n}"))
    (found,) = json.loads(wetread("studies", "--since", "1h", "--limit", 3, "--json").stdout)
    assert found["StudyInstanceUID"] == STUDY


def test_many_studies_that_have_lost_their_class_hide_no_other(wetread, hospital, room, monkeypatch) -> None:
    """The index still has the class that they had."""
    lesion(room)
    room.sweep()
    lost = [room.study(STUDY)]
    for n in range(5):
        study = f"{OTHER}.{n}"
        room.deliver(room.send(1, study=study))
        room.read()
        room.sweep()
        lost.insert(0, room.study(study))
    monkeypatch.setattr(room.studies, "of_class", lambda *_: iter(lost))
    (found,) = json.loads(wetread("studies", "--class", "covid", "--limit", 1, "--json").stdout)
    assert found["StudyInstanceUID"] == STUDY


def test_open_studies_are_listed_by_the_time_of_their_opening(wetread, hospital, room) -> None:
    for study in (STUDY, OTHER):
        lesion(room, study)
        room.wait(60)
    documents = json.loads(wetread("studies", "--json").stdout)
    assert [one["StudyInstanceUID"] for one in documents] == [OTHER, STUDY]


def test_a_list_reads_no_more_hints_than_it_needs(wetread, hospital, room, monkeypatch) -> None:
    for study in (STUDY, OTHER, f"{OTHER}.1"):
        lesion(room, study)
        room.sweep()
    hints, asked = list(room.studies.closed()), []
    monkeypatch.setattr(room.studies, "closed", lambda *_: (asked.append(one) or one for one in hints))
    assert len(json.loads(wetread("studies", "--limit", 1, "--json").stdout)) == 1
    assert len(asked) == 2


def test_what_the_index_says_late_is_not_shown(wetread, hospital, room, monkeypatch) -> None:
    """The index still has the class of the first revision."""
    lesion(room)
    room.sweep()
    stale = list(room.studies.of_class("covid"))
    room.withdraw(Workflow(room))
    room.sweep()
    monkeypatch.setattr(room.studies, "of_class", lambda *_: iter(stale))
    assert json.loads(wetread("studies", "--class", "covid", "--json").stdout) == []


def test_open_studies_are_a_list(wetread, hospital, room) -> None:
    lesion(room)
    room.wait(60)
    result = wetread("studies", "--open")
    assert "(not read yet)" in result.stdout
    assert "open 60 s" in result.stdout
    assert json.loads(wetread("studies", "--open", "--since", "30s", "--json").stdout) == []
    room.sweep()
    assert "No study fits" in wetread("studies", "--open").stderr


def test_a_study_in_full_names_its_series_and_its_evidence(wetread, hospital, room) -> None:
    lesion(room)
    localizer = room.send(1, series=f"{STUDY}.2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    room.deliver(localizer)
    room.read()
    room.sweep()
    result = wetread("studies", STUDY)
    assert result.exit_code == 0
    row = room.row(localizer)
    (other,) = [line for line in result.stdout.splitlines() if f"{STUDY}.2" in line]
    assert row.code is None or row.code in other
    assert result.stdout.count("80.0 %") == 3
    evidence = room.document()["Evidence"]["covid"]
    assert all(one["SOPInstanceUID"] in result.stdout for one in evidence)
    assert "normal" in result.stdout
    assert "12.5 mm" in result.stdout
    assert "top_mean of 3, not fitted" in result.stdout
    assert "1 of 1" in result.stdout


def test_a_study_in_full_names_its_dicom_results(wetread, hospital, connection, room) -> None:
    lesion(room)
    room.sweep()
    assert "DICOM results" not in wetread("studies", STUDY).stdout
    keys = {kind: layout.dicom_key(STUDY, 1, kind) for kind in ("sr", "card")}
    connection.deliveries.keep(STUDY, Delivery(revision=1, keys=keys, undrawn={"heat-2": "BurnedIn"}), room.time)
    result = wetread("studies", STUDY)
    assert "card, sr" in result.stdout
    assert "Not drawn: heat-2: BurnedIn, see docs/studies.md." in result.stderr


def test_a_study_in_full_says_why_it_has_no_dicom_results(wetread, hospital, connection, room) -> None:
    lesion(room)
    room.sweep()
    refused = Delivery(revision=1, keys={}, code="SeveralPatients", reason="The objects have different patients.")
    connection.deliveries.keep(STUDY, refused, room.time)
    result = wetread("studies", STUDY)
    assert "none: SeveralPatients" in result.stdout
    assert "SeveralPatients: The objects have different patients." in result.stderr


def test_a_study_in_full_says_why_results_that_are_void_are_not_rejected(wetread, hospital, connection, room) -> None:
    lesion(room)
    room.sweep()
    connection.deliveries.keep(
        STUDY, Delivery(revision=1, keys={}, code="NoScores", not_rejected="HeaderGone"), room.time
    )
    assert "have no note that rejects them: HeaderGone." in wetread("studies", STUDY).stderr


def test_the_class_of_a_model_of_phantoms_is_synthetic_in_full_too(wetread, hospital, room, monkeypatch) -> None:
    lesion(room)
    room.sweep()
    document = room.document() | {"Cautions": ["Synthetic"]}
    monkeypatch.setattr(studies, "revision_of", lambda *_: document)
    assert "SYNTHETIC covid" in wetread("studies", STUDY).stdout


def test_slices_on_which_the_model_abstained_are_counted_apart(wetread, hospital, room, monkeypatch) -> None:
    lesion(room)
    room.sweep()
    document = room.document()
    document["Counts"]["Abstained"] = 5
    monkeypatch.setattr(answers, "_document", lambda *_: document)
    monkeypatch.setattr(studies, "revision_of", lambda *_: document)
    assert "12 of 12, 5 abstained" in wetread("studies").stdout
    assert "12 Read (5 of them Abstained)" in wetread("studies", STUDY).stdout


def test_no_line_has_a_long_list(wetread, hospital, room, monkeypatch) -> None:
    """Ids come one in a line, numbers that follow one another as a range."""
    lesion(room)
    room.sweep()
    document = room.document()
    ids = [f"{number:032x}" for number in range(studies_table.SHOWN + 3)]
    document["Changes"] = {"Added": ids}
    gap = {"SeriesInstanceUID": SERIES, "Missing": 301, "InstanceNumbers": [2, *range(5, 305)]}
    document["Gaps"] = [gap]
    monkeypatch.setattr(studies, "revision_of", lambda *_: document)
    said = wetread("studies", STUDY).stderr.splitlines()
    assert max(map(len, said)) <= 120
    assert [line.strip() for line in said if line.strip() in ids] == ids[: studies_table.SHOWN]
    assert "  and 3 more, which --json has" in said
    assert any(line.endswith("lacks 301 numbers: 2, 5 to 304.") for line in said)


def test_only_an_answer_is_marked_synthetic(wetread, hospital, room, monkeypatch) -> None:
    lesion(room)
    room.sweep()
    document = room.document() | {"Cautions": ["Synthetic"], "Evidence": {}}
    monkeypatch.setattr(answers, "_document", lambda *_: document)
    assert "SYNTHETIC covid" in wetread("studies").stdout
    for code, marked in (("Abstained", True), ("NothingRead", False)):
        document |= {"Class": None, "Code": code}
        assert (f"SYNTHETIC {code}" in wetread("studies").stdout) is marked


def test_a_revision_says_what_changed(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    (late,) = room.deliver(room.send(40))
    room.read()
    room.sweep()
    assert f"Added since the last revision: 1 upload.\n  {late.upload_id}\n" in wetread("studies", STUDY).stderr
    first = json.loads(wetread("studies", STUDY, "--revision", 1, "--json").stdout)
    assert (first["Revision"], first["Changes"]) == (1, None)
    result = wetread("studies", STUDY, "--revision", 3)
    assert result.exit_code == 1
    assert "has no revision 3. It has 2" in result.stderr


def test_a_study_that_is_not_read_yet_has_no_document(wetread, hospital, room) -> None:
    lesion(room)
    result = wetread("studies", STUDY, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has not been read yet" in result.stderr


def test_an_unknown_study_is_named(wetread, hospital) -> None:
    result = wetread("studies", "1.2.3")
    assert result.exit_code == 2
    assert "There is no study '1.2.3'." in result.stderr


def test_a_document_that_has_expired_is_said_so(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    room.s3.objects.clear()
    assert "(expired)" in wetread("studies").stdout
    assert "has expired" in wetread("studies", STUDY).stderr


def test_a_study_is_saved_with_its_dicom_results(wetread, hospital, room, tmp_path) -> None:
    lesion(room)
    room.sweep()
    for study, revision, kind in ((STUDY, 1, "report"), (STUDY, 2, "report"), (OTHER, 1, "report")):
        room.s3.objects[RESULTS, layout.dicom_key(study, revision, kind)] = b"DICM of %d" % revision
    result = wetread("studies", STUDY, "--save", tmp_path / "all")
    assert result.exit_code == 0
    assert {one.name for one in (tmp_path / "all").iterdir()} == {
        f"study-{STUDY}-000001.json",
        f"study-{STUDY}-000001-report.dcm",
        f"study-{STUDY}-000002-report.dcm",
    }
    assert json.loads((tmp_path / f"all/study-{STUDY}-000001.json").read_text()) == room.document()
    assert "2 DICOM results of these name a patient" in result.stderr
    wetread("studies", STUDY, "--revision", 1, "--save", tmp_path / "one")
    assert (tmp_path / f"one/study-{STUDY}-000001-report.dcm").read_bytes() == b"DICM of 1"
    assert not (tmp_path / f"one/study-{STUDY}-000002-report.dcm").exists()


def test_a_study_is_saved_with_its_fhir_bundle(wetread, hospital, room, tmp_path) -> None:
    object.__setattr__(room.concluding, "fhir_results", True)
    lesion(room)
    room.sweep()
    assert wetread("studies", STUDY, "--save", tmp_path).exit_code == 0
    assert json.loads((tmp_path / f"study-{STUDY}-000001.fhir.json").read_text())["resourceType"] == "Bundle"


def test_two_studies_are_saved_in_one_folder(wetread, hospital, room, tmp_path) -> None:
    for study in (STUDY, OTHER):
        lesion(room, study)
        room.sweep()
        room.s3.objects[RESULTS, layout.dicom_key(study, 1, "sr")] = b"of %s" % study.encode()
        wetread("studies", study, "--save", tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / f"study-{STUDY}-000001-sr.dcm").read_bytes() == b"of %s" % STUDY.encode()


@pytest.mark.parametrize(
    ("delivery", "said"),
    [
        (None, "none were made so far. A stage makes them by its setting dicom_results"),
        (Delivery(revision=1, keys={}, code="RepairedIdentity", reason="An identifier was repaired."), "was repaired"),
        (
            Delivery(revision=1, keys={"sr": "dicom/x/000001-sr.dcm"}),
            "they have expired (the setting dicom_results_days)",
        ),
    ],
)
def test_why_no_dicom_results_are_saved_is_said(wetread, hospital, room, tmp_path, delivery, said) -> None:
    lesion(room)
    room.sweep()
    if delivery:
        Deliveries(room.clients["dynamodb"], "studies").keep(STUDY, delivery, room.time)
    for more in ([], ["--json"]):
        result = wetread("studies", STUDY, "--save", tmp_path, *more)
        assert result.exit_code == 0
        assert "There are no DICOM results to save" in result.stderr
        assert said in " ".join(result.stderr.split())


def test_who_may_not_list_results_saves_the_document(wetread, hospital, room, tmp_path, monkeypatch) -> None:
    lesion(room)
    room.sweep()

    def denied(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")

    monkeypatch.setattr(room.s3, "list_objects_v2", denied)
    result = wetread("studies", STUDY, "--save", tmp_path)
    assert result.exit_code == 0
    assert [one.name for one in tmp_path.iterdir()] == [f"study-{STUDY}-000001.json"]
    assert "DICOM results were not looked for" in result.stderr


def test_a_person_closes_a_study_before_it_is_quiet(wetread, hospital, room) -> None:
    lesion(room)
    result = wetread("studies", STUDY, "--close")
    assert result.exit_code == 0, result.stderr
    assert "12 objects are all of study" in result.stderr
    ((_, key),) = [where for where in room.s3.objects if where[1].endswith(".complete.json")]
    marker = room.upload(key, room.s3.objects[UPLOADS, key])
    room.deliver(marker)
    assert room.row(marker).status == Status.MARKER
    room.sweep(seconds=1)
    (revision,) = room.revisions()
    assert (revision.close_reason, revision.coverage) == ("Marker", "Complete")


def test_a_study_of_refused_objects_alone_cannot_be_closed_by_a_person(wetread, hospital, room) -> None:
    room.deliver(room.send(1, SeriesInstanceUID=None))
    result = wetread("studies", STUDY, "--close")
    assert result.exit_code == 2
    assert "has no object with a series" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--revision", "1"], "belong to one study"),
        (["--close"], "belong to one study"),
        (["--save", "."], "belong to one study"),
        ([STUDY, "--class", "covid"], "belong to a list"),
        ([STUDY, "--open"], "belong to a list"),
        ([STUDY, "--close", "--json"], "goes with no other option"),
        (["--since", "yesterdayish"], "--since is no time: 'yesterdayish'"),
    ],
)
def test_options_that_do_not_go_together_are_named(wetread, hospital, arguments, said) -> None:
    result = wetread("studies", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_rows_of_a_study_end_with_its_read(wetread, hospital, room) -> None:
    lesion(room)
    room.sweep()
    shown = wetread("results", "--study", STUDY).stdout
    assert shown.index("Completed") < shown.index("The study") < shown.index("12 of 12")
    assert "The study" not in wetread("results", "--series", SERIES).stdout
    assert isinstance(json.loads(wetread("results", "--study", STUDY, "--json").stdout), list)


def test_status_says_how_many_studies_are_open(wetread, connection, room) -> None:
    connection.studies = room.studies
    assert "Studies that are open" not in wetread("status").stderr
    lesion(room)
    assert "Studies that are open: 1, the oldest for " in wetread("status").stderr
    document = json.loads(wetread("status", "--json").stdout)["OpenStudies"]
    assert (document["Count"], document["Bounded"]) == (1, False)
    assert document["OldestSeconds"] > QUIET
