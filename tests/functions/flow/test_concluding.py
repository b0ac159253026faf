"""Closing a study: when, with which members, and what its read says."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from functions.domain.row import Status, timestamp
from functions.domain.study import State
from functions.flow import concluding
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, QUIET, SERIES, ReadingRoom
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, WEIGHTS_SHA256, answer

OTHER = "1.2.840.99.2"


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def test_a_study_of_slices_with_a_lesion_gets_one_read_with_its_evidence(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n, LESION if 50 <= n < 55 else None) for n in range(120)))
    room.read()
    room.sweep()
    (revision,) = room.revisions()
    document = room.document()
    assert (revision.number, revision.predicted_class, revision.counts) == (1, "covid", {"Members": 120, "Read": 120})
    assert document["Class"] == "covid"
    assert document["Scores"]["covid"] == 0.8
    assert {one["InstanceNumber"] for one in document["Evidence"]["covid"]} <= set(range(50, 55))
    assert (document["CloseReason"], document["Coverage"], document["Cautions"]) == (
        "Quiet",
        "Unknown",
        ["AggregatorNotFitted"],
    )
    assert room.study().state == State.CLOSED


def test_a_study_is_not_closed_before_it_is_quiet(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.sweep(QUIET - 1)
    room.deliver(room.send(2))
    room.read()
    room.sweep(QUIET - 1)
    assert not room.revisions()
    room.sweep(60)
    assert room.document()["Counts"]["Members"] == 2


def test_a_study_waits_for_the_answers_of_all_its_slices(room: ReadingRoom) -> None:
    room.deliver(room.send(1), room.send(2))
    room.sweep()
    room.sweep(3600)
    assert not room.revisions()
    room.read()
    room.sweep(60)
    assert room.document()["Counts"] == {"Members": 2, "Read": 2}


def test_a_slice_that_comes_later_makes_the_next_revision_which_names_it(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep()
    first = room.document()
    late = room.deliver(room.send(3, LESION))
    room.read()
    room.sweep()
    second = room.document()
    assert [one.number for one in room.revisions()] == [1, 2]
    assert second["Previous"] == room.revisions()[0].result_key
    assert second["Changes"] == {"Added": [late[0].upload_id]}
    assert json.loads(room.s3.objects[RESULTS, room.revisions()[0].result_key]) == first


def test_a_repeated_event_makes_no_revision(room: ReadingRoom) -> None:
    event = room.send(1)
    room.deliver(event)
    room.read()
    room.sweep()
    room.deliver(event, event)
    assert room.study().state == State.OPEN
    room.sweep()
    assert room.study().state == State.CLOSED
    assert len(room.revisions()) == 1


def test_two_studies_whose_slices_come_in_turn_are_not_mixed(room: ReadingRoom) -> None:
    for n in range(10):
        room.deliver(room.send(n), room.send(n, LESION, study=OTHER, series=f"{OTHER}.1"))
    room.read()
    room.sweep()
    assert room.document()["Class"] == "normal"
    assert room.document(OTHER)["Class"] == "covid"
    assert {one["SeriesInstanceUID"] for one in room.document(OTHER)["Series"]} == {f"{OTHER}.1"}


def test_one_instance_in_two_studies_counts_in_each(room: ReadingRoom) -> None:
    room.deliver(room.send(1, LESION), room.send(1, study=OTHER))
    room.read()
    room.sweep()
    assert [room.document(one)["Counts"] for one in (STUDY, OTHER)] == [{"Members": 1, "Read": 1}] * 2
    assert [room.document(one)["Class"] for one in (STUDY, OTHER)] == ["covid", "normal"]


def test_the_same_study_from_two_senders_is_one_study_without_its_duplicates(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n, key=f"here/{n}") for n in range(3)))
    room.deliver(*(room.send(n, key=f"there/{n}") for n in range(2, 5)))
    room.read()
    room.sweep()
    document = room.document()
    assert document["Counts"] == {"Members": 6, "Read": 5, "Excluded": 1}
    assert document["Series"][0]["Why"] == {"Duplicate": 1}
    assert not document["Conflicts"]


def test_of_one_instance_with_two_contents_the_last_counts_and_both_are_named(room: ReadingRoom) -> None:
    (old,) = room.deliver(room.send(1))
    room.wait(1)
    (new,) = room.deliver(room.send(1, LESION, ImageComments="again"))
    room.read()
    room.sweep()
    document = room.document()
    assert document["Conflicts"] == [
        {
            "SOPInstanceUID": f"{SERIES}.1",
            "Uploads": sorted([old.upload_id, new.upload_id]),
            "Counted": new.upload_id,
        }
    ]
    assert "Conflicts" in document["Cautions"]
    assert document["Class"] == "covid"


def test_an_object_that_is_not_served_is_a_member_that_does_not_count(room: ReadingRoom) -> None:
    scout = room.send(1, LESION, series=f"{SERIES}.9", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    report = room.send(2, series=f"{SERIES}.8", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", Modality="SR")
    room.deliver(scout, report, room.send(3))
    room.read()
    room.sweep()
    document = room.document()
    assert document["Counts"] == {"Members": 3, "Read": 1, "Refused": 2}
    assert [(one["Included"], one["Why"]) for one in document["Series"]] == [
        (True, {}),
        (False, {"SOPClassNotServed": 1}),
        (False, {"LocalizerNotServed": 1}),
    ]
    assert document["Class"] == "normal"


def test_a_derived_slice_and_a_picture_of_a_phantom_are_read_but_do_not_count(room: ReadingRoom) -> None:
    derived = room.send(1, LESION, ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    room.deliver(derived, room.send(2, LESION, QualityControlImage="YES"), room.send(3))
    room.read()
    room.sweep()
    assert room.document()["Series"][0]["Why"] == {"Derived": 1, "QualityControl": 1}
    assert room.document()["Class"] == "normal"


def test_a_study_without_an_object_that_is_served_says_so(room: ReadingRoom) -> None:
    room.deliver(room.send(1, Modality="MR"))
    room.sweep()
    assert (room.document()["Class"], room.document()["Code"]) == (None, "NothingRead")


def test_a_study_that_is_unlike_the_model_s_training_has_no_class(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlike = {"Score": 3.5, "Threshold": 0.5, "Abstained": True}
    monkeypatch.setattr(room, "_answer", lambda body: answer(body, Class=None, Probabilities=LESION, Typicality=unlike))
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep()
    document = room.document()
    assert (document["Class"], document["Code"], document["Scores"]) == (None, "Abstained", {})
    assert document["Counts"] == {"Members": 3, "Read": 3, "Abstained": 3}
    assert "OutOfDistribution" in document["Cautions"]


def test_a_slice_on_its_way_in_our_own_queue_is_not_late(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.metrics.oldest = QUIET + 1
    room.sweep()
    assert not room.revisions()
    room.metrics.oldest, room.metrics.error = None, client_error("AccessDenied")
    room.sweep(60)
    assert not room.revisions()
    room.metrics.error, room.metrics.before, room.metrics.oldest = None, QUIET + 1, 0
    room.sweep(60)
    assert len(room.revisions()) == 1


def test_a_study_whose_slices_never_stop_is_read_all_the_same(room: ReadingRoom) -> None:
    for n in range(100):
        room.deliver(room.send(n))
        room.read()
        room.sweep(100)
    forced = room.revisions()
    assert forced
    assert {one.close_reason for one in forced} == {"Forced"}
    assert "Forced" in room.document()["Cautions"]
    room.sweep()
    assert room.document()["Counts"]["Members"] == 100
    assert room.study().state == State.CLOSED


def test_a_study_that_was_forced_waits_for_no_slice_that_came_after_its_time(room: ReadingRoom) -> None:
    for n in range(71):
        room.deliver(room.send(n))
        room.read()
        room.wait(100)
    room.wait(101)
    room.deliver(room.send(99))  # and no job reads it
    room.sweep(0)
    assert room.document()["Counts"] == {"Members": 71, "Read": 71}
    assert room.study().state == State.OPEN


def test_gaps_between_the_numbers_are_named(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in (1, 2, 5)))
    room.read()
    room.sweep()
    assert room.document()["Coverage"] == "Gaps"
    assert room.document()["Gaps"] == [
        {"SeriesInstanceUID": SERIES, "AcquisitionNumber": None, "Missing": 2, "InstanceNumbers": [3, 4]}
    ]


def test_slices_of_two_patients_in_one_study_are_a_caution(room: ReadingRoom) -> None:
    room.deliver(room.send(1), room.send(2, PatientID="P-8"))
    room.read()
    room.sweep()
    assert "SeveralPatients" in room.document()["Cautions"]


def test_the_read_of_a_frozen_index_is_the_same(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(5)))
    room.read()
    room.wait(QUIET)
    room.dynamodb.lag()
    hints = list(room.studies.open())
    room.dynamodb._lagging = lambda: True
    room.studies.open = lambda *_: iter(hints)  # type: ignore[method-assign]
    room.concluding.run()
    assert room.document()["Counts"] == {"Members": 5, "Read": 5}


def test_a_change_of_a_row_does_not_shorten_the_quiet(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.studies.touch(STUDY, room.time)
    room.sweep(60)
    assert not room.revisions()
    room.sweep()
    assert room.revisions()


def test_no_study_is_begun_in_the_time_of_the_next_sweep(room: ReadingRoom) -> None:
    studies = [f"1.2.840.99.{number}" for number in range(20)]
    room.deliver(*(room.send(1, study=study, series=f"{study}.1") for study in studies))
    room.read()
    room.clients["s3"].interfere = lambda _operation, _when: room.wait(10)
    room.sweep()
    assert 0 < sum(bool(room.revisions(study)) for study in studies) < len(studies)
    room.clients["s3"].interfere = lambda _operation, _when: None
    room.sweep()
    assert all(room.revisions(study) for study in studies)


def test_a_slow_study_does_not_hold_up_the_others(room: ReadingRoom) -> None:
    """Each of two closings waits until the other has come as far."""
    for study in (STUDY, OTHER):
        room.deliver(room.send(1, study=study))
    room.read()
    both = threading.Barrier(2, timeout=60)
    room.clients["s3"].interfere = lambda operation, _when: both.wait() if operation == "put_object" else None
    room.sweep()
    assert [len(room.revisions(study)) for study in (STUDY, OTHER)] == [1, 1]


def test_a_study_that_gets_too_many_members_loses_its_class_whatever_the_order_of_the_last_one(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concluding, "MOST_MEMBERS", 3)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.sweep()
    assert room.document()["Class"] == "covid"
    room.deliver(room.send(3, series=f"{SERIES}.9"))  # the members that are looked at stay the same
    room.read()
    room.sweep()
    assert (room.document()["Class"], room.document()["Code"]) == (None, "TooManyMembers")


def test_a_study_with_too_many_answers_of_a_model_of_many_classes_has_no_class(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concluding, "MOST_ANSWERS", 8)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.sweep()
    assert (room.document()["Class"], room.document()["Code"]) == (None, "TooManyMembers")


def test_a_study_of_too_many_members_is_not_read_again_for_nothing(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concluding, "MOST_MEMBERS", 3)
    room.deliver(*(room.send(n) for n in range(2)))
    room.read()
    room.set_champion("wetread/2")
    room.deliver(*(room.send(n) for n in range(2, 4)))
    room.read()
    room.sweep()
    assert {row.status for row in room.rows()} == {Status.COMPLETED}
    assert room.document()["Code"] == "TooManyMembers"


def test_how_long_the_oldest_study_has_been_open_is_measured(room: ReadingRoom) -> None:
    assert room.concluding.run().oldest_open_seconds == 0
    for study in (STUDY, OTHER):
        room.deliver(room.send(1, study=study))
        room.wait(30)
    assert room.concluding.run().oldest_open_seconds == 60


def test_a_study_is_closed_by_the_rule_of_the_version_that_read_it(room: ReadingRoom) -> None:
    strict = {"version": 1, "rule": "top_mean", "reference": "normal", "k": 1, "thresholds": {"covid": 0.9}}
    room.wait(1)
    current = room.champions.get()
    assert current
    rule = json.dumps(strict | {"coefficients": {}})
    assert room.champions.move(replace(current, promoted_at=timestamp(room.time), study=rule), current)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.sweep()
    document = room.document()
    assert (document["Class"], document["Aggregation"]["K"]) == ("normal", 1), "covid has 0.8"


def test_a_read_says_which_weights_have_read_it(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    model = room.document()["Model"]
    assert (model["Package"], model["WeightsSHA256"]) == ("wetread/1", WEIGHTS_SHA256)
    assert model.keys() == {"Package", "WeightsSHA256", "Form"}


def test_a_read_whose_results_have_expired_says_its_version_alone(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    for bucket, key in list(room.s3.objects):
        if key.startswith("predictions/"):
            del room.s3.objects[bucket, key]
    room.sweep()
    assert room.document()["Model"] == {"Package": "wetread/1"}
