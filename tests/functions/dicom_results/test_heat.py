"""Heat pictures: what is drawn and said, and how it reads."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage

from functions.dicom_results import making
from functions.dicom_results.heat import (
    LEAST_STRENGTH,
    TISSUE,
    blended,
    drawn,
    heat_of,
    lines,
    spread,
    strength_of,
)
from functions.dicom_results.making import picture_of
from functions.dicom_results.slice_pixels import LONGEST_SIDE
from functions.dicom_results.study import Series
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain.errors import NoPicture
from functions.domain.grid import Grid
from tests.functions.dicom_results.studies import (
    OVER,
    PATIENT,
    SERIES,
    dataset,
    heated,
    image,
    made,
    pictures,
    read,
    slice_of,
    subject,
)

LABELS = ("normal", "cap", "covid")
VALUES = [[1.0, 1, 1, 1], [0, 9, 0, 0], [5, 3, 1, -7]]


def grid() -> Grid:
    return Grid(classes=3, rows=2, columns=2, data=struct.pack("<12e", *itertools.chain(*VALUES)))


def in_grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture as a viewer without colours shows it."""
    return np.asarray(Image.fromarray(picture).convert("L"), np.int16)


def test_heat_is_what_a_class_has_more_than_the_reference() -> None:
    assert heat_of(grid(), LABELS, "covid", "normal").tolist() == [[4, 2], [0, 0]]


@pytest.mark.parametrize("reference", [None, "", "another"])
def test_without_a_reference_heat_is_what_a_class_has_more_than_every_other(reference: str | None) -> None:
    assert heat_of(grid(), LABELS, "covid", reference).tolist() == [[4, 0], [0, 0]]


def test_the_scale_ends_at_the_hottest_of_all_pictures_but_never_below_what_is_noise() -> None:
    assert strength_of([np.full((2, 2), 9, np.float32), np.full((2, 2), 1, np.float32)]) == 9
    assert strength_of([np.full((2, 2), 0.1, np.float32)]) == LEAST_STRENGTH == strength_of([])


def test_a_slice_without_heat_is_grey_and_darker_than_heat() -> None:
    tissue = np.linspace(0, 1, 256, dtype=np.float32)[None]
    plain = blended(tissue, np.zeros_like(tissue))
    assert (plain == plain[..., :1]).all()
    assert plain.max() == round(255 * TISSUE)
    assert in_grey(blended(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))) > plain.max()


@pytest.mark.parametrize("tissue", [0.0, 0.3, 0.7, 1.0])
def test_hotter_is_brighter_in_grey_over_every_tissue(tissue: float) -> None:
    heat = np.linspace(0, 1, 21, dtype=np.float32)[None]
    found = in_grey(blended(np.full_like(heat, tissue), heat))[0]
    assert (np.diff(found) >= 0).all()
    assert found[-1] - found[0] > 50


def test_heat_beside_the_slice_is_cut_off() -> None:
    over = replace(OVER, left=32, columns=32)
    found = spread(np.array([[9, 0], [9, 0]], np.float32), over)
    assert found.shape == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert found[:, 0].max() <= 4.6, "the edge between both"
    assert found[:, -1].max() == 0


def test_the_legend_says_what_it_is_and_what_it_is_not() -> None:
    assert [text for text, _, _ in lines(read(cautions=("Synthetic",)), heated(slice_of(1, 4)), 8)] == [
        "AI result for research, not verified by a person",
        "Series 302, image 4",
        "Colour: where the model's score for covid comes from",
        "Not a segmentation, not for diagnosis",
        "Synthetic model: about a person it says nothing",
        "Scale: 0 to 8.0 more than for normal; 2 x 2 values over the input",
        "Model chest-ct 7, revision 1",
    ]


def test_only_a_model_of_phantoms_is_called_synthetic() -> None:
    assert "Synthetic" not in " ".join(text for text, _, _ in lines(read(), heated(slice_of(1, 4)), 8))


def test_a_slice_without_a_number_is_called_so() -> None:
    unnumbered = replace(slice_of(1, 4), number=None)
    about = read(series=tuple(Series(uid=uid) for uid in SERIES))
    assert "Unnumbered series 2, an image without a number" in [
        text for text, _, _ in lines(about, heated(unnumbered), 8)
    ]


def test_no_text_leaves_the_picture_however_long() -> None:
    shown = replace(heated(slice_of(1, 4), columns=12), label="W" * 64)
    long = list(lines(read(reference_label="M" * 64), shown, 8))
    picture = drawn(np.zeros((LONGEST_SIDE, 96), np.float32), shown, 8, long)
    assert picture.shape[1] == LONGEST_SIDE
    legend = picture[LONGEST_SIDE + 16 :]
    assert legend.any()
    assert not legend[:, -8:].any()
    assert not legend[-8:].any()


def test_the_picture_is_an_image_that_says_its_source() -> None:
    found = dataset(pictures(subject(), BurnedInAnnotation="NO")["heat-2"])
    assert found.SOPClassUID == SecondaryCaptureImageStorage
    assert (found.Modality, found.ConversionType) == ("OT", "DI")
    assert list(found.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
    (source,) = found.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == f"{SERIES[1]}.4"
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert "Not a segmentation, not for diagnosis" in found.DerivationDescription
    assert "FrameOfReferenceUID" not in found, "the drawing is not registered with the patient"
    assert (found.SeriesNumber, found.InstanceNumber) == (9905, 12)


@pytest.mark.parametrize(("stated", "expected"), [("NO", "NO"), (None, "")])
def test_the_picture_says_no_more_of_text_in_it_than_its_slice(stated: str | None, expected: str) -> None:
    found = dataset(pictures(subject(), BurnedInAnnotation=stated)["heat-1"])
    assert found.get("BurnedInAnnotation", "") == expected


def test_pictures_of_a_revision_are_instances_of_one_series_and_of_two_revisions_differ() -> None:
    found = [dataset(body) for name, body in made().items() if name.startswith("heat")]
    found += [dataset(body) for name, body in made(revision=2).items() if name.startswith("heat")]
    assert len({one.SeriesInstanceUID for one in found}) == 1
    assert len({one.SOPInstanceUID for one in found}) == len(found) == 6
    assert sorted(one.InstanceNumber for one in found) == [11, 12, 13, 21, 22, 23]


def test_nothing_of_the_patient_is_drawn() -> None:
    drawn_text = " ".join(text for text, _, _ in lines(read(), heated(slice_of(1, 4)), 8))
    assert not [one for one in map(str, PATIENT.values()) if len(one) > 2 and one in drawn_text]
    one, other = pictures(subject()), pictures(subject(), PatientName="Other^One", PatientID="8")
    assert np.array_equal(dataset(one["heat-1"]).pixel_array, dataset(other["heat-1"]).pixel_array)


def test_the_bytes_of_another_slice_are_not_drawn() -> None:
    with pytest.raises(NoPicture, match=NoPictureCode.OTHER_BYTES):
        picture_of(subject(), heated(slice_of(1, 4)), image(1, 5), 8)


def test_a_picture_that_highdicom_refuses_has_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("QWX-4711")

    monkeypatch.setattr(making, "heat_picture", fail)
    with pytest.raises(NoPicture, match=NoPictureCode.NOT_DRAWN):
        picture_of(subject(), heated(slice_of(1, 4)), image(1, 4), 8)
