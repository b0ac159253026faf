"""Key object selections: the slices that a study's class rests on, and the note that withdraws results."""

from __future__ import annotations

from highdicom.base import SOPClass
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from functions.dicom_results.cautions import NO_CLASS, NOT_VERIFIED
from functions.dicom_results.instances import Subject
from functions.dicom_results.stage import REJECTION, Kind, kind_of

OF_INTEREST = Code("113000", "DCM", "Of Interest")
REJECTED_FOR_QUALITY = Code("113001", "DCM", "Rejected for Quality Reasons")
SOP_CLASSES = {
    Kind.SR: "1.2.840.10008.5.1.4.1.1.88.34",
    Kind.CARD: "1.2.840.10008.5.1.4.1.1.7",
    Kind.KEYS: "1.2.840.10008.5.1.4.1.1.88.59",
    Kind.HEAT: "1.2.840.10008.5.1.4.1.1.7",
}
IMAGES = frozenset({Kind.CARD, Kind.HEAT})


def key_note(subject: Subject) -> SOPClass:
    """Return the note that names the slices to look at."""
    read = subject.read
    objects = [subject.dataset_of(one) for one in read.in_order(read.key_slices)]
    text = f"{NOT_VERIFIED}: {read.predicted or NO_CLASS}, revision {read.revision}"
    return _note(subject, Kind.KEYS, OF_INTEREST, objects, text)


def rejection_note(subject: Subject, delivered: dict[str, tuple[int, ...]]) -> SOPClass:
    """Return the note by which an archive hides results of a withdrawn model: ``delivered`` revisions by name.

    Other notes and reports are not images, so the note refers to them as composite objects.
    """
    objects = [_result(subject, name, revision) for name, revisions in delivered.items() for revision in revisions]
    return _note(
        subject, REJECTION, REJECTED_FOR_QUALITY, objects, "The model version that made these results was withdrawn"
    )


def _note(subject: Subject, kind: str, title: Code, objects: list[Dataset], text: str) -> SOPClass:
    objects[0].update(subject.reference)  # highdicom copies the patient and the study from the first
    content = KeyObjectSelection(
        document_title=title, referenced_objects=objects, observer_device_context=subject.observer(), description=text
    )
    made = KeyObjectSelectionDocument(**subject.named(kind, subject.read.revision), evidence=objects, content=content)
    for item in made.ContentSequence:
        if "ReferencedSOPSequence" in item:
            del item.ConceptNameCodeSequence  # which highdicom writes, and TID 2010 forbids
    return subject.finished(made)


def _result(subject: Subject, name: str, revision: int) -> Dataset:
    """Return a delivered result as far as a reference to it needs."""
    study, kind = subject.read.study_uid, Kind(kind_of(name))
    dataset = Dataset()
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = subject.identifiers.series(kind, study)
    dataset.SOPInstanceUID = subject.identifiers.instance(name, study, revision)
    dataset.SOPClassUID = SOP_CLASSES[kind]
    if kind in IMAGES:
        dataset.Rows = dataset.Columns = 1  # what makes it an image for highdicom
    return dataset
