"""What all results have in common: their equipment, and data sets by which highdicom refers to slices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

from highdicom import ContributingEquipment
from highdicom.base import SOPClass
from highdicom.sr import (
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DT

from functions.dicom_results.identifiers import Identifiers
from functions.dicom_results.stage import Stage, kind_of
from functions.dicom_results.study import Slice, StudyRead

PRODUCT = "wetread"
Made = TypeVar("Made", bound=SOPClass)
TIMES = (
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("ContentDate", "ContentTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)
"""Times that highdicom sets to that of its run."""
LONGEST_TEXT = 64  # characters of a LO


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A study read, with what its results copy and what the stage says: the input of every kind of result."""

    read: StudyRead
    reference: Dataset
    stage: Stage

    @property
    def identifiers(self) -> Identifiers:
        """The UIDs of the stage."""
        return Identifiers(self.stage.identity)

    @property
    def references(self) -> list[Dataset]:
        """All slices as highdicom takes them: it copies the patient and the study from the first."""
        return [self.first, *map(self.dataset_of, self.read.members[1:])]

    @property
    def first(self) -> Dataset:
        """The first slice, with the patient and the study."""
        first = self.dataset_of(self.read.members[0])
        first.update(self.reference)
        return first

    def dataset_of(self, one: Slice) -> Dataset:
        """Return a slice as far as a reference to it needs."""
        dataset = Dataset()
        dataset.StudyInstanceUID = self.read.study_uid
        dataset.SeriesInstanceUID = one.series_uid
        dataset.SOPInstanceUID = one.sop_uid
        dataset.SOPClassUID = one.sop_class_uid
        dataset.Rows, dataset.Columns = one.rows, one.columns
        return dataset

    @property
    def moment(self) -> datetime:
        """When the revision was closed, in the study's zone if its objects state one, else in UTC."""
        return self.read.closed_at.astimezone(_zone(self.reference.get("TimezoneOffsetFromUTC", "")))

    def named(self, name: str, number: int) -> dict[str, Any]:
        """Return the arguments that every class of highdicom takes, for the result of a name: a kind, or one of it.

        ``number`` is its InstanceNumber.
        """
        study, kind = self.read.study_uid, kind_of(name)
        return {
            "series_instance_uid": self.identifiers.series(kind, study),
            "series_number": self.stage.series_number(kind),
            "sop_instance_uid": self.identifiers.instance(name, study, self.read.revision),
            "instance_number": number,
            "manufacturer": self.stage.manufacturer,
            "manufacturer_model_name": PRODUCT,
            "software_versions": self.stage.software,
            "device_serial_number": _bounded(self.read.model.version),
            "series_description": _bounded(f"AI {self.read.model.name} (research, unverified)"),
            "contributing_equipment": [self._equipment()],
        }

    def observer(self) -> ObserverContext:
        """Return the model version as the device that observed."""
        model = self.read.model
        return ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=self.identifiers.device(model.package),
                name=PRODUCT,
                manufacturer_name=self.stage.manufacturer,
                model_name=model.name,
                serial_number=model.version,
            ),
        )

    def observation(self) -> ObservationContext:
        """Return the context of all findings."""
        return ObservationContext(observer_device_context=self.observer())

    def code_of(self, label: str) -> CodedConcept:
        """Return the code of a class."""
        code = self.stage.code_of(label)
        return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)

    def finished(self, made: Made) -> Made:
        """Return an object with the patient's and study's attributes and the times of the revision.

        highdicom copies only the required ones to some classes, and writes the time of its run. A retry must write the
        same bytes, and attributes that differ make another patient or study for an archive.
        """
        made.copy_patient_and_study_information(self.first)
        if "TimezoneOffsetFromUTC" in self.reference:
            made.TimezoneOffsetFromUTC = self.reference.TimezoneOffsetFromUTC
        date, time = self.moment.strftime("%Y%m%d"), self.moment.strftime("%H%M%S")
        for dated, timed in TIMES:
            if dated in made:
                setattr(made, dated, date)
                setattr(made, timed, time)
        for equipment in made.ContributingEquipmentSequence:
            equipment.ContributionDateTime = DT(date + time)
        return made

    def _equipment(self) -> ContributingEquipment:
        model = self.read.model
        equipment = ContributingEquipment(
            manufacturer=self.stage.manufacturer,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=_bounded(model.name),
            software_versions=_bounded(model.version),
        )
        equipment.DeviceUID = self.identifiers.device(model.package)
        return equipment


def _bounded(text: str) -> str:
    return text[:LONGEST_TEXT]


def _zone(offset: str) -> timezone:
    """Return the zone of an offset such as -0500; UTC without one."""
    if not offset:
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
