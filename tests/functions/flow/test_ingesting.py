"""Every upload gets one row, Pending or Refused, and a repeated event changes nothing."""

from __future__ import annotations

import hashlib
import struct

import pytest

from functions.aws.events import ObjectCreated
from functions.domain.errors import RefusalCode
from functions.domain.header import FIRST_READ, LONGEST_READ
from functions.domain.instance import as_uid, is_uid
from functions.domain.row import Status
from tests.fakes.dicom import SERIES, STUDY, ct
from tests.fakes.wire import client_error
from tests.fakes.world import WORK, World


def test_a_served_upload_becomes_a_pending_row_with_its_identity() -> None:
    world, body = World(), ct()
    row = world.ingesting.take(world.upload("Ä b+c (1).dcm", body))
    assert row.status == Status.PENDING
    assert row.study_instance_uid == STUDY
    assert row.content_sha256 == hashlib.sha256(body).hexdigest()
    assert world.s3.objects[WORK, f"instances/{row.upload_id}.dcm"] == body
    assert world.rows() == [row]


def with_uids(**said: str) -> bytes:
    """Return an object with texts in place of UIDs, which pydicom would not write."""
    places = {keyword: f"1.{number}".ljust(len(said[keyword]), "3") for number, keyword in enumerate(said, 7)}
    body = ct(**places)
    for keyword, text in said.items():
        assert body.count(places[keyword].encode()) == 1
        body = body.replace(places[keyword].encode(), text.encode())
    return body


def test_a_number_or_a_date_in_the_place_of_a_uid_cannot_be_guessed_from_its_row() -> None:
    world = World()
    said = {"StudyInstanceUID": "00471100", "SeriesInstanceUID": "1970.01.01"}
    row = world.ingesting.take(world.upload("a.dcm", with_uids(**said)))
    assert row.status == Status.PENDING
    uids = (row.study_instance_uid, row.series_instance_uid)
    assert all(uid and is_uid(uid) for uid in uids)
    guessed = {as_uid(text) for text in said.values()}
    assert not guessed & set(uids), "anyone can compute these"
    assert set(uids) == {as_uid(text, world.ingesting.patients.uuid_of) for text in said.values()}
    assert [note for note in row.repairs if "InstanceUID was" in note] == [
        f"{keyword} was not well-formed, not a UID: mapped under 2.25 by the stage's key." for keyword in said
    ]
    refused = world.ingesting.take(world.upload("b.dcm", with_uids(**said).replace(b"CT", b"MR")))
    assert (refused.status, refused.study_instance_uid) == (Status.REFUSED, row.study_instance_uid)


def test_ill_formed_uids_do_not_cost_a_request_each() -> None:
    world = World()
    for number in range(20):
        world.ingesting.take(world.upload(f"{number}.dcm", with_uids(StudyInstanceUID=f"00{number:06}")))
    assert world.kms.macs == 2, "one for the patient, and one for all UIDs"


def test_a_patient_is_only_a_hash() -> None:
    world = World()
    row = world.ingesting.take(world.upload("a.dcm", ct(PatientID="P-7")))
    same = world.ingesting.take(world.upload("b.dcm", ct(PatientID="P-7", SOPInstanceUID="1.2.9")))
    other = world.ingesting.take(world.upload("c.dcm", ct(PatientID="P-8")))
    assert row.patient_hash == same.patient_hash != other.patient_hash
    assert "P-7" not in str(world.dynamodb.tables)
    assert world.ingesting.take(world.upload("d.dcm", ct(PatientID=""))).patient_hash is None


def test_one_patient_id_of_two_issuers_is_two_patients() -> None:
    world = World()
    rows = [
        world.ingesting.take(world.upload(f"{number}.dcm", ct(PatientID="4711", IssuerOfPatientID=issuer)))
        for number, issuer in enumerate(("Hospital A", "Hospital B", None, "Hospital A"))
    ]
    first, second, nobodys, again = (row.patient_hash for row in rows)
    assert len({first, second, nobodys}) == 3
    assert again == first


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", RefusalCode.EMPTY),
        (b"text", RefusalCode.NOT_DICOM),
        (ct()[:410], RefusalCode.TRUNCATED_HEADER),
        (ct(PixelData=None), RefusalCode.NO_PIXEL_DATA),
        (ct(NumberOfFrames="3"), RefusalCode.MULTI_FRAME_NOT_SERVED),
        (ct(ICCProfile=bytes(LONGEST_READ + 2)), RefusalCode.HEADER_TOO_LONG),
    ],
)
def test_a_bad_object_becomes_a_refused_row_with_a_sentence(body: bytes, code: RefusalCode) -> None:
    world = World()
    row = world.ingesting.take(world.upload("bad.dcm", body))
    assert (row.status, row.code) == (Status.REFUSED, code)
    assert row.reason
    assert row.reason.endswith(".")
    assert not [key for bucket, key in world.s3.objects if bucket == WORK]


def test_a_refused_row_can_be_queried_by_study() -> None:
    world = World()
    row = world.ingesting.take(world.upload("a.dcm", ct(Modality="MR")))
    assert row.study_instance_uid == STUDY


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (ct(PixelData=None), RefusalCode.NO_PIXEL_DATA),
        (ct()[:-8209], RefusalCode.TRUNCATED_HEADER),
        (ct() + bytes(17 * 1024**2), RefusalCode.TOO_LARGE),
        (ct(PixelData=None, EncapsulatedDocument=bytes(LONGEST_READ)) + bytes(9), RefusalCode.HEADER_TOO_LONG),
    ],
)
def test_an_object_that_is_refused_before_its_pixels_is_found_by_patient_and_study(
    body: bytes, code: RefusalCode
) -> None:
    world = World()
    row = world.ingesting.take(world.upload("a.dcm", body))
    assert (row.status, row.code) == (Status.REFUSED, code)
    assert (row.patient_hash, row.study_instance_uid) == (world.ingesting.patients.hash_of("P-7"), STUDY)
    assert row.series_instance_uid == SERIES


def test_an_object_that_is_too_large_costs_one_short_read() -> None:
    world = World()
    world.ingesting.take(world.upload("a.dcm", ct() + bytes(17 * 1024**2)))
    assert (world.s3.reads, world.s3.bytes_read) == (1, FIRST_READ)


def test_an_object_that_is_too_large_and_gone_is_too_large() -> None:
    world = World()
    event = world.upload("a.dcm", bytes(17 * 1024**2))
    world.s3.versions.clear()
    assert world.ingesting.take(event).code == RefusalCode.TOO_LARGE


def test_a_patient_with_a_cut_off_issuer_is_not_confused_with_another() -> None:
    world = World()
    body = ct(IssuerOfPatientID="Hospital A", PatientID="P-7")
    row = world.ingesting.take(world.upload("a.dcm", body[: body.index(b"Hospital A") + 3]))
    assert (row.code, row.patient_hash) == (RefusalCode.TRUNCATED_HEADER, None)


def test_an_object_that_is_gone_is_refused_by_name() -> None:
    world = World()
    event = world.upload("a.dcm", ct())
    world.s3.versions.clear()
    assert world.ingesting.take(event).code == RefusalCode.OBJECT_GONE


def test_a_repeated_event_changes_nothing() -> None:
    world = World()
    event = world.upload("a.dcm", ct())
    first = world.ingesting.take(event)
    world.wait(60)
    assert world.ingesting.take(event) == first
    assert len(world.rows()) == 1


def test_an_overwrite_is_another_upload_and_each_keeps_its_own_bytes() -> None:
    world = World()
    old, new = ct(), ct(SOPInstanceUID="1.2.9")
    first, second = world.upload("a.dcm", old, "v1"), world.upload("a.dcm", new, "v2")
    rows = [world.ingesting.take(first), world.ingesting.take(second)]
    assert [row.content_sha256 for row in rows] == [hashlib.sha256(body).hexdigest() for body in (old, new)]


def test_an_ordinary_header_costs_one_short_read() -> None:
    world = World()
    world.ingesting.take(world.upload("a.dcm", ct(PixelData=bytes(500_000))))
    assert world.s3.reads == 1
    assert world.s3.bytes_read <= FIRST_READ


def test_a_long_header_is_read_further() -> None:
    world = World()
    assert world.ingesting.take(world.upload("a.dcm", ct(ICCProfile=bytes(100_000)))).status == Status.PENDING
    assert world.s3.reads == 2


def test_no_header_is_read_more_than_twice() -> None:
    world = World()
    endless = ct(ICCProfile=bytes(100_000)).replace(struct.pack("<L", 100_000), struct.pack("<L", 2**31))
    row = world.ingesting.take(world.upload("a.dcm", endless + bytes(LONGEST_READ)))
    assert row.code == RefusalCode.HEADER_TOO_LONG
    assert world.s3.reads == 2


def test_aws_trouble_leaves_a_received_row_and_no_refusal() -> None:
    troubled = [True]

    def slow(operation: str, _when: str) -> None:
        if operation == "copy_object" and troubled:
            raise client_error("SlowDown")

    world = World(interfere=slow)
    event = world.upload("a.dcm", ct())
    for delivery in range(1, 30):
        with pytest.raises(Exception, match="SlowDown"):
            world.ingesting.take(event, delivery=delivery)
    assert (world.row(event).status, world.row(event).code, world.row(event).attempt) == (
        Status.RECEIVED,
        "SlowDown",
        0,
    )
    troubled.clear()
    row = world.ingesting.take(event, delivery=30)
    assert (row.status, row.code, row.reason, row.attempt) == (Status.PENDING, None, None, 0)
    assert world.rows() == [row]


def test_two_deliveries_at_once_write_one_row_and_the_first_stays() -> None:
    overtaking: list[ObjectCreated] = []

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("put_item", "before") and overtaking:
            world.ingesting.take(overtaking.pop())
            world.set_champion()
            world.dispatching.run()

    world = World(interfere=interfere)
    event = world.upload("a.dcm", ct())
    overtaking.append(event)
    assert world.ingesting.take(event).status == Status.BATCHED
    assert world.row(event).status == Status.BATCHED
