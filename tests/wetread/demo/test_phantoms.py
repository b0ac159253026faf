"""Phantoms are valid DICOM, the same for the same seed, and distinguished by the lung alone."""

import io
import json
import re
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from wetread.demo.encode import TRANSFER_SYNTAXES
from wetread.demo.phantoms import LABELS, POSITIONS, deal, phantom, phantom_bytes, write_cohort

SIZE = 96


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(pydicom.config.settings, f"_{mode}", pydicom.config.RAISE)


def read(content: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(content))


def hounsfield(dataset: pydicom.FileDataset) -> np.ndarray:
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def test_strict_mode_is_on() -> None:
    with pytest.raises(ValueError, match="Invalid value for VR"):
        pydicom.Dataset().StudyDate = "yesterday"


@pytest.mark.parametrize("patient", range(8))
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: uid.keyword)
def test_every_transfer_syntax_decodes_to_the_same_pixels(syntax, patient) -> None:
    plain = read(phantom_bytes("covid", patient, 1, size=SIZE))
    other = read(phantom_bytes("covid", patient, 1, size=SIZE, transfer_syntax=syntax))
    assert other.file_meta.TransferSyntaxUID == syntax
    assert (other.pixel_array == plain.pixel_array).all()
    assert other.SOPInstanceUID == plain.SOPInstanceUID


def test_is_a_ct_image_with_valid_values() -> None:
    dataset = read(phantom_bytes("cap", 2, 3, size=SIZE))
    assert dataset.SOPClassUID == CTImageStorage == dataset.file_meta.MediaStorageSOPClassUID
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    for element in dataset.iterall():  # strict: decoding a value that its VR forbids raises
        assert element.value is not None or element.VM == 0
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert re.fullmatch(r"2\.25\.[1-9]\d{30,38}", dataset[keyword].value)


def test_all_values_of_a_scanner_model_are_in_range() -> None:
    for patient in range(12):
        dataset = read(phantom_bytes("normal", patient, 0, size=SIZE))
        stored = dataset.pixel_array
        assert stored.min() == dataset.SmallestImagePixelValue
        assert stored.max() == dataset.LargestImagePixelValue
        assert stored.max() < 1 << dataset.BitsStored


@pytest.mark.parametrize("label", LABELS)
def test_the_tissues_have_their_hounsfield_units(label) -> None:
    hu = hounsfield(read(phantom_bytes(label, 1, 0, size=256)))
    assert np.median(hu[:20]) == pytest.approx(-1000, abs=25)  # air around the patient
    assert 0.04 < ((hu > -900) & (hu < -700)).mean() < 0.4  # aerated lung
    assert 0.05 < ((hu > 0) & (hu < 90)).mean() < 0.5  # soft tissue
    assert 0.002 < (hu > 300).mean() < 0.1  # bone


def test_the_same_arguments_give_the_same_bytes_and_another_seed_other_patients() -> None:
    first = phantom_bytes("covid", 4, 2, size=SIZE, seed=7)
    assert phantom_bytes("covid", 4, 2, size=SIZE, seed=7) == first
    mine, other = read(first), read(phantom_bytes("covid", 4, 2, size=SIZE, seed=8))
    assert other.SOPInstanceUID != mine.SOPInstanceUID
    assert other.PatientID != mine.PatientID, "a run would take them for one patient"


def test_of_several_sizes_each_class_has_every_one_and_a_patient_one(tmp_path: Path) -> None:
    written = write_cohort(tmp_path, 12, 2, [64, 96], seed=1)
    sizes = [(one.label, one.patient, pydicom.dcmread(one.path, stop_before_pixels=True).Rows) for one in written]
    assert Counter((label, size) for label, _, size in sizes) == dict.fromkeys(product(LABELS, [64, 96]), 4)
    assert len({(patient, size) for _, patient, size in sizes}) == 12


def test_the_class_changes_lesions_and_uids_and_no_other_attribute() -> None:
    normal, covid = (phantom(label, 5, 1, size=SIZE) for label in ("normal", "covid"))
    differing = {element.keyword for element in normal if element != covid[element.tag]}
    pixels = {"PixelData", "SmallestImagePixelValue", "LargestImagePixelValue"}
    uids = {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}
    assert uids | {"PixelData"} <= differing <= uids | pixels
    changed = hounsfield(covid) - hounsfield(normal)
    assert 0.02 < (changed > 60).mean() < 0.4
    assert changed.min() >= -1


def test_cap_consolidates_and_covid_stays_ground_glass() -> None:
    def lift(label: str) -> np.ndarray:
        pairs = ((phantom(label, p, 2, size=128), phantom("normal", p, 2, size=128)) for p in range(6))
        return np.concatenate([(hounsfield(a) - hounsfield(b)).ravel() for a, b in pairs])

    cap, covid = lift("cap"), lift("covid")
    assert (cap > 600).mean() > 4 * (covid > 600).mean()
    assert ((covid > 100) & (covid < 500)).mean() > ((cap > 100) & (cap < 500)).mean()


def test_covid_is_on_both_sides_and_cap_mostly_on_one() -> None:
    def sides(label: str) -> list[int]:
        both = []
        for patient in range(10):
            change = hounsfield(phantom(label, patient, 0, size=SIZE)) - hounsfield(
                phantom("normal", patient, 0, size=SIZE)
            )
            diseased = change > 80
            both.append(int(diseased[:, : SIZE // 3].any() and diseased[:, -SIZE // 3 :].any()))
        return both

    assert sum(sides("covid")) == 10
    assert sum(sides("cap")) <= 4


def test_a_cohort_has_a_manifest_in_the_samples_form(tmp_path) -> None:
    written = write_cohort(tmp_path, patients=9, slices_per_patient=2, size=64, seed=3)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest) == len(written) == 18
    assert Counter(entry["content"]["label"] for entry in manifest) == dict.fromkeys(LABELS, 6)
    for entry, one in zip(manifest, written, strict=True):
        dataset = read((tmp_path / entry["filename"]).read_bytes())
        assert entry["content"] == {"type": "classification", "label": one.label}
        assert (entry["studyId"], entry["seriesId"]) == (dataset.StudyInstanceUID, dataset.SeriesInstanceUID)
        assert dataset.file_meta.TransferSyntaxUID == one.transfer_syntax_uid
        assert one.label not in f"{entry['filename']} {dataset.PatientID} {dataset.PatientName}"
    assert len({one.sop_instance_uid for one in written}) == 18
    assert len({one.transfer_syntax_uid for one in written}) > 2


def test_each_patient_has_one_class(tmp_path) -> None:
    written = write_cohort(tmp_path, patients=6, slices_per_patient=3, size=64)
    assert len({(one.patient, one.label) for one in written}) == 6


def test_every_class_of_a_cohort_has_slices_of_all_levels_however_few_a_patient_has(tmp_path) -> None:
    for slices in (1, 2, 4):
        dealt = deal(patients=48, slices_per_patient=slices, seed=5)
        levels = {label: sorted(one.level for one in dealt if one.label == label) for label in LABELS}
        assert levels["normal"] == levels["cap"] == levels["covid"], "the level must not give the class away"
        assert {int(16 * level) for level in levels["normal"]} >= set(range(1, 15))
        assert len({(one.patient, one.slice) for one in dealt}) == 48 * slices
    written = write_cohort(tmp_path, patients=9, slices_per_patient=1, size=64)
    positions = [float(read(one.path.read_bytes()).SliceLocation) for one in written if one.label == "covid"]
    assert positions == [0, -POSITIONS / 2, -POSITIONS / 4], "from the apex down"


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="'flu' is unknown"):
        phantom_bytes("flu", 0, 0)
    with pytest.raises(ValueError, match="slice 256"):
        phantom_bytes("cap", 0, 256)
    with pytest.raises(ValueError, match="256 slices, fewer than 257"):
        deal(patients=1, slices_per_patient=257, seed=0)
    with pytest.raises(ValueError, match=r"1\.2\.3"):
        phantom_bytes("cap", 0, 0, size=64, transfer_syntax="1.2.3")
    assert ExplicitVRLittleEndian in TRANSFER_SYNTAXES
