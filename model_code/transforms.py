"""Prepares slices in Hounsfield units for the network: the one definition for training and for serving.

Axes are rows, columns as DICOM orders them, with the channel put first. The intensity window is fixed, in Hounsfield
units. The minimum and maximum of the slice at hand would make the same tissue differ between slices.

Bit for bit this is MONAI's EnsureChannelFirst, ScaleIntensityRange (clipped), Resize (size_mode="longest",
mode="area") and SpatialPad, which a test checks. It is written out because importing MONAI takes longer than
everything else that a server does before its first answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from model_code.reading.dicom import HounsfieldArray


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The parameters that a model was trained with; its metadata.json carries them to inference.

    ``image_size``: rows and columns of the network's input, pixels. The window (level and width in HU) maps to 0..1;
    the default is the usual lung window.
    """

    image_size: int = 512
    window_level_hu: float = -600.0
    window_width_hu: float = 1500.0

    def prepare(self, hounsfield: HounsfieldArray) -> torch.Tensor:
        """Return one slice in Hounsfield units, rows x columns, as float32, 1 x image_size x image_size in 0..1.

        Averaging over the area keeps thin structures when shrinking. The longest side sets the scale, so that anatomy
        keeps its proportions, and air fills the rest of the square.
        """
        image = torch.from_numpy(hounsfield).float()[None]
        low = self.window_level_hu - self.window_width_hu / 2
        image = ((image - low) / self.window_width_hu).clamp_(0, 1)
        longest = max(image.shape[1:])
        if longest != self.image_size:
            scale = self.image_size / longest
            rows, columns = (max(1, round(side * scale)) for side in image.shape[1:])
            image = functional.interpolate(image[None], (rows, columns), mode="area")[0]
        missing = [self.image_size - side for side in image.shape[1:]]
        if any(missing):
            top, left = (one // 2 for one in missing)
            image = functional.pad(image, (left, missing[1] - left, top, missing[0] - top))
        return image
