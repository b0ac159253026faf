"""A sender's marker: a study closes as soon as all that it names is there, and a marker that lies has a named end."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from functions.aws.events import ObjectCreated
from functions.domain.errors import RefusalCode
from functions.domain.marker import MOST_BYTES
from functions.domain.row import Status
from functions.domain.study import State
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import QUIET, SERIES, ReadingRoom


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def marker(room: ReadingRoom, *series: dict[str, Any], key: str = "a.complete.json", **changes: Any) -> ObjectCreated:
    """Put a marker of the study; by default of three instances of the one series."""
    named = list(series) or [{"SeriesInstanceUID": SERIES, "NumberOfInstances": 3}]
    document = {"Schema": "complete/1", "StudyInstanceUID": STUDY, "Series": named} | changes
    return room.upload(key, json.dumps(document).encode(), f"v{len(room.s3.versions)}")


def test_a_study_closes_at_once_when_all_that_its_sender_named_is_read(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(3)))
    (row,) = room.deliver(marker(room))
    assert (row.status, row.study_instance_uid) == (Status.MARKER, STUDY)
    room.sweep(0)
    assert not room.revisions(), "the slices are not read yet"
    room.read()
    room.sweep(60)
    document = room.document()
    assert (document["CloseReason"], document["Coverage"], document["Missing"]) == ("Marker", "Complete", [])
    assert document["Counts"]["Members"] == 3, "a marker is no member"


def test_a_marker_may_name_the_instances(room: ReadingRoom) -> None:
    uids = [f"{SERIES}.{n}" for n in range(2)]
    room.deliver(
        *(room.send(n) for n in range(2)), marker(room, {"SeriesInstanceUID": SERIES, "SOPInstanceUIDs": uids})
    )
    room.read()
    room.sweep(0)
    assert room.document()["CloseReason"] == "Marker"


def test_an_object_that_is_refused_by_its_size_has_come_all_the_same(room: ReadingRoom) -> None:
    small, large = room.send(1), room.send(2, PixelData=bytes(20_000))
    served = dataclasses.replace(room.ingesting.served, max_object_bytes=large.size - 1)
    object.__setattr__(room.ingesting, "served", served)
    named = {"SeriesInstanceUID": SERIES, "SOPInstanceUIDs": [f"{SERIES}.1", f"{SERIES}.2"]}
    rows = room.deliver(small, large, marker(room, named))
    assert rows[1].code == RefusalCode.TOO_LARGE
    room.read()
    room.sweep(0)
    document = room.document()
    assert (document["CloseReason"], document["Missing"], document["Counts"]["Refused"]) == ("Marker", [], 1)


def test_a_refused_object_that_is_sent_twice_stands_for_no_other(room: ReadingRoom) -> None:
    small, large = room.send(1), room.send(2, PixelData=bytes(20_000))
    served = dataclasses.replace(room.ingesting.served, max_object_bytes=large.size - 1)
    object.__setattr__(room.ingesting, "served", served)
    again = room.send(2, PixelData=bytes(20_000), key="again.dcm")
    room.deliver(small, large, again, marker(room))  # of three instances
    room.read()
    room.sweep(0)
    assert not room.revisions()


def test_a_marker_that_comes_before_the_slices_waits_for_them(room: ReadingRoom) -> None:
    room.deliver(marker(room))
    room.sweep(60)
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep(0)
    assert room.document()["CloseReason"] == "Marker"


def test_a_marker_that_promises_more_than_comes_holds_nothing_up_and_the_read_names_what_is_missing(
    room: ReadingRoom,
) -> None:
    lie = {"SeriesInstanceUID": SERIES, "SOPInstanceUIDs": [f"{SERIES}.{n}" for n in range(5)]}
    room.deliver(*(room.send(n) for n in range(3)), marker(room, lie))
    room.read()
    room.sweep(60)
    assert not room.revisions()
    room.sweep()
    document = room.document()
    assert (document["CloseReason"], document["Coverage"]) == ("Quiet", "Gaps")
    assert document["Missing"] == [
        {
            "SeriesInstanceUID": SERIES,
            "Expected": 5,
            "Missing": 2,
            "SOPInstanceUIDs": [f"{SERIES}.3", f"{SERIES}.4"],
        }
    ]
    assert "Missing" in document["Cautions"]
    assert room.study().state == State.CLOSED


def test_what_a_marker_did_not_name_is_the_next_revision(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(3)), marker(room))
    room.read()
    room.sweep(0)
    (late,) = room.deliver(room.send(3))
    room.read()
    room.sweep(0)
    assert len(room.revisions()) == 1, "a marker is used once: the study waits for quiet again"
    room.sweep()
    assert room.document()["Changes"] == {"Added": [late.upload_id]}


def test_a_marker_of_a_study_that_never_comes_leaves_nothing_behind(room: ReadingRoom) -> None:
    room.deliver(marker(room))
    room.sweep()
    assert room.studies.get(STUDY) is None
    assert not list(room.studies.items(STUDY))


def test_of_two_markers_the_later_one_counts_in_whatever_order_their_events_come(room: ReadingRoom) -> None:
    early = marker(room, {"SeriesInstanceUID": SERIES, "NumberOfInstances": 9}, key="early.complete.json")
    room.wait(1)
    late = marker(room, {"SeriesInstanceUID": SERIES, "NumberOfInstances": 1}, key="late.complete.json")
    room.deliver(room.send(1), late, early)
    room.read()
    room.sweep(0)
    assert room.document()["Coverage"] == "Complete"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b"{}", "Schema is not complete/1"),
        (b" " * (MOST_BYTES + 1), "more than 262,144 bytes"),
        ({"Series": []}, "Series is not a list"),
        ({"Series": [{"SeriesInstanceUID": SERIES}]}, "NumberOfInstances is not"),
        ({"Series": [{"SeriesInstanceUID": SERIES, "NumberOfInstances": True}]}, "NumberOfInstances is not"),
        ({"Series": [{"SeriesInstanceUID": SERIES, "NumberOfInstances": 10**9}]}, "NumberOfInstances is not"),
        ({"Series": [{"SeriesInstanceUID": SERIES, "SOPInstanceUIDs": [7]}]}, "SOPInstanceUIDs is absent"),
        ({"Series": [{"SeriesInstanceUID": SERIES, "NumberOfInstances": 1}] * 2}, "in it twice"),
        ({"Series": ["1.2"]}, "is no object"),
        ({"StudyInstanceUID": "Doe^John"}, "StudyInstanceUID is absent or not a UID"),
    ],
)
def test_what_is_no_marker_is_refused_by_name_and_without_its_text(room: ReadingRoom, body: Any, says: str) -> None:
    event = marker(room, **body) if isinstance(body, dict) else room.upload("a.complete.json", body)
    (row,) = room.deliver(event)
    assert (row.status, row.code) == (Status.REFUSED, RefusalCode.MALFORMED_MARKER)
    assert says in (row.reason or "")
    assert "Doe" not in (row.reason or "")
    assert list(room.studies.open()) == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_the_identifiers_of_a_marker_are_mapped_as_those_of_uploads(room: ReadingRoom) -> None:
    study, series = "STUDY-0001", "SERIES-0001"
    (row,) = room.deliver(room.send(1, study=study, series=series, SOPInstanceUID="1.2.3"))
    named = {"SeriesInstanceUID": series, "NumberOfInstances": 1}
    room.deliver(marker(room, named, StudyInstanceUID=study))
    room.read()
    room.sweep(0)
    assert room.document(row.study_instance_uid or "")["CloseReason"] == "Marker"


def test_two_senders_markers_that_say_the_same_in_other_words_make_one_revision(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(3)), marker(room))
    room.read()
    room.sweep(0)
    room.wait(1)
    uids = [f"{SERIES}.{n}" for n in range(3)]
    room.deliver(marker(room, {"SeriesInstanceUID": SERIES, "SOPInstanceUIDs": uids}, key="another.complete.json"))
    room.sweep(60)
    assert len(room.revisions()) == 1
    assert room.study().state == State.CLOSED


def test_a_marker_that_says_that_something_is_missing_makes_a_revision_of_a_study_that_was_closed(
    room: ReadingRoom,
) -> None:
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep()
    coverages = [room.document()["Coverage"]]
    for number in (3, 4):
        room.wait(1)
        named = {"SeriesInstanceUID": SERIES, "NumberOfInstances": number}
        room.deliver(marker(room, named, key=f"{number}.complete.json"))
        room.sweep()
        coverages.append(room.document()["Coverage"])
    assert (coverages, len(room.revisions())) == (["Unknown", "Complete", "Gaps"], 3)


def test_a_repeated_marker_closes_its_study_once(room: ReadingRoom) -> None:
    event = marker(room)
    room.deliver(*(room.send(n) for n in range(3)), event)
    room.read()
    room.sweep(0)
    room.deliver(event)
    room.sweep(QUIET)
    assert len(room.revisions()) == 1
    assert room.study().state == State.CLOSED
