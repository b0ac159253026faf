"""Phantom studies are what a scanner sends: two series, a localizer and a report, of one study."""

from collections import Counter

import numpy as np
import pydicom
import pytest

from functions.domain import instance as instances
from functions.domain.errors import Refusal
from functions.domain.header import header_of
from infra.config import StageConfig
from wetread.demo.phantoms import LABELS
from wetread.demo.studies import FEWER, SLICES, write_studies

SERVED = StageConfig().served


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The studies, and the datasets of each by the name of its class."""
    folder = tmp_path_factory.mktemp("studies")
    studies = write_studies(folder, 64, 1)
    return (
        studies,
        {one.label: [pydicom.dcmread(path) for path in sorted(folder.glob(f"study-{one.label}-*"))] for one in studies},
        folder,
    )


def outcome(path) -> str:
    """Return the code with which ingest refuses a file; "" if it does not."""
    body = path.read_bytes()
    try:
        instances.check(instances.describe(header_of(lambda length: body[:length], len(body))), SERVED)
    except Refusal as refusal:
        return refusal.code
    return ""


def test_each_class_has_a_study_of_two_series_a_localizer_and_a_report(written) -> None:
    studies, datasets, folder = written
    assert [one.label for one in studies] == list(LABELS)
    for one in studies:
        codes = Counter(outcome(path) for path in folder.glob(f"study-{one.label}-*"))
        assert codes == {"": SLICES + FEWER, "LocalizerNotServed": 1, "NoPixelData": 1}
        assert (outcome(folder / one.localizer), outcome(folder / one.report)) == ("LocalizerNotServed", "NoPixelData")
        assert {str(dataset.StudyInstanceUID) for dataset in datasets[one.label]} == {one.study_instance_uid}


def test_the_objects_of_a_study_agree_on_it_and_differ_from_each_other(written) -> None:
    _, datasets, _ = written
    for objects in datasets.values():
        assert len({(one.PatientID, one.StudyDate, one.StudyTime, one.AccessionNumber) for one in objects}) == 1
        assert len({one.SOPInstanceUID for one in objects}) == len(objects) == SLICES + FEWER + 2
        assert len({one.SeriesInstanceUID for one in objects}) == 4
        assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in objects)


def test_lesions_are_on_some_slices_of_each_series_alone(written) -> None:
    """A slice without a lesion is that of a patient without any, to the bit."""
    _, datasets, folder = written
    for label in ("cap", "covid"):
        ill = [one for one in datasets[label] if one.get("ImageType", [""])[-1] == "AXIAL"]
        well = {one.InstanceNumber: one for one in _without_lesions(label, folder)}
        differ = [one.InstanceNumber for one in ill if one.SeriesNumber == 1 and _differs(one, well)]
        assert differ == list(range(differ[0], differ[-1] + 1))
        assert 3 <= len(differ) < SLICES


def _differs(one, well) -> bool:
    return not np.array_equal(one.pixel_array, well[one.InstanceNumber].pixel_array)


def _without_lesions(label, folder):
    """Return the first series of the same patient, had they no lesions."""
    studies = pytest.MonkeyPatch()
    studies.setattr("wetread.demo.studies.LESIONS", (2.0, 2.0))
    try:
        write_studies(folder / f"well-{label}", 64, 1)
    finally:
        studies.undo()
    return [pydicom.dcmread(path) for path in sorted((folder / f"well-{label}").glob(f"study-{label}-1-*"))]
