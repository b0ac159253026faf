"""Which instances are served, and how identities are repaired."""

from __future__ import annotations

import struct
import uuid

import pytest

from functions.domain import instance as instances
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import read_header
from functions.domain.instance import Instance
from tests.fakes.dicom import ct
from tests.fakes.world import SERVED, relabelled


def described(data: bytes) -> Instance:
    return instances.describe(read_header(data, len(data)))


def code_of(data: bytes, **settings: object) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        instances.check(described(data), relabelled(SERVED, **settings))
    return caught.value.code


def test_a_conformant_instance_is_served_as_it_is() -> None:
    found = described(ct())
    instances.check(found, relabelled(SERVED, conformance="strict"))
    assert (found.rows, found.columns, found.repairs) == (64, 64, ())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), RefusalCode.SOP_CLASS_NOT_SERVED),
        (ct(Modality="MR"), RefusalCode.MODALITY_NOT_SERVED),
        (ct(NumberOfFrames="2"), RefusalCode.MULTI_FRAME_NOT_SERVED),
        (ct(Rows=0), RefusalCode.MISSING_GEOMETRY),
        (ct(StudyInstanceUID=None), RefusalCode.MISSING_UID),
        (ct(SeriesInstanceUID=""), RefusalCode.MISSING_UID),
    ],
)
def test_refuses_what_is_not_served(data: bytes, code: RefusalCode) -> None:
    assert code_of(data) == code


def test_refuses_a_transfer_syntax_that_the_stage_does_not_serve() -> None:
    assert code_of(ct(), transfer_syntax_uids=()) == RefusalCode.TRANSFER_SYNTAX_NOT_SERVED


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("text", ["JOHN^DOE", "JOHNDOE", "JOHN_DOE", "19610913", "J" * 11])
@pytest.mark.parametrize("keyword", ["Modality", "SOPClassUID", "NumberOfFrames"])
def test_text_that_is_not_a_defined_value_reaches_neither_row_nor_reason(keyword: str, text: str) -> None:
    asked = ct(**{keyword: "7" * len(text)})
    data = asked.replace(b"7" * len(text), text.encode())
    found = described(data)
    with pytest.raises(Refusal) as caught:
        instances.check(found, SERVED)
    assert text not in caught.value.reason
    assert text not in {found.modality, found.sop_class_uid}


def test_a_modality_that_dicom_defines_is_named() -> None:
    with pytest.raises(Refusal, match="Modality MR is not served"):
        instances.check(described(ct(Modality="MR")), SERVED)


def test_a_patient_id_that_is_too_long_counts_as_absent_and_is_noted() -> None:
    data = ct(PatientID="P" * 60).replace(b"LO" + struct.pack("<H", 60), b"LO" + struct.pack("<H", 60_060))
    found = described(data.replace(b"P" * 60, b"P" * 60_060))
    assert found.patient_id == ""
    assert "PatientID was longer than 1024 bytes" in found.repairs[-1]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_uid_that_is_too_long_counts_as_absent(keyword: str) -> None:
    data = ct(**{keyword: "1.2.3.44"}).replace(
        b"UI\x08\x001.2.3.44", b"UI" + struct.pack("<H", 60_000) + b"1." * 30_000
    )
    if keyword == "SOPInstanceUID":
        assert described(data).sop_instance_uid == ""
    else:
        assert code_of(data) == RefusalCode.MISSING_UID


def test_a_uuid_becomes_its_own_uid_and_ill_formed_digits_a_hashed_one() -> None:
    assert instances.as_uid("00000000-0000-0000-0000-0000000000ff") == "2.25.255"
    assert instances.as_uid("1.2.840.99") == "1.2.840.99"
    hashed = instances.as_uid("1.2.840.007")
    assert instances.is_uid(hashed)
    assert hashed == instances.as_uid("1.2.840.007") != instances.as_uid("1.2.840.008")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_text_where_a_uid_belongs_is_not_an_identity() -> None:
    assert instances.as_uid("Doe^John") == ""
    assert code_of(ct(StudyInstanceUID="Doe^John")) == RefusalCode.MISSING_UID
    assert described(ct(SOPInstanceUID="Doe^John")).sop_instance_uid == ""


IDENTIFIERS = [
    "ID_c5c23af94d",
    "6897fa9de148",
    "1.2.826.0.1.3680043.A7F3.22",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "ab" * 31 + "12",
    "sub-0001/ses-02",
    "LIDC-IDRI-0001",
    "dGVzdC1pZDE=",
    "1.2..840.5",
    "1." + "2" * 70,
]
PERSONS = [
    "Doe^John",
    "DOE JOHN 1961",
    "Doe, John 1961",
    "John",
    "MUELLER",
    "Müller1961",
    "a@b.de1",
    "UNKNOWN",
    "..",
    "1\\2",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", IDENTIFIERS)
def test_identifiers_of_public_data_sets_are_mapped_by_the_stages_key_and_noted(text: str) -> None:
    keys = [lambda one, key=key: uuid.uuid5(uuid.NAMESPACE_OID, key + one) for key in ("one", "another")]
    uids = {instances.as_uid(text, key) for key in keys}
    assert len(uids) == 2
    assert all(instances.is_uid(one) for one in uids)
    data = ct(StudyInstanceUID=text, SeriesInstanceUID=text, SOPInstanceUID=text)
    found = instances.describe(read_header(data, len(data)), keys[0])
    assert found.study_instance_uid == found.series_instance_uid == found.sop_instance_uid in uids
    assert sum("by the stage's key" in one for one in found.repairs) == 3
    assert text not in " ".join(found.repairs)
    instances.check(found, SERVED)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", PERSONS)
def test_a_text_that_may_name_a_person_counts_as_an_absent_uid(text: str) -> None:
    assert instances.as_uid(text, lambda _: uuid.UUID(int=1)) == ""
    data = ct(StudyInstanceUID="1.2.840.99.777").replace(
        b"UI\x0e\x001.2.840.99.777", b"UI" + struct.pack("<H", len(text.encode())) + text.encode()
    )
    with pytest.raises(Refusal) as caught:
        instances.check(described(data), SERVED)
    assert (caught.value.code, text in caught.value.reason) == (RefusalCode.MISSING_UID, False)


def test_sop_class_and_modality_are_taken_from_where_they_are_and_noted() -> None:
    found = described(ct(Modality=None, SOPClassUID=None))
    instances.check(found, SERVED)
    assert (found.modality, found.sop_class_uid) == ("CT", "1.2.840.10008.5.1.4.1.1.2")
    assert [one.split()[0] for one in found.repairs] == ["SOPClassUID", "Modality"]
    assert code_of(ct(Modality=None), conformance="strict") == RefusalCode.NON_CONFORMANT


def test_small_letters_are_codes_too() -> None:
    data = ct(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]).replace(b"CS\x02\x00CT", b"CS\x02\x00ct")
    found = described(data)
    instances.check(found, relabelled(SERVED, conformance="strict"))
    assert found.modality == "CT"


def test_an_assumed_plane_is_a_repair_that_strict_refuses() -> None:
    found = described(ct(ImageOrientationPatient=None))
    assert instances.check(found, SERVED) == ()
    assert "ImageOrientationPatient was absent" in found.repairs[-1]
    assert code_of(ct(ImageOrientationPatient=None), conformance="strict") == RefusalCode.NON_CONFORMANT


def test_only_ct_objects_have_their_planes_checked() -> None:
    served = relabelled(SERVED, modalities=("DX",), sop_class_uids=("1.2.840.10008.5.1.4.1.1.1.1",))
    found = described(ct(Modality="DX", SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", ImageOrientationPatient=None))
    assert (instances.check(found, served), found.repairs) == ((), ())


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
@pytest.mark.parametrize("frames", ["9" * 5000, "many"])
def test_an_invalid_number_of_frames_is_refused(frames: str) -> None:
    data = ct(NumberOfFrames="2222").replace(
        b"IS\x04\x002222", b"IS" + len(frames).to_bytes(2, "little") + frames.encode()
    )
    assert code_of(data) == RefusalCode.MULTI_FRAME_NOT_SERVED


@pytest.mark.parametrize("text", ["1.02.3", "1..2", ".1", "1.", "a.b", "1." + "2" * 64, "1", "1.2\n"])
def test_texts_that_are_not_uids(text: str) -> None:
    assert not instances.is_uid(text)


def test_an_absent_sop_instance_uid_is_made_from_the_content_and_noted() -> None:
    found = instances.identified(described(ct(SOPInstanceUID="")), "ab" * 32)
    again = instances.identified(described(ct(SOPInstanceUID=None)), "ab" * 32)
    assert found.sop_instance_uid == again.sop_instance_uid
    assert instances.is_uid(found.sop_instance_uid)
    assert "SOPInstanceUID" in found.repairs[-1]


def test_strict_refuses_what_repair_repairs() -> None:
    data = ct(StudyInstanceUID="1.2.840.99.1", SOPInstanceUID="")
    instances.check(described(data), SERVED)
    assert code_of(data, conformance="strict") == RefusalCode.NON_CONFORMANT


def test_size_alone_refuses() -> None:
    for size, code in ((0, RefusalCode.EMPTY), (SERVED.max_object_bytes + 1, RefusalCode.TOO_LARGE)):
        with pytest.raises(Refusal) as caught:
            instances.check_size(size, SERVED)
        assert caught.value.code == code
    instances.check_size(SERVED.max_object_bytes, SERVED)


def test_an_instance_does_not_show_its_patient() -> None:
    assert "P-7" not in repr(described(ct()))
