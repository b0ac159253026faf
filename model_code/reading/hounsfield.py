"""Decides whether the values of a slice are Hounsfield units: by what its header says, and by the values themselves.

HU = stored value x RescaleSlope + RescaleIntercept. A header can claim any unit, so the decoded values are checked,
too: every CT of a body has air, lung or fat, and soft tissue. The limits are far from what scanners write:
tests/model_code/reading/test_hounsfield.py shows them against slices of several scanners.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_code.errors import InstanceCode, InstanceError
from model_code.reading.elements import Elements
from untrusted.image_type import MAP, image_type
from untrusted.picture import DECIMAL, SENTENCES

HounsfieldArray = npt.NDArray[np.float32]

# US is "unspecified", which scanners write for plain CT too; any other type is a derived map, not a CT number.
HOUNSFIELD_TYPES = frozenset({"", "HU", "US"})
# The values that DICOM defines (PS3.3 section C.11.1.1.2). Messages repeat these and no other text of an object, which
# may name a person.
RESCALE_TYPES = frozenset({"HU", "US", "OD", "HU_MOD", "PCT", "Z_EFF", "ED", "EDW", "MGML"})
MAX_STORED = 0xFFFF  # the largest magnitude of a stored value of 16 bits
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# Values of ImageType of what can be in Hounsfield units, so that it is believed if RescaleType says HU.
PERHAPS_OTHER = re.compile("VIRTUAL|VNC|VUE|MAT_(REMOVED|MODIFIED)")
STILL_HOUNSFIELD = re.compile("MONO|REMOV|SUPPRESS")  # virtual monoenergetic slices, iodine taken away

AIR = -1000.0
# Below every tissue and the noise of air: padding, and streaks beside metal.
NOTHING = -1300.0
DARK, SOFT, DENSE, MOST = -300.0, 250.0, 700.0, 3100.0
NO_FAT = -50.0
# Shares of the pixels: soft tissue has at least the first (a fingertip is a small part of its slice), and air, lung and
# fat together have the second.
LEAST_SOFT, LEAST = 0.001, 0.005
NARROWEST = 300.0  # from the lowest to the highest value
CLIPPED_ABOVE, CLIPPED_SHARE = -500.0, 0.05
LOOKED_AT = 256  # rows and columns at least, of a larger picture: enough for shares, and no time of serving
MOST_DENSE, MOST_DENSE_IN_NO_AIR, MOST_METAL, MOST_NOTHING = 0.5, 0.15, 0.1, 0.1
MOST_METAL_IN_TISSUE, TISSUE_AROUND = 0.2, 0.25  # a prosthesis may fill a small field, with soft tissue around it
# Messages round to this many HU and end at the bound: a value of an intercept may be a person's number.
ROUNDED, SHOWN = 10, 9_990


def rescale(elements: Elements) -> tuple[float, float]:
    """Return RescaleSlope and RescaleIntercept; raises InstanceError if the header says that the unit is not HU."""
    texts = elements.text("RescaleSlope"), elements.text("RescaleIntercept")
    slope, intercept = map(_number, texts)
    rescale_type = elements.code("RescaleType")
    # Phrased so that NaN fails the test; no stored value may become infinite.
    finite = abs(slope) * MAX_STORED + abs(intercept) <= MAX_FLOAT32
    if not (finite and slope != 0 and rescale_type in HOUNSFIELD_TYPES):
        raise InstanceError(
            InstanceCode.NOT_HOUNSFIELD,
            f"RescaleSlope ({_kind(texts[0])}), RescaleIntercept ({_kind(texts[1])}) and RescaleType "
            f"({term(rescale_type, RESCALE_TYPES)}) do not give Hounsfield units.",
        )
    if _is_map(elements, rescale_type):
        raise InstanceError(
            InstanceCode.NOT_HOUNSFIELD,
            f"{SENTENCES[MAP]}.",
        )
    return slope, intercept


def term(text: str, defined: frozenset[str]) -> str:
    """Return a value as a message repeats it: as it is only if it is one of the ``defined`` ones."""
    return text if text in defined else "no valid value" if text else "absent"


def decimal(text: str) -> float:
    """Return a decimal string (DICOM PS3.5 section 6.2) as a number, NaN if it is not one.

    Python also reads underscores in numbers, and words.
    """
    return float(text) if DECIMAL.fullmatch(text) else math.nan


def _number(text: str) -> float:
    return decimal(text.strip())


def _kind(text: str) -> str:
    """Return how a message describes a number without its digits, which may identify a person."""
    value = _number(text)
    if math.isnan(value):
        return "no decimal number" if text.strip() else "absent"
    return "zero" if value == 0 else "a number" if abs(value) <= MAX_FLOAT32 / MAX_STORED else "too large"


def _is_map(elements: Elements, rescale_type: str) -> bool:
    """Return whether ImageType names a map of another quantity than the attenuation."""
    values = elements.header.codes("ImageType")
    return image_type(values) == MAP or (
        rescale_type != "HU" and any(PERHAPS_OTHER.search(one) and not STILL_HOUNSFIELD.search(one) for one in values)
    )


@dataclass(frozen=True)
class Shares:
    """Shares of the pixels that the limits are about, from 0 to 1; ``lowest`` and ``highest`` in HU.

    All but ``nothing`` are of the pixels that are neither padding nor below NOTHING. ``nothing`` is the share of
    values below NOTHING in the middle of the picture, where there is no padding.
    """

    soft: float
    low: float
    dark: float
    dense: float
    metal: float
    at_lowest: float
    nothing: float
    lowest: float
    highest: float

    @property
    def most_metal(self) -> float:
        """The share of metal that a slice with this share of soft tissue may have."""
        return MOST_METAL_IN_TISSUE if self.soft >= TISSUE_AROUND else MOST_METAL

    def problem(self) -> str:
        """Return what no CT of a body has, as a clause of a sentence, "" if all is plausible."""
        problems = (
            (
                self.soft < LEAST_SOFT,
                f"less than {LEAST_SOFT:.1%} of the pixels are soft tissue ({-SOFT:.0f} to {SOFT:.0f} HU)",
            ),
            (self.low < LEAST, f"less than {LEAST:.1%} of the pixels are air, lung or fat (below {NO_FAT:.0f} HU)"),
            (self.highest - self.lowest < NARROWEST, f"all values lie within {NARROWEST:.0f} HU"),
            (
                self.lowest > CLIPPED_ABOVE and self.at_lowest > CLIPPED_SHARE,
                f"more than {CLIPPED_SHARE:.0%} of the pixels have the lowest value, which is not that of air",
            ),
            (self.dense > MOST_DENSE, f"more than {MOST_DENSE:.0%} of the pixels are bone (above {DENSE:.0f} HU)"),
            (
                self.dense > MOST_DENSE_IN_NO_AIR and self.dark < LEAST,
                f"more than {MOST_DENSE_IN_NO_AIR:.0%} of the pixels are bone (above {DENSE:.0f} HU), and hardly one "
                "is air or lung",
            ),
            (
                self.metal > self.most_metal,
                f"more than {self.most_metal:.0%} of the pixels are above {MOST:.0f} HU, as metal is",
            ),
            (
                self.nothing > MOST_NOTHING,
                f"more than {MOST_NOTHING:.0%} of the middle is below {NOTHING:.0f} HU, where air has {AIR:.0f}",
            ),
        )
        return next((clause for holds, clause in problems if holds), "")


def check_values(hounsfield: HounsfieldArray, padding: npt.NDArray[np.bool_] | None = None) -> None:
    """Raise InstanceError for values that no CT of a body has: ConstantPicture or NotHounsfield.

    ``padding`` marks pixels that are not of the picture.
    """
    step = max(1, min(hounsfield.shape) // LOOKED_AT)
    sample = hounsfield[::step, ::step]
    shown = _shown(sample, None if padding is None else padding[::step, ::step])
    if _is_constant(shown):
        sample, shown = hounsfield, _shown(hounsfield, padding)
        if _is_constant(shown):
            raise InstanceError(
                InstanceCode.CONSTANT_PICTURE,
                "All pixels have one value or are padding: there is nothing to read. Export the slice again.",
            )
    problem = shares(sample, shown).problem()
    if problem:
        low, middle, high = np.percentile(shown.clip(-SHOWN, SHOWN), (1, 50, 99))
        raise InstanceError(
            InstanceCode.NOT_HOUNSFIELD,
            f"The values are not the Hounsfield units of a body: {problem}. The 1st, 50th and 99th percentiles are "
            f"about {_rounded(low)}, {_rounded(middle)} and {_rounded(high)}. Check RescaleSlope and RescaleIntercept, "
            "and send the slices as the scanner made them.",
        )


def _shown(hounsfield: HounsfieldArray, padding: npt.NDArray[np.bool_] | None) -> HounsfieldArray:
    return hounsfield.ravel() if padding is None else hounsfield[~padding]


def _is_constant(values: HounsfieldArray) -> bool:
    return not values.size or bool(values.min() == values.max())


def shares(hounsfield: HounsfieldArray, shown: HounsfieldArray) -> Shares:
    """Return the shares of a slice, or of a part of its rows; ``shown`` has the pixels without padding."""
    body = shown[shown >= NOTHING]
    lowest, highest = (float(body.min()), float(body.max())) if body.size else (0.0, 0.0)
    pixels = max(1, body.size)
    rows, columns = hounsfield.shape
    middle = hounsfield[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]

    def share(marked: npt.NDArray[np.bool_]) -> float:
        return float(np.count_nonzero(marked)) / pixels

    dense = share(body > DENSE)
    return Shares(
        soft=share((body >= -SOFT) & (body <= SOFT)),
        low=share(body < NO_FAT),
        dark=share(body < DARK),
        dense=dense,
        metal=share(body > MOST) if dense > MOST_METAL else 0.0,
        at_lowest=share(body == lowest) if lowest > CLIPPED_ABOVE else 0.0,
        nothing=float(np.count_nonzero(middle < NOTHING)) / max(1, middle.size),
        lowest=lowest,
        highest=highest,
    )


def _rounded(value: float) -> str:
    rounded = round(float(value) / ROUNDED) * ROUNDED
    bound = "at most " if rounded <= -SHOWN else "at least " if rounded >= SHOWN else ""
    return f"{bound}{rounded:,} HU"
