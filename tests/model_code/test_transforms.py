"""The network's input: a fixed window, kept proportions, and DICOM's order of axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_code.reading.ct_slice import CTSlice
from model_code.transforms import Preparation, Preprocessing

LUNG = Preprocessing(image_size=64)


def prepared(hounsfield: np.ndarray, preprocessing: Preprocessing = LUNG) -> torch.Tensor:
    return preprocessing.prepare(CTSlice(hounsfield.astype(np.float32)))


def of_monai(hounsfield: np.ndarray, size: int) -> torch.Tensor:
    """Return the same by MONAI's transforms, with a window of -1200 to 100 HU."""
    # Imported here: each process of the tests collects this file, and most run no test of it.
    from monai.transforms.compose import Compose
    from monai.transforms.croppad.array import SpatialPad
    from monai.transforms.intensity.array import ScaleIntensityRange
    from monai.transforms.spatial.array import Resize
    from monai.transforms.utility.array import EnsureChannelFirst, EnsureType

    transform = Compose(
        [
            EnsureChannelFirst(channel_dim="no_channel"),
            ScaleIntensityRange(a_min=-1200.0, a_max=100.0, b_min=0.0, b_max=1.0, clip=True),
            Resize(spatial_size=size, size_mode="longest", mode="area"),
            SpatialPad(spatial_size=(size, size), value=0.0),
            EnsureType(dtype=torch.float32, track_meta=False),
        ]
    )
    return torch.as_tensor(transform(hounsfield))


def test_the_window_is_in_hounsfield_units_whatever_else_is_in_the_slice() -> None:
    edges = np.full((64, 64), -600.0)
    edges[0, :4] = [-3000, -1350, 150, 3000]
    image = prepared(edges)
    assert image[0, 0, :4].tolist() == pytest.approx([0, 0, 1, 1])
    assert image[0, 5, 5].item() == pytest.approx(0.5)


def test_shape_and_type() -> None:
    image = prepared(np.zeros((512, 512)))
    assert (image.shape, image.dtype, type(image)) == ((1, 64, 64), torch.float32, torch.Tensor)


def test_rows_stay_rows() -> None:
    top = np.full((128, 128), -1350.0)
    top[:32] = 150
    image = prepared(top)[0]
    assert image[:16].min() == 1
    assert image[16:].max() == 0


def test_a_slice_that_is_not_square_keeps_its_proportions_and_gains_air() -> None:
    image = prepared(np.full((128, 64), 150.0))[0]
    assert image[:, 16:48].min() == 1
    assert image[:, :16].max() == image[:, 48:].max() == 0


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = np.full((128, 128), -1350.0)
    stripes[:, ::2] = 150
    assert prepared(stripes)[0].numpy() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((512, 512), 512), ((512, 512), 224), ((512, 480), 384), ((479, 512), 256), ((100, 37), 64), ((40, 64), 96)],
)
@pytest.mark.parametrize("preparation", Preparation)
def test_it_is_what_monai_computes(shape: tuple[int, int], size: int, preparation: Preparation) -> None:
    if preparation is Preparation.PATIENT_AXES and size > max(shape):
        pytest.skip("only old models enlarge as MONAI's area mode does")
    preprocessing = Preprocessing(
        image_size=size, window_level_hu=-550.0, window_width_hu=1300.0, preparation=preparation
    )
    hounsfield = np.random.default_rng(size).normal(-500, 700, shape).astype(np.float32)
    assert torch.equal(prepared(hounsfield, preprocessing), of_monai(hounsfield, size))


def test_a_sliver_keeps_one_row() -> None:
    image = prepared(np.full((1, 600), 150.0))[0]
    assert image.max() == 1
    assert image.sum() == pytest.approx(64)


def test_the_slice_itself_stays_as_it_is() -> None:
    hounsfield = np.full((64, 64), -3000, np.float32)
    LUNG.prepare(CTSlice(hounsfield))
    assert hounsfield.min() == -3000
