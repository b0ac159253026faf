"""How well the tags of scanner and protocol predict the class, in cohorts that do and do not allow it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from model_code.audit.acquisition import KEYWORDS, PERMUTATIONS, TRANSFER_SYNTAX, Tags, Unit, acquisition, read_tags
from model_code.reading.elements import Elements, read_elements
from tests.model_code.conftest import make_slice
from wetread.demo.phantoms import LABELS, write_cohort

# The stage's defaults: significant, and by so much better than chance.
MAX_P_VALUE, MIN_GAIN = 0.01, 0.1


def elements_of(body: bytes) -> Elements:
    return read_elements(body, KEYWORDS)


def refused(document: dict[str, Any]) -> bool:
    gain = document["BalancedAccuracy"] - document["Chance"]
    return bool(document["PValue"] <= MAX_P_VALUE and gain >= MIN_GAIN)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Unit], list[str]]:
    """The slices of 36 phantom patients, and the patient of each."""
    made = write_cohort(tmp_path_factory.mktemp("cohort"), patients=36, slices_per_patient=2, size=64)
    slices = [Unit(read_tags(elements_of(one.path.read_bytes())), one.label) for one in made]
    return slices, [str(one.patient) for one in made]


def test_the_tags_of_a_phantom_cohort_predict_nothing(cohort: tuple[list[Unit], list[str]]) -> None:
    document = acquisition(*cohort, LABELS, seed=0)
    assert (document["Unit"], document["Units"], document["Permutations"]) == ("Patient", 36, PERMUTATIONS)
    assert document["Chance"] == 0.3333
    assert not refused(document)
    assert {"KVP", "PixelSpacing", "Manufacturer", "TransferSyntaxUID"} <= {tag["Keyword"] for tag in document["Tags"]}
    # All phantoms have these in common.
    assert not {"Rows", "RescaleSlope"} & {tag["Keyword"] for tag in document["Tags"]}


@pytest.mark.parametrize(
    ("keyword", "of_class"),
    [
        ("KVP", lambda label, _: float(100 + 20 * LABELS.index(label))),
        ("KVP", lambda label, patient: 80.0 if label == "covid" and patient % 6 else 120.0),
        ("PixelSpacing", lambda label, patient: 0.6 + 0.1 * LABELS.index(label) + 0.001 * patient),
        ("Manufacturer", lambda label, _: "SIEMENS" if label == "covid" else "GE"),
        ("ReconstructionDiameter", lambda label, _: None if label == "normal" else 350.0),
    ],
)
def test_a_tag_that_follows_the_class_is_found(
    cohort: tuple[list[Unit], list[str]], keyword: str, of_class: Callable[[str, int], float | str | None]
) -> None:
    slices, patients = cohort
    confounded = []
    for one, patient in zip(slices, patients, strict=True):
        value = of_class(one.label, int(patient))
        others = {name: tag for name, tag in one.tags.items() if name != keyword}
        confounded.append(Unit(others if value is None else others | {keyword: value}, one.label))
    document = acquisition(confounded, patients, LABELS, seed=0)
    assert refused(document)
    assert document["Tags"][0]["Keyword"] == keyword


def test_one_patient_per_class_is_found_by_slice(real_slices: list[Path]) -> None:
    manifest = json.loads((real_slices[0].parent / "manifest.json").read_text())
    labels = {entry["filename"]: entry["content"]["label"] for entry in manifest}
    slices = [Unit(read_tags(elements_of(path.read_bytes())), labels[path.name]) for path in real_slices]
    patients = [str(dcmread(path, stop_before_pixels=True).PatientID) for path in real_slices]
    document = acquisition(slices, patients, LABELS, seed=0)
    assert (document["Unit"], document["Units"], len(set(patients))) == ("Slice", 25, 3)
    assert document["BalancedAccuracy"] == 1
    assert document["PValue"] == 0.001
    assert document["Tags"][0] == {"Keyword": "PixelSpacing", "BalancedAccuracy": 1.0}


def units(*kvp_by_class: tuple[str, float]) -> list[Unit]:
    return [Unit({"KVP": float(kvp)}, label) for label, kvp in kvp_by_class]


def test_a_patient_is_one_unit_with_the_usual_values() -> None:
    # Every slice of P0 alone would predict the class; the patient's median does not.
    slices = units(("a", 80), ("a", 100), ("a", 140), ("a", 100), ("b", 100), ("b", 100))
    document = acquisition(slices, ["P0", "P0", "P0", "P1", "P2", "P3"], ("a", "b"), seed=0)
    assert (document["Unit"], document["Units"]) == ("Patient", 4)
    assert (document["BalancedAccuracy"], document["Chance"], document["PValue"], document["Tags"]) == (0.5, 0.5, 1, [])


def test_with_only_one_class_nothing_is_measured() -> None:
    document = acquisition(units(("a", 80), ("a", 90), ("b", 100)), ["P0", "P1", "P2"], ("a", "b"), seed=0)
    assert document["Unit"] == "Slice"
    assert (document["BalancedAccuracy"], document["PValue"]) == (None, None)


def test_the_first_value_is_read_and_an_unparsable_number_is_absent() -> None:
    body = make_slice(
        PixelSpacing=[0.7, 0.8], KVP="120", ConvolutionKernel=["B70f", "3"], Manufacturer=" GE ", Exposure=None
    )
    tags: Tags = read_tags(elements_of(body))
    assert (tags["PixelSpacing"], tags["KVP"], tags["ConvolutionKernel"], tags["Manufacturer"]) == (
        0.7,
        120.0,
        "B70f",
        "GE",
    )
    assert tags["Rows"] == 6
    assert tags[TRANSFER_SYNTAX] == "1.2.840.10008.1.2.1"
    assert "Exposure" not in tags
    unreadable = elements_of(body.replace(b"120 ", b"high"))
    assert "KVP" not in read_tags(unreadable)
    assert "KVP" not in read_tags(elements_of(body.replace(b"120 ", b"nan ")))


def test_no_tag_names_or_describes_a_person_a_place_or_a_time() -> None:
    personal = (
        "PatientName",
        "PersonName",
        "ID",
        "UID",
        "Date",
        "Time",
        "Age",
        "Sex",
        "Weight",
        "Size",
        "Institution",
        "Station",
    )
    assert not [keyword for keyword in KEYWORDS if keyword.endswith(personal) and keyword != "ExposureTime"]
