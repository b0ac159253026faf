"""The findings as a structured report: Comprehensive 3D SR with template TID 1500, for programs.

Viewers are strict in different ways: each NUM refers to an image, each group is tracked, and there is an image library.
"""

from __future__ import annotations

from highdicom.base import SOPClass
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    ImageContentItem,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from functions.dicom_results.cautions import NOT_VERIFIED, sentence
from functions.dicom_results.instances import PRODUCT, Subject
from functions.dicom_results.stage import OWN_SCHEME, Kind
from functions.dicom_results.study import Finding, Slice

CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
SOURCE = Code("260753009", "SCT", "Source")
PROCEDURES = {
    "1.2.840.10008.5.1.4.1.1.2": (codes.LN.CTUnspecifiedBodyRegion, codes.cid29.ComputedTomography),
    "1.2.840.10008.5.1.4.1.1.1": (codes.LN.XRUnspecifiedBodyRegion, codes.cid29.ComputedRadiography),
    "1.2.840.10008.5.1.4.1.1.1.1": (codes.LN.XRUnspecifiedBodyRegion, codes.cid29.DigitalRadiography),
}
"""SOP class -> the imaging procedure, of CID 100, and the modality, of CID 29."""


def report(subject: Subject) -> SOPClass:
    """Return the report of a study read. Its Completion Flag is PARTIAL where the study was closed by force."""
    read = subject.read
    content = MeasurementReport(
        observation_context=subject.observation(),
        procedure_reported=PROCEDURES[read.evidence[0].sop_class_uid][0],
        imaging_measurements=[_group(subject, finding) for finding in read.findings],
        title=codes.DCM.ImagingMeasurementReport,
    )
    _put_library(content, read.in_order(read.evidence))
    made = Comprehensive3DSR(
        **subject.named(Kind.SR, read.revision),
        evidence=subject.references,
        content=content[0],
        is_complete=not read.forced,
        is_final=False,
        is_verified=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=OWN_SCHEME, name=f"Classes of {PRODUCT}", responsible_organization=subject.stage.manufacturer
            )
        ],
        previous_versions=[_predecessor(subject)] if read.predecessor else None,
    )
    return subject.finished(made)


def _group(subject: Subject, finding: Finding) -> MeasurementsAndQualitativeEvaluations:
    """Return the measurement group (TID 1501) of one class in the study or in one series."""
    read, slices = subject.read, subject.read.in_order(finding.evidence)
    where = read.name_of(finding.series_uid) if finding.series_uid else "study"
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=subject.identifiers.tracking(read.study_uid, finding.series_uid, finding.label),
            identifier=f"{where}: {finding.label}",
        ),
        finding_type=subject.code_of(finding.label),
        algorithm_id=_algorithm(subject),
        measurements=[
            Measurement(
                name=CERTAINTY,
                value=round(100 * finding.score, 2),
                unit=PERCENT,
                referenced_images=[
                    SourceImageForMeasurement(
                        referenced_sop_class_uid=one.sop_class_uid, referenced_sop_instance_uid=one.sop_uid
                    )
                    for one in slices
                ],
            )
        ],
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=one.sop_class_uid, referenced_sop_instance_uid=one.sop_uid
            )
            for one in slices
        ],
    )
    for code in () if finding.series_uid else read.cautions:
        group[0].ContentSequence.append(
            TextContentItem(
                name=codes.DCM.Comment, value=sentence(code), relationship_type=RelationshipTypeValues.CONTAINS
            )
        )
    return group


def _algorithm(subject: Subject) -> AlgorithmIdentification:
    read = subject.read
    return AlgorithmIdentification(
        name=read.model.name,
        version=read.model.version,
        family=Code("123110", "DCM", "Artificial Intelligence"),
        parameters=[
            f"aggregation={read.aggregation}",
            f"WeightsSHA256={read.model.weights_sha256}",
            f"Form={read.model.form}",
            f"Revision={read.revision}",
            NOT_VERIFIED,
        ],
    )


def _put_library(content: MeasurementReport, slices: list[Slice]) -> None:
    """Insert the image library (TID 1600) before the measurements.

    highdicom's own needs the geometry of each slice. It is not known here, and optional: a viewer has the image.
    """
    library = _container(codes.DCM.ImageLibrary)
    group = _container(codes.DCM.ImageLibraryGroup)
    for one in slices:
        image = ImageContentItem(
            name=SOURCE,
            referenced_sop_class_uid=one.sop_class_uid,
            referenced_sop_instance_uid=one.sop_uid,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        image.ContentSequence = ContentSequence(
            [
                CodeContentItem(
                    name=codes.DCM.Modality,
                    value=PROCEDURES[one.sop_class_uid][1],
                    relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT,
                ),
                *(
                    NumContentItem(
                        name=name, value=value, unit=PIXELS, relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT
                    )
                    for name, value in ((codes.DCM.PixelDataRows, one.rows), (codes.DCM.PixelDataColumns, one.columns))
                ),
            ]
        )
        group.ContentSequence.append(image)
    library.ContentSequence.append(group)
    root = content[0].ContentSequence
    root.insert(len(root) - 1, library)


def _container(name: Code) -> ContainerContentItem:
    item = ContainerContentItem(name=CodedConcept.from_code(name), relationship_type=RelationshipTypeValues.CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


def _predecessor(subject: Subject) -> Dataset:
    """Return the report of the last delivered revision, as far as a reference to it needs."""
    read = subject.read
    dataset = Dataset()
    dataset.StudyInstanceUID = read.study_uid
    dataset.SeriesInstanceUID = subject.identifiers.series(Kind.SR, read.study_uid)
    dataset.SOPInstanceUID = subject.identifiers.instance(Kind.SR, read.study_uid, int(read.predecessor or 0))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    return dataset
