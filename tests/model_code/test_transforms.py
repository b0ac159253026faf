"""The network's input: a fixed window, kept proportions, and the axes where DICOM has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_code.transforms import Preprocessing, apply, deterministic

LUNG = Preprocessing(image_size=64)


def prepared(hounsfield: np.ndarray, preprocessing: Preprocessing = LUNG) -> torch.Tensor:
    return apply(deterministic(preprocessing), hounsfield.astype(np.float32))


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
