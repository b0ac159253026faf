"""Hounsfield units are believed where a CT of a body can have them: every slice of a scanner, and no other picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from model_code.errors import InstanceCode, InstanceError
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import decode, read_instance
from model_code.reading.hounsfield import Shares, check_values, shares
from tests.model_code.conftest import MakeSlice
from wetread.demo.phantoms import LABELS, phantom_bytes

SIDE = 128
Picture = np.ndarray


def disc(radius: float, side: int = SIDE, centre: tuple[float, float] = (0.5, 0.5)) -> Picture:
    """Mark a disc; lengths in parts of the side."""
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    marked: Picture = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    return marked


def noisy(hu: Picture, sigma: float = 15.0) -> Picture:
    return hu + np.random.default_rng(1).normal(0, sigma, hu.shape)


def body(*parts: tuple[Picture, float], background: float = -1000.0) -> Picture:
    hu = np.full((SIDE, SIDE), background)
    for marked, value in parts:
        hu[marked] = value
    return hu


CHEST = body(
    (disc(0.42), -100),
    (disc(0.39), 40),
    (disc(0.16, centre=(0.5, 0.32)), -850),
    (disc(0.16, centre=(0.5, 0.68)), -850),
    (disc(0.05, centre=(0.8, 0.5)), 550),
)
HEAD = body((disc(0.42), 60), (disc(0.40), 1100), (disc(0.36), 35))
VERTEX = body((disc(0.2), 60), (disc(0.18), 1300), (disc(0.05), 40))
ABDOMEN = body((disc(0.45), -100), (disc(0.38), 50), (disc(0.05, centre=(0.7, 0.5)), 400))
HEART_WITHOUT_AIR = body((disc(0.3), 45), (disc(0.1), 300), background=-90)
PETROUS_BONE = body((disc(0.45), 1200), (disc(0.3), 400), (disc(0.1), -950), background=40)
HAND = body((disc(0.06), 50), (disc(0.02), 700))
CIRCLE = ~disc(0.5)

FROM_SCANNERS: dict[str, Picture] = {
    "chest": noisy(CHEST),
    "head": noisy(HEAD),
    "top of the skull": noisy(VERTEX),
    "abdomen": noisy(ABDOMEN),
    "heart, no air in the field": noisy(HEART_WITHOUT_AIR),
    "petrous bone, small field": noisy(PETROUS_BONE),
    "hand": noisy(HAND),
    "low dose": noisy(CHEST, 90),
    "very low dose, clipped": noisy(CHEST, 150).clip(-1024, 3071),
    "12 bits with metal": noisy(body((disc(0.4), 40), (disc(0.08), 9000))).clip(-1024, 3071),
    "extended range, metal": noisy(body((disc(0.4), 40), (disc(0.08), 25000), (disc(0.02), -3000))),
    "two hip prostheses": noisy(
        body((disc(0.42), 40), (disc(0.1, centre=(0.5, 0.3)), 8000), (disc(0.1, centre=(0.5, 0.7)), 8000))
    ),
    "hip prosthesis, small field, extended range": noisy(
        body((~disc(0.5), -100), (disc(0.24), 12000), (disc(0.05, centre=(0.5, 0.9)), -700), background=50)
    ),
    "knee prosthesis, small field": noisy(body((disc(0.45), 50), (disc(0.22), 9000))),
    "tip of a finger": noisy(body((disc(0.02), 50))),
    "padding of -2000": np.where(CIRCLE, -2000, noisy(CHEST)),
    "padding of -3024": np.where(CIRCLE, -3024, noisy(CHEST)),
    "padding of -3024, lossy": np.where(CIRCLE, noisy(np.full((SIDE, SIDE), -3024.0), 100), noisy(CHEST)),
    "padding of half the picture": np.where(disc(0.4), noisy(CHEST), -2048),
    "padding of 0 HU": np.where(CIRCLE, 0, noisy(CHEST)),
    "8 bits in the lung window": (noisy(CHEST).clip(-1350, 150) // 6 * 6),
    "8 bits, slope 16": noisy(CHEST).clip(-1024, 3056) // 16 * 16,
}
NO_CT: dict[str, Picture] = {
    "CT numbers + 1000": noisy(CHEST + 1000, 8).clip(0, None),
    "CT numbers + 1000, low dose, signed": noisy(CHEST + 1000, 60),
    "CT numbers + 1024": noisy(CHEST + 1024, 8).clip(0, None),
    "CT numbers + 1000, head": noisy(HEAD + 1000, 8).clip(0, None),
    "CT numbers + 1000, abdomen": noisy(ABDOMEN + 1000, 8).clip(0, None),
    "CT numbers + 1000, padded": np.where(CIRCLE, -2000, noisy(CHEST + 1000, 60)),
    "CT numbers - 1000": noisy(CHEST - 1000),
    "CT numbers x 10": noisy(CHEST) * 10,
    "CT numbers / 10": noisy(CHEST) / 10,
    "slope 0.1": (noisy(CHEST) + 1024) * 0.1 - 1024,
    "slope 10": (noisy(CHEST) + 1024) * 10 - 1024,
    "inverted": -noisy(CHEST),
    "8 bit grey levels": (noisy(CHEST) + 1350).clip(0, 1500) // 6,
    "8 bit grey levels - 128": (noisy(CHEST) + 1350).clip(0, 1500) // 6 - 128,
    "8 bit grey levels - 1024": (noisy(CHEST) + 1350).clip(0, 1500) // 6 - 1024,
    "a dose of 16 bits": 40000 * np.exp(-(np.square(np.mgrid[-64:64, -64:64]) / 350).sum(0)) - 1024,
    "16 bit grey levels": (noisy(CHEST) + 1024) * 15,
    "a soft tissue window, clipped": noisy(CHEST).clip(-160, 240),
    "a page of text": np.where(np.random.default_rng(1).random((SIDE, SIDE)) < 0.1, 255, 0),
    "noise": np.random.default_rng(1).integers(0, 65536, (SIDE, SIDE)),
    "air alone": noisy(np.full((SIDE, SIDE), -1000.0)),
}


@pytest.mark.parametrize("name", FROM_SCANNERS)
def test_what_scanners_make_is_believed(name: str) -> None:
    check_values(FROM_SCANNERS[name].astype(np.float32))


@pytest.mark.parametrize("name", NO_CT)
def test_what_is_no_ct_is_refused_with_the_numbers_seen(name: str) -> None:
    with pytest.raises(InstanceError) as caught:
        check_values(NO_CT[name].astype(np.float32))
    assert caught.value.code == InstanceCode.NOT_HOUNSFIELD
    message = caught.value.message
    assert re.search(r"percentiles are about (at \w+ )?-?[\d,]+ HU, .* and ", message)
    assert len(message) < 420


@pytest.mark.parametrize("size", [64, 96, 128, 256, 512])
@pytest.mark.parametrize("label", LABELS)
def test_every_phantom_is_believed(label: str, size: int) -> None:
    for patient in range(4):
        for number in range(3):
            read_slice(read_instance(phantom_bytes(label, patient, number, size=size)))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_every_ct_of_pydicom_is_believed(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    read_slice(read_instance(Path(path).read_bytes()))


def measured(path: Path) -> Shares:
    hounsfield = decode(read_instance(path.read_bytes()))
    return shares(hounsfield, hounsfield.ravel())


def test_the_real_slices_are_far_from_every_limit(real_slices: list[Path]) -> None:
    """The margins: what the limits are, and the nearest that a real slice comes."""
    of = [measured(path) for path in real_slices]
    assert min(one.soft for one in of) > 0.2  # limit: 0.001
    assert min(one.low for one in of) > 0.6  # limit: 0.005
    assert max(one.dense for one in of) < 0.005  # limit: 0.5, or 0.15 without air
    assert max(one.metal for one in of) == max(one.nothing for one in of) == 0  # limit: 0.1
    assert min(one.highest - one.lowest for one in of) > 2000  # limit: 300
    assert not any(one.problem() for one in of)


@pytest.mark.parametrize("value", [-1024, 0, 40])
def test_a_picture_of_one_value_is_refused_by_name(make_slice: MakeSlice, value: int) -> None:
    with pytest.raises(InstanceError) as caught:
        read_slice(read_instance(make_slice(np.full((64, 64), value + 1024, np.uint16))))
    assert caught.value.code == InstanceCode.CONSTANT_PICTURE


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (2, 512), (512, 2), (63, 64)])
def test_fewer_than_64_pixels_a_side_are_refused_by_name(make_slice: MakeSlice, shape: tuple[int, int]) -> None:
    with pytest.raises(InstanceError) as caught:
        read_slice(read_instance(make_slice(np.zeros(shape, np.uint16))))
    assert caught.value.code == InstanceCode.TOO_FEW_PIXELS
    assert f"{shape[0]} x {shape[1]}" in caught.value.message


STORED = (noisy(CHEST) + 1024).clip(0, 4095).astype(np.uint16)


@pytest.mark.parametrize(
    ("rescale_type", "image_type", "is_read"),
    [
        ("HU", "ORIGINAL\\PRIMARY\\AXIAL", True),
        ("US", "ORIGINAL\\PRIMARY\\AXIAL", True),
        (None, None, True),
        ("US", None, True),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\VMI", True),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\CT_SOM5 DE VNC", True),
        ("HU", "DERIVED\\SECONDARY\\AXIAL\\VIRTUAL_NON_CONTRAST", True),
        ("US", "DERIVED\\PRIMARY\\AXIAL\\VIRTUAL_MONOENERGETIC", True),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\MAT_REMOVED", True),
        ("US", "DERIVED\\PRIMARY\\AXIAL\\IODINE_MAP", False),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\IODINE_MAP", False),
        (None, "derived\\primary\\axial\\iodine map", False),
        ("HU", "DERIVED\\PRIMARY\\Z_EFF", False),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\EFF_ATOMIC_NUM", False),
        (None, "DERIVED\\PRIMARY\\AXIAL\\ELECTRON DENSITY", False),
        ("HU", "DERIVED\\PRIMARY\\AXIAL\\MAT_SPECIFIC", False),
        ("US", "DERIVED\\PRIMARY\\AXIAL\\VIRTUAL_NON_CONTRAST", False),
        ("US", "DERIVED\\PRIMARY\\AXIAL\\CBV", False),
        ("Z_EFF", "ORIGINAL\\PRIMARY\\AXIAL", False),
        ("ED", "ORIGINAL\\PRIMARY\\AXIAL", False),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:The value length")
def test_rescale_type_and_image_type_say_whether_it_is_a_map(
    make_slice: MakeSlice, rescale_type: str | None, image_type: str | None, is_read: bool
) -> None:
    elements = read_instance(make_slice(STORED, RescaleType=rescale_type, ImageType=image_type))
    if is_read:
        read_slice(elements)
    else:
        with pytest.raises(InstanceError) as caught:
            read_slice(elements)
        assert caught.value.code == InstanceCode.NOT_HOUNSFIELD


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_rescale_type_in_lower_case_is_read(make_slice: MakeSlice) -> None:
    read = read_slice(read_instance(make_slice(STORED, RescaleType="hu")))
    np.testing.assert_array_equal(read.hounsfield, STORED - 1024.0)


@pytest.mark.parametrize("intercept", ["4711.0815", "-4711", "19610913", "-19610913", "1234567890"])
def test_a_number_of_a_person_in_the_intercept_is_not_repeated(make_slice: MakeSlice, intercept: str) -> None:
    with pytest.raises(InstanceError) as caught:
        read_slice(read_instance(make_slice(STORED, RescaleIntercept=intercept)))
    shown = caught.value.message.replace(",", "")
    assert caught.value.code == InstanceCode.NOT_HOUNSFIELD
    assert intercept.lstrip("-").split(".")[0] not in shown
