"""A heat picture shows the slice as the model saw it, and the grid where it is: however the slice is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydicom import uid

from functions.dicom_results.heat import Cells, Heated, drawn, spread
from functions.dicom_results.slice_pixels import DECODERS, LONGEST_SIDE, grey, header_of_slice, size
from functions.dicom_results.study import Slice
from functions.domain import grid as read_grid
from functions.domain.grid import Over
from functions.domain.prediction import Prediction
from model_code import grid
from model_code.inference import Model
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.transforms import Preparation, Preprocessing
from tests.contract.test_prediction import answered, model
from tests.model_code.conftest import make_slice
from wetread.demo.phantoms import phantom, phantom_bytes

__all__ = ["model"]  # a fixture

CELLS = 8  # of a grid, in each direction
SEEN_BY_MODEL = Preprocessing(image_size=LONGEST_SIDE)
HOT = np.s_[150:170, 60:80]  # of the upright slice of 256 x 256: the patient's right back
LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGLSNearLossless, uid.JPEG2000}
UPRIGHT = [1, 0, 0, 0, 1, 0]


def upright(block: int = 4000) -> np.ndarray:
    """Return a slice of a chest with one block of a stored value, 256 x 256 values."""
    stored = phantom("normal", 3, 8, size=256, seed=5).pixel_array.astype(np.uint16)
    stored[HOT] = block
    return np.ascontiguousarray(stored)


def stored_as(how: str, array: np.ndarray) -> bytes:
    """Return the object of an upright slice that is stored in one of several ways, with a header that says so."""
    turned, orientation, more = {
        "upright": (array, UPRIGHT, {}),
        "feet first": (array[:, ::-1], [-1, 0, 0, 0, 1, 0], {}),
        "prone": (array[::-1, ::-1], [-1, 0, 0, 0, -1, 0], {}),
        "on the side": (array.T, [0, 1, 0, 1, 0, 0], {}),
        "on the other side": (array.T[::-1, :], [0, 1, 0, -1, 0, 0], {}),
        "wide": (array[64:192], UPRIGHT, {}),
        "high": (array[:, 20:140], UPRIGHT, {}),
        "flat pixels": (array[::2], UPRIGHT, {"PixelSpacing": [2, 1]}),
        "flat pixels on the side": (array.T[:, ::2], [0, 1, 0, 1, 0, 0], {"PixelSpacing": [1, 2]}),
    }[how]
    changes: dict[str, Any] = {"ImageOrientationPatient": orientation, "ImageType": ["ORIGINAL", "PRIMARY"], **more}
    return make_slice(np.ascontiguousarray(turned), **changes)


WAYS = (
    *("upright", "feet first", "prone", "on the side", "on the other side"),
    *("wide", "high", "flat pixels", "flat pixels on the side"),
)


def over_of(ct_slice: CTSlice, preprocessing: Preprocessing) -> Over:
    """Return what the container says that a grid lies over, as the functions read it."""
    said = grid.as_dict(torch.zeros(1, CELLS, CELLS))
    assert said
    said["Over"] = grid.over(preprocessing.placement(ct_slice), preprocessing)
    found = read_grid.parse(said, 1).over
    assert found
    return found


def seen(ct_slice: CTSlice, preprocessing: Preprocessing) -> np.ndarray:
    """Return the network's input."""
    return preprocessing.prepare(ct_slice)[0].numpy()


def inside(whole: np.ndarray, over: Over) -> np.ndarray:
    """Return the slice's part of the network's input."""
    return whole[over.top : over.top + over.rows, over.left : over.left + over.columns]


def centre(marked: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(marked)
    return float(rows.mean()), float(columns.mean())


def heat_over(whole: np.ndarray) -> Cells:
    """Return a grid that is as hot as the network's input is bright."""
    cells = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(whole)[None], CELLS)[0].numpy()
    return np.where(cells == cells.max(), np.float32(9), np.float32(0))


@pytest.mark.parametrize("preparation", Preparation)
@pytest.mark.parametrize("how", WAYS)
def test_the_slice_is_drawn_as_the_model_saw_it(how: str, preparation: Preparation) -> None:
    body = stored_as(how, upright())
    preprocessing = Preprocessing(image_size=LONGEST_SIDE, preparation=preparation)
    ct_slice = read_slice(read_instance(body))
    over = over_of(ct_slice, preprocessing)
    shown, expected = grey(header_of_slice(body), over), inside(seen(ct_slice, preprocessing), over)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 0.02
    if how != "upright":
        assert np.abs(shown - expected[::-1, ::-1]).mean() > 0.04, "another way up would be seen"


@pytest.mark.parametrize("preparation", Preparation)
@pytest.mark.parametrize("how", WAYS)
def test_heat_is_drawn_where_the_model_saw_its_cause(how: str, preparation: Preparation) -> None:
    with_block, without = stored_as(how, upright()), stored_as(how, upright(block=0))
    preprocessing = Preprocessing(image_size=64, preparation=preparation)
    slices = [read_slice(read_instance(body)) for body in (with_block, without)]
    over = over_of(slices[0], preprocessing)
    heat = spread(heat_over(seen(slices[0], preprocessing) - seen(slices[1], preprocessing)), over)
    block = centre(grey(header_of_slice(with_block), over) - grey(header_of_slice(without), over) > 0.5)
    hottest = centre(heat > 0.9 * heat.max())
    assert heat.shape == size(over)
    a_cell = LONGEST_SIDE / max(over.rows, over.columns) * over.side / CELLS
    assert np.abs(np.subtract(block, hottest)).max() < a_cell / 2 + 1, (block, hottest)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("how", ["upright", "wide", "high"])
def test_the_hot_quarter_is_the_brightest_of_the_picture(how: str, row: int, column: int) -> None:
    body = stored_as(how, np.full((256, 256), 1024 - 600, np.uint16) + (np.indices((256, 256)).sum(0) % 2))
    over = _over_of_plain(body)
    heat = np.zeros((2, 2), np.float32)
    heat[row, column] = 8
    one = Slice(series_uid="1", sop_uid="2", sop_class_uid="3", rows=1, columns=1)
    rows, columns = size(over)
    shown = Heated(slice=one, place=1, label="covid", heat=heat, over=over)
    picture = drawn(grey(header_of_slice(body), over), shown, 8, [])[:rows].mean(axis=2)
    left = (LONGEST_SIDE - columns) // 2
    picture = picture[:, left : left + columns]
    quarters = [
        [part.mean() for part in np.array_split(half, 2, axis=1)] for half in np.array_split(picture, 2, axis=0)
    ]
    assert np.unravel_index(int(np.argmax(quarters)), (2, 2)) == (row, column)


def _over_of_plain(body: bytes) -> Over:
    """Return what a grid over a slice of no body lies over, which the reader of slices refuses."""
    header = header_of_slice(body)
    shape = header.number("Rows") or 0, header.number("Columns") or 0
    return over_of(CTSlice(np.zeros(shape, np.float32)), SEEN_BY_MODEL)


def test_the_model_s_own_answer_says_what_its_grid_lies_over(model: Model) -> None:
    found = answered(phantom_bytes("covid", 0, 0, size=128), model)
    assert isinstance(found, Prediction)
    assert found.grid
    over = found.grid.over
    assert over
    assert (over.rows, over.columns, over.side) == (model.preprocessing.image_size,) * 3
    assert (over.level_hu, over.width_hu) == (-600, 1500)


@pytest.mark.parametrize("syntax", [one for one in DECODERS if one not in LOSSY], ids=lambda one: one.name)
def test_what_the_layer_decodes_is_what_the_container_decodes(syntax: uid.UID) -> None:
    stored = upright().astype(np.int16) - 1024
    body = make_slice(
        stored, syntax=syntax, ImageOrientationPatient=UPRIGHT, RescaleIntercept="0", BitsStored=13, HighBit=12
    )
    over = over_of(read_slice(read_instance(body)), SEEN_BY_MODEL)
    plain = make_slice(stored, ImageOrientationPatient=UPRIGHT, RescaleIntercept="0", BitsStored=13, HighBit=12)
    assert np.array_equal(grey(header_of_slice(body), over), grey(header_of_slice(plain), over))
    ours = grey(header_of_slice(body), over)
    assert np.abs(ours - seen(read_slice(read_instance(body)), SEEN_BY_MODEL)).mean() < 0.02
