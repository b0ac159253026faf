"""What is sent is decided by bytes and by ingest's own rules."""

import io

import pytest
from pydicom.uid import MRImageStorage

from functions.domain.errors import RefusalCode
from infra.config import StageConfig
from tests.fakes.dicom import ct
from wetread.uploads.sorting import Group, Identifiers, is_of_another_kind, look

SERVED = StageConfig().served
BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"


def group(body: bytes, name: str = "x.dcm", served=SERVED) -> Group | None:
    found = look(io.BytesIO(body), name, served).obstacle
    return found[0] if found else None


def test_what_the_service_reads_is_sent() -> None:
    assert group(ct()) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"abc", id="short"),
        pytest.param(b"PK\x03\x04" + bytes(500), id="spreadsheet"),
        pytest.param(b"name;born\n" * 50, id="table"),
        pytest.param(bytes(132), id="zeros"),
        pytest.param(bytes(129) + b"DICM" + bytes(99), id="one byte late"),
    ],
)
def test_what_is_not_dicom_is_left_out_with_and_without_the_rules(body) -> None:
    assert group(body) == group(body, served=None) == Group.NOT_DICOM


def test_a_file_without_bytes_is_called_so() -> None:
    assert look(io.BytesIO(b""), "x.dcm", SERVED).obstacle == (Group.NOT_DICOM, "It has no bytes.")


@pytest.mark.parametrize("start", [0, 128, 132, 132 + 12])
def test_dicom_without_its_preamble_is_called_so(start) -> None:
    found = look(io.BytesIO(ct()[start:]), "x.dcm", SERVED).obstacle
    assert (found is None) == (start == 0)
    assert found is None or "without the 128 bytes and the letters DICM" in found[1]


@pytest.mark.parametrize(("name", "is_archive"), [("a.tar", True), ("A.7Z", True), ("a.tgz", True), ("zip", False)])
def test_archives_that_are_not_opened_are_called_so(name, is_archive) -> None:
    assert group(b"no DICOM" * 50, name) == (Group.ARCHIVE if is_archive else Group.NOT_DICOM)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ct(SOPClassUID=MRImageStorage, Modality="MR"), id="MR"),
        pytest.param(ct(Modality="PT"), id="PT"),
        pytest.param(ct(SOPClassUID=BASIC_TEXT, Modality="SR", PixelData=None), id="report"),
        pytest.param(ct(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), id="localizer"),
        pytest.param(ct(ImageType=["DERIVED", "PRIMARY", "AXIAL", "IODINE_MAP"]), id="map"),
        pytest.param(ct(Rows=32, Columns=32), id="thumbnail"),
        pytest.param(ct(SOPClassUID=MRImageStorage) + bytes(SERVED.max_object_bytes), id="large MR"),
    ],
)
def test_what_is_not_for_this_service_is_apart_where_its_rules_are_known(body) -> None:
    assert group(body) == Group.NOT_SERVED
    assert group(body, served=None) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ct()[:300], id="truncated"),
        pytest.param(ct(PixelData=None), id="CT without pixels"),
        pytest.param(ct(StudyInstanceUID=None), id="without a study"),
        pytest.param(ct(NumberOfFrames=2), id="two frames"),
        pytest.param(ct().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"), id="film"),
    ],
)
def test_a_damaged_or_oddly_stored_image_is_sent_so_that_it_gets_a_row(body) -> None:
    assert group(body) is None


def test_a_map_of_an_examination_is_left_out_as_its_localizer_is() -> None:
    for image_type in (["ORIGINAL", "PRIMARY", "LOCALIZER"], ["DERIVED", "PRIMARY", "AXIAL", "IODINE_MAP"]):
        assert group(ct(ImageType=image_type)) == Group.NOT_SERVED


@pytest.mark.parametrize(
    "body", [ct(), ct(NumberOfFrames=2), ct(StudyInstanceUID="")], ids=["sound", "frames", "no UID"]
)
def test_an_image_that_is_too_large_is_named_and_not_sent(body) -> None:
    found = look(io.BytesIO(body + bytes(SERVED.max_object_bytes)), "x.dcm", SERVED).obstacle
    assert found is not None
    assert found[0] == Group.FAILED
    assert found[1].startswith("TooLarge")


def test_every_code_of_an_object_of_another_kind_ends_alike() -> None:
    others = {code for code in RefusalCode if is_of_another_kind(code)}
    assert others >= {RefusalCode.SOP_CLASS_NOT_SERVED, RefusalCode.MODALITY_NOT_SERVED, RefusalCode.NOT_HOUNSFIELD}
    assert not others & {RefusalCode.TRANSFER_SYNTAX_NOT_SERVED, RefusalCode.MULTI_FRAME_NOT_SERVED}
    assert not is_of_another_kind(None)


def test_a_file_says_what_study_it_is_of_also_one_that_is_not_sent() -> None:
    body = ct(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", SOPInstanceUID="1.2.5")
    assert look(io.BytesIO(body), "x.dcm", SERVED).identifiers == Identifiers("1.2.3", "1.2.4", "1.2.5")
    large = look(io.BytesIO(body + bytes(SERVED.max_object_bytes)), "x.dcm", SERVED)
    assert (large.obstacle or ("",))[0] == Group.FAILED
    assert large.identifiers == Identifiers("1.2.3", "1.2.4", "1.2.5")
    assert look(io.BytesIO(b"no DICOM"), "x.dcm", SERVED).identifiers is None
