"""What is an axial slice by its header: the values that scanners, archives and viewers write."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from pydicom.tag import Tag

from functions.domain.header import read_header
from tests.fakes.dicom import ct
from untrusted import attributes, picture
from untrusted.header import Header
from untrusted.picture import Picture, PictureCode, PictureError, Pictures


def header(**changes: object) -> Header:
    body = ct(**changes)
    return read_header(body, len(body))


def described(**changes: object) -> Picture:
    return picture.described(header(**changes))


def code_of(served: Pictures | None = None, **changes: object) -> PictureCode | None:
    try:
        picture.check(described(**changes), served or Pictures())
    except PictureError as error:
        return error.code
    return None


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    "values",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "VOLUME"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "LOW DOSE"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ 3D"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "PERFUSION"],
        ["ORIGINAL", "SECONDARY", "AXIAL"],
        ["DERIVED", "SECONDARY"],
        ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM7 SPI DUAL"],
        ["DERIVED", "PRIMARY", "AXIAL", "MONOENERGETIC"],
        ["DERIVED", "SECONDARY", "OTHER"],
        ["DERIVED", "PRIMARY", "AXIAL", "IODINE_REMOVED"],
        ["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED", "IODINE"],
        ["DERIVED", "SECONDARY", "AXIAL", "AVERAGE"],
        ["derived", "secondary", "axial"],
        None,
    ],
)
def test_plain_slices_are_served_and_derived_ones_noted(values: list[str] | None) -> None:
    notes = picture.check(described(ImageType=values), Pictures())
    assert bool(notes) == (values is not None and values[0].upper() == "DERIVED")


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("values", "code"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], PictureCode.LOCALIZER),
        (["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"], PictureCode.LOCALIZER),
        (["original", "primary", "localizer "], PictureCode.LOCALIZER),
        (["ORIGINAL", "PRIMARY", "SCOUT"], PictureCode.LOCALIZER),
        (["ORIGINAL", "PRIMARY", "SCANOSCOPE"], PictureCode.LOCALIZER),
        (["ORIGINAL", "PRIMARY", "LOCALIZER1"], PictureCode.LOCALIZER),
        (["DERIVED", "SECONDARY", "MPR2"], PictureCode.DERIVED),
        (["ORIGINAL", "PRIMARY", "OTHER", "CT_SOM7 TOP"], PictureCode.LOCALIZER),
        (["ORIGINAL", "SECONDARY", "OTHER", "CT_SOM5 PROT"], PictureCode.SCREEN_SAVE),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "AXIAL", "MIP"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "MINIP"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "AXIAL", "CSA 3D EDITOR"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "MPR_THICK"], PictureCode.DERIVED),
        (["ORIGINAL", "PRIMARY", "MPR"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "PROJECTION IMAGE"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "VOLUME RENDERING"], PictureCode.DERIVED),
        (["DERIVED", "PRIMARY", "TOMO"], PictureCode.DERIVED),
        (["DERIVED", "SECONDARY", "SCREEN SAVE"], PictureCode.SCREEN_SAVE),
        (["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"], PictureCode.SCREEN_SAVE),
        (["DERIVED", "SECONDARY", "DOSE_INFO"], PictureCode.SCREEN_SAVE),
        (["DERIVED", "PRIMARY", "AXIAL", "IODINE_MAP"], PictureCode.NOT_HOUNSFIELD),
        (["ORIGINAL", "PRIMARY", "AXIAL", "Z_EFF"], PictureCode.NOT_HOUNSFIELD),
        (["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"], PictureCode.NOT_HOUNSFIELD),
        (["DERIVED", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"], PictureCode.NOT_HOUNSFIELD),
        (["DERIVED", "PRIMARY", "AXIAL", "RHO_Z"], PictureCode.NOT_HOUNSFIELD),
        (["DERIVED", "PRIMARY", "PERFUSION", "CBF"], PictureCode.NOT_HOUNSFIELD),
    ],
)
def test_what_image_type_names_is_refused_by_its_kind(values: list[str], code: PictureCode) -> None:
    assert code_of(ImageType=values) == code


def tilted(degrees: float) -> list[float]:
    angle = math.radians(degrees)
    return [1, 0, 0, 0, math.cos(angle), -math.sin(angle)]


@pytest.mark.parametrize(
    ("directions", "code"),
    [
        ([1, 0, 0, 0, 1, 0], None),
        ([-1, 0, 0, 0, -1, 0], None),
        ([0, 1, 0, 1, 0, 0], None),
        (tilted(30), None),
        (tilted(-30), None),
        (tilted(45), PictureCode.PLANE),
        ([1, 0, 0, 0, 0, -1], PictureCode.PLANE),
        ([0, 1, 0, 0, 0, -1], PictureCode.PLANE),
        ([0, 1, 0, 0.7071, 0, -0.7071], PictureCode.PLANE),
    ],
)
def test_the_plane_is_that_of_the_orientation_whatever_image_type_says(
    directions: Sequence[float], code: PictureCode | None
) -> None:
    for said in ("AXIAL", "CORONAL", "OTHER"):
        changes = {"ImageOrientationPatient": [f"{one:.6f}" for one in directions]}
        assert code_of(ImageType=["ORIGINAL", "PRIMARY", said], **changes) == code


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "text",
    [None, "", "0\\0\\0\\0\\0\\0", "1\\0\\0\\1\\0\\0", "1\\0\\0\\0\\1", "a\\0\\0\\0\\1\\0", "nan\\0\\0\\0\\1\\0"],
)
def test_without_a_valid_orientation_the_plane_is_assumed_unless_image_type_names_another(text: str | None) -> None:
    body = ct(ImageOrientationPatient=None)
    if text is not None:
        value = text.encode() + b" " * (len(text) % 2)
        at = body.index(b"\x28\x00\x02\x00")
        body = body[:at] + b"\x20\x00\x37\x00DS" + len(value).to_bytes(2, "little") + value + body[at:]
    read = read_header(body, len(body))
    found = picture.described(read)
    assert len(found.assumptions) == 1
    assert picture.check(found, Pictures()) == ()
    assert code_of(ImageOrientationPatient=None, ImageType=["DERIVED", "SECONDARY", "CORONAL"]) == PictureCode.PLANE


@pytest.mark.parametrize(
    ("letters", "plane", "directions"),
    [
        (["L", "P"], "axial", ((1, 0, 0), (0, 1, 0))),
        (["R", "A"], "axial", ((-1, 0, 0), (0, -1, 0))),
        (["L", "PF"], "axial", ((1, 0, 0), (0, 1, 0))),
        (["L", "F"], "coronal", ((1, 0, 0), (0, 0, -1))),
        (["P", "FL"], "sagittal", ((0, 1, 0), (0, 0, -1))),
        (["L", "R"], "axial", None),
        (["L"], "axial", None),
        (["CRANIAL", "F"], "axial", None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_without_a_valid_orientation_the_letters_of_the_patients_orientation_count(
    letters: list[str], plane: str, directions: tuple[picture.Vector, picture.Vector] | None
) -> None:
    read = header(ImageOrientationPatient=None, PatientOrientation=letters)
    found = picture.described(read)
    assert picture.orientation(read) == directions
    assert (found.plane, found.by_letters, found.is_oriented) == (plane, directions is not None, False)
    assert ("PatientOrientation" in found.assumptions[0]) == (directions is not None)
    assert not described(PatientOrientation=letters).by_letters
    code = PictureCode.PLANE if plane != "axial" else None
    assert code_of(ImageOrientationPatient=None, PatientOrientation=letters) == code


def test_a_stage_serves_what_it_names() -> None:
    coronal = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    assert code_of(Pictures(planes=("coronal",)), **coronal) is None
    assert code_of(Pictures(planes=("coronal",))) == PictureCode.PLANE
    reformatted = {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}
    assert code_of(Pictures(image_types=("reformat",)), **reformatted) is None
    assert code_of(Pictures(image_types=("original",)), ImageType=["DERIVED", "PRIMARY"]) == PictureCode.DERIVED


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 512), (512, 2), (63, 64)])
def test_a_picture_too_small_for_anatomy_is_refused(rows: int, columns: int) -> None:
    assert code_of(Rows=rows, Columns=columns) == PictureCode.TOO_FEW_PIXELS


def test_text_in_the_picture_is_noted() -> None:
    assert len(picture.check(described(BurnedInAnnotation="YES"), Pictures())) == 1
    assert picture.check(described(BurnedInAnnotation="NO"), Pictures()) == ()


@pytest.mark.parametrize(
    ("text", "frames"), [(None, 1), ("1", 1), ("01", 1), ("+1", 1), ("1.0", 1), ("2", 2), ("one", None)]
)
@pytest.mark.filterwarnings("ignore")
def test_the_number_of_frames_in_every_spelling(text: str | None, frames: int | None) -> None:
    body = ct()
    if text:
        at = body.index(b"\x28\x00\x10\x00")
        value = text.encode() + b" " * (len(text) % 2)
        body = body[:at] + b"\x28\x00\x08\x00IS" + len(value).to_bytes(2, "little") + value + body[at:]
    assert picture.frames(read_header(body, len(body))) == frames


def test_the_tags_are_those_of_dicom() -> None:
    for keyword, tag in (attributes.META | attributes.IDENTITY | attributes.PICTURE).items():
        assert int(Tag(keyword)) == tag
