"""Every defect ends as it says: refused by the domain, repaired by it, or accepted by it and rejected by a decoder."""

import io

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage

from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import read_header
from functions.domain.instance import Instance, Served, check, check_size, describe, identified
from functions.domain.row import Status
from wetread.demo.defects import DEFECTS, Defect, oversize
from wetread.demo.encode import TRANSFER_SYNTAXES
from wetread.demo.phantoms import phantom_bytes

SERVED = Served(
    sop_class_uids=(CTImageStorage,),
    modalities=("CT",),
    transfer_syntax_uids=tuple(TRANSFER_SYNTAXES),
    max_object_bytes=10_000_000,
    conformance="repair",
)
GOOD = phantom_bytes("covid", 3, 0, size=64)


def taken(content: bytes) -> Instance:
    check_size(len(content), SERVED)
    instance = describe(read_header(content, len(content)))
    check(instance, SERVED)
    return identified(instance, "ab" * 32)


def of_status(status: Status) -> list[Defect]:
    return [defect for defect in DEFECTS if defect.status is status]


def by_name(defect: Defect) -> str:
    return defect.name


def test_the_good_object_is_taken_without_repair() -> None:
    assert taken(GOOD).repairs == ()


@pytest.mark.parametrize("defect", of_status(Status.REFUSED), ids=by_name)
def test_a_bad_header_is_refused_with_its_code(defect: Defect) -> None:
    with pytest.raises(Refusal) as caught:
        taken(defect.spoil(GOOD))
    assert caught.value.code == defect.code


@pytest.mark.parametrize("defect", of_status(Status.COMPLETED), ids=by_name)
def test_a_repairable_object_is_taken_with_repairs_and_readable_pixels(defect: Defect) -> None:
    spoiled = defect.spoil(GOOD)
    assert taken(spoiled).repairs
    assert (dcmread(io.BytesIO(spoiled)).pixel_array == dcmread(io.BytesIO(GOOD)).pixel_array).all()


@pytest.mark.parametrize("defect", of_status(Status.FAILED), ids=by_name)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bad_pixels_pass_the_header_and_fail_a_decoder(defect: Defect) -> None:
    spoiled = defect.spoil(GOOD)
    assert taken(spoiled).repairs == ()
    with pytest.raises((ValueError, RuntimeError)):
        _ = dcmread(io.BytesIO(spoiled)).pixel_array


def test_names_are_unique() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


def test_an_oversized_object_is_refused_and_takes_no_disk_space(tmp_path) -> None:
    path = tmp_path / "huge.dcm"
    oversize(GOOD, path, 500_000_000)
    assert path.stat().st_blocks * 512 < 1_000_000
    with pytest.raises(Refusal) as caught:
        check_size(path.stat().st_size, SERVED)
    assert caught.value.code is RefusalCode.TOO_LARGE
