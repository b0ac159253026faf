"""A stage that asks for it has a FHIR bundle beside each document, and says where in the event."""

from __future__ import annotations

import json

from fhir.resources.R4B.bundle import Bundle

from functions.domain.layout import fhir_key
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, ReadingRoom
from tests.fakes.world import RESULTS


def asking(room: ReadingRoom) -> None:
    """Let the stage ask for bundles."""
    object.__setattr__(room.concluding, "fhir_results", True)


def bundles(room: ReadingRoom) -> list[str]:
    return sorted(key for bucket, key in room.s3.objects if bucket == RESULTS and key.endswith(".fhir.json"))


def test_each_revision_has_a_bundle_beside_its_document() -> None:
    room = ReadingRoom()
    asking(room)
    for number in range(2):
        room.deliver(room.send(number, LESION))
        room.read()
        room.sweep()
    keys = [fhir_key(one.result_key) for one in room.revisions()]
    assert bundles(room) == sorted(keys)
    assert [event["Detail"]["FhirKey"] for event in room.events.put] == keys
    for key in keys:
        Bundle.model_validate(json.loads(room.s3.objects[RESULTS, key]))


def test_a_closing_that_died_before_its_last_write_leaves_the_same_bundle() -> None:
    room = ReadingRoom()
    asking(room)
    room.deliver(room.send(1))
    room.read()
    close = room.studies.close
    room.studies.close = lambda *_: False  # type: ignore[method-assign]
    room.sweep()
    (key,) = bundles(room)
    before = room.s3.objects[RESULTS, key]
    room.studies.close = close  # type: ignore[method-assign]
    room.sweep(60)
    assert bundles(room) == [key] == [fhir_key(room.revisions()[0].result_key)]
    assert room.s3.objects[RESULTS, key] == before


def test_a_stage_has_no_bundles_by_default() -> None:
    room = ReadingRoom()
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    assert room.studies.get(STUDY)
    assert not bundles(room)
