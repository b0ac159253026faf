"""The text card: what is drawn, and that it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydicom.uid import SecondaryCaptureImageStorage

from functions.dicom_results.card import HEIGHT, MARGIN, WIDTH, lines, pixels
from tests.functions.dicom_results.studies import SERIES, Series, dataset, image, made, read, slice_of


def test_a_card_says_the_class_where_to_look_and_how_far_to_trust_it() -> None:
    drawn = [text for text, _, _ in lines(read(cautions=("Gaps",)))]
    assert drawn == [
        "AI result for research, not verified by a person",
        "Study: covid",
        "See series 302, images 3, 4, 5",
        "normal 9.0 %, cap 0.0 %, covid 91.0 %",
        "Slices of a series are missing, by their numbers.",
        "Model chest-ct 7, revision 1, top_mean k=3",
        "12 slices read; scores are not probabilities",
        "Series 301, 6 slices: normal 80.0 %, cap 10.0 %, covid 20.0 %",
        "Series 302, 6 slices: normal 9.0 %, cap 0.0 %, covid 91.0 %",
    ]


def test_a_card_of_a_study_without_a_class_says_so() -> None:
    assert "Study: no class" in [text for text, _, _ in lines(read(predicted=None))]


def test_series_and_images_without_numbers_are_called_so() -> None:
    unnumbered = tuple(Series(uid=uid) for uid in SERIES)
    evidence = tuple(replace(slice_of(1, n), number=None) for n in (3, 4))
    findings = (replace(read().findings[2], evidence=evidence),)
    drawn = [text for text, _, _ in lines(read(series=unnumbered, findings=findings))]
    assert "See unnumbered series 2, images without a number, without a number" in drawn


def test_many_images_are_not_all_named() -> None:
    evidence = tuple(slice_of(1, n) for n in range(1, 21))
    findings = (replace(read().findings[2], evidence=evidence),)
    drawn = [text for text, _, _ in lines(read(findings=findings))]
    assert "See series 302, images 1, 2, 3, 4, 5, 6, 7, 8, …" in drawn


def test_nothing_is_drawn_over_the_margin_however_long_the_texts() -> None:
    label = "W" * 64
    many = tuple(Series(uid=uid, number=number) for number, uid in enumerate(SERIES * 20))
    findings = tuple(replace(one, label=label) for one in read().findings)
    drawn = pixels(read(findings=findings, predicted=label, series=many))
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    inside = drawn[:, MARGIN : WIDTH - MARGIN // 2]
    assert inside.any()
    assert not drawn[:, WIDTH - MARGIN // 2 :].any()
    assert not drawn[HEIGHT - MARGIN // 2 :].any()


def test_the_card_is_an_image_without_a_patient_in_its_pixels() -> None:
    found = dataset(made()["card"])
    assert found.SOPClassUID == SecondaryCaptureImageStorage
    assert (found.ConversionType, found.BurnedInAnnotation, found.Modality) == ("DI", "NO", "OT")
    assert list(found.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
    assert np.array_equal(found.pixel_array, pixels(read()))
    other = dataset(made(image(0, 1, PatientName="Other^One", PatientID="8", AccessionNumber="9"))["card"])
    assert np.array_equal(found.pixel_array, other.pixel_array)


def test_laterality_is_there_where_the_body_part_is_not() -> None:
    assert "Laterality" not in dataset(made()["card"])
    found = dataset(made(image(0, 1, BodyPartExamined=None))["card"])
    assert found["Laterality"].is_empty


def test_each_line_of_a_card_has_its_place() -> None:
    rows = pixels(read()).any(axis=(1, 2))
    begun = np.flatnonzero(rows[1:] & ~rows[:-1])
    assert len(begun) >= len(list(lines(read())))


def test_a_series_without_scores_says_so() -> None:
    drawn = [text for text, _, _ in lines(read(findings=read().of_study))]
    assert "Series 301, 6 slices: no scores" in drawn


def test_as_many_images_as_are_named_have_no_others() -> None:
    findings = (replace(read().findings[2], evidence=tuple(slice_of(1, n) for n in range(1, 9))),)
    assert "See series 302, images 1, 2, 3, 4, 5, 6, 7, 8" in [text for text, _, _ in lines(read(findings=findings))]
