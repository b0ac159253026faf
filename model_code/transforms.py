"""The MONAI transforms from Hounsfield units to the network's input: declared once, used by ``train`` and ``serve``.

Axes are rows, columns as DICOM orders them, with the channel put first. The intensity window is fixed, in Hounsfield
units: never the minimum and maximum of the slice at hand, which would make the same tissue differ between slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from monai.transforms.compose import Compose
from monai.transforms.croppad.array import SpatialPad
from monai.transforms.intensity.array import ScaleIntensityRange
from monai.transforms.spatial.array import Resize
from monai.transforms.utility.array import EnsureChannelFirst, EnsureType

from model_code.dicom import HounsfieldArray


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The parameters that a model was trained with; its metadata.json carries them to inference.

    ``image_size``: rows and columns of the network's input, pixels. The window (level and width in HU) maps to 0..1;
    the default is the usual lung window.
    """

    image_size: int = 512
    window_level_hu: float = -600.0
    window_width_hu: float = 1500.0


def deterministic(preprocessing: Preprocessing) -> Compose:
    """HU array, rows x columns, to a float32 tensor of 1 x image_size x image_size in 0..1."""
    size = preprocessing.image_size
    low = preprocessing.window_level_hu - preprocessing.window_width_hu / 2
    return Compose(
        [
            EnsureChannelFirst(channel_dim="no_channel"),
            ScaleIntensityRange(a_min=low, a_max=low + preprocessing.window_width_hu, b_min=0.0, b_max=1.0, clip=True),
            # Averaging over the area keeps thin structures when shrinking; the longest side decides, so that
            # anatomy keeps its proportions, and what is missing of the square is air.
            Resize(spatial_size=size, size_mode="longest", mode="area"),
            SpatialPad(spatial_size=(size, size), value=0.0),
            EnsureType(dtype=torch.float32, track_meta=False),
        ]
    )


def apply(pipeline: Compose, hounsfield: HounsfieldArray) -> torch.Tensor:
    """Run ``deterministic`` transforms on one slice."""
    return cast("torch.Tensor", pipeline(hounsfield))
