"""A study read as a FHIR R4 bundle: made of the study/1 document alone, without a patient.

It is a collection: ImagingStudy (what was looked at), Device (the model), an Observation of each class with a score,
DiagnosticReport (the answer), Provenance (which document it was made of). `subject` is absent: a receiver that files
it knows the patient by the StudyInstanceUID. All is preliminary, since no person has seen it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

DICOM, LOINC = "urn:dicom:uid", "http://loinc.org"
UNITS = "http://unitsofmeasure.org"
SECTIONS = "http://terminology.hl7.org/CodeSystem/v2-0074"
REPORT = {"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}
RADIOLOGY = {"system": SECTIONS, "code": "RAD", "display": "Radiology"}
AUTHOR = {
    "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    "code": "author",
    "display": "Author",
}
NAMESPACE = uuid.UUID("5f0dd7e4-3f0e-5d1c-9d47-0c52a6f4a8c1")  # of the resources' ids, by document and name
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CT = "1.2.840.10008.5.1.4.1.1.2"
WARNING = "Read by software for research and development; not seen by a person; not a medical device."


def bundle(content: Mapping[str, Any], result_uri: str) -> dict[str, Any]:
    """Return the bundle of a study/1 document, which is at ``result_uri``; the same document gives the same one."""
    return _Bundle(content, result_uri).made()


class _Bundle:
    """One bundle in the making: its resources refer to each other by their URNs."""

    def __init__(self, content: Mapping[str, Any], result_uri: str) -> None:
        self._content = content
        self._result_uri = result_uri

    def made(self) -> dict[str, Any]:
        observations = {name: self._observation(name, score) for name, score in self._content["Scores"].items()}
        resources: dict[str, dict[str, Any]] = {
            "study": self._study(),
            "device": self._device(),
            **{f"observation/{name}": one for name, one in observations.items()},
            "report": self._report([f"observation/{name}" for name in observations]),
        }
        resources["provenance"] = self._provenance(list(resources))
        return {
            "resourceType": "Bundle",
            "type": "collection",
            "timestamp": self._content["ClosedAt"],
            "identifier": {"system": "urn:ietf:rfc:3986", "value": self._urn("bundle")},
            "entry": [{"fullUrl": self._urn(name), "resource": one} for name, one in resources.items()],
        }

    def _urn(self, name: str) -> str:
        return uuid.uuid5(NAMESPACE, f"{self._result_uri}#{name}").urn

    def _reference(self, name: str) -> dict[str, str]:
        return {"reference": self._urn(name)}

    def _study(self) -> dict[str, Any]:
        found = [one for several in self._content["Evidence"].values() for one in several]
        by_series: dict[str, dict[str, str]] = {}
        for one in found:
            by_series.setdefault(one["SeriesInstanceUID"], {})[one["SOPInstanceUID"]] = one["SOPClassUID"]
        study: dict[str, Any] = {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": DICOM, "value": f"urn:oid:{self._content['StudyInstanceUID']}"}],
            "status": "available",
            "subject": {"extension": [{"url": ABSENT, "valueCode": "unknown"}]},  # R4 wants one
        }
        series = [_series(uid, instances) for uid, instances in by_series.items()]
        return study | ({"series": series} if series else {})

    def _device(self) -> dict[str, Any]:
        model = self._content["Model"] or {}
        device: dict[str, Any] = {
            "resourceType": "Device",
            "status": "active",
            "deviceName": [{"name": model.get("Package", "none"), "type": "model-name"}],
        }
        versions = [
            {"type": {"text": name}, "value": str(model[name])} for name in ("WeightsSHA256", "Form") if name in model
        ]
        return device | ({"version": versions} if versions else {})

    def _observation(self, name: str, score: float) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "status": "preliminary",
            "code": {"text": f"Score of the class {name}"},
            "effectiveDateTime": self._content["ClosedAt"],
            "valueQuantity": {"value": round(100 * score, 4), "unit": "%", "system": UNITS, "code": "%"},
            "derivedFrom": [self._reference("study")],
            "device": self._reference("device"),
        }

    def _report(self, observations: Iterable[str]) -> dict[str, Any]:
        content = self._content
        result = [self._reference(name) for name in observations]
        report: dict[str, Any] = {
            "resourceType": "DiagnosticReport",
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": self._urn("report")}],
            "status": "preliminary",
            "category": [{"coding": [RADIOLOGY]}],
            "code": {"coding": [REPORT]},
            "effectiveDateTime": content["ClosedAt"],
            "imagingStudy": [self._reference("study")],
            "conclusion": _conclusion(content),
        }
        return report | ({"result": result} if result else {})

    def _provenance(self, names: Iterable[str]) -> dict[str, Any]:
        return {
            "resourceType": "Provenance",
            "target": [self._reference(name) for name in names],
            "recorded": self._content["ClosedAt"],
            "agent": [{"type": {"coding": [AUTHOR]}, "who": self._reference("device")}],
            "entity": [
                {
                    "role": "source",
                    "what": {"identifier": {"value": self._content["Inputs"]}, "display": self._result_uri},
                }
            ],
        }


def _series(uid: str, instances: Mapping[str, str]) -> dict[str, Any]:
    """Return one series with the slices of it that are evidence, each with its SOP class."""
    modality = "CT" if set(instances.values()) == {CT} else "OT"
    return {
        "uid": uid,
        "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality},
        "instance": [
            {"uid": one, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"}}
            for one, sop_class in instances.items()
        ],
    }


def _conclusion(content: Mapping[str, Any]) -> str:
    answer = content["Class"] or f"no class ({content['Code']})"
    cautions = f" Cautions: {', '.join(content['Cautions'])}." if content["Cautions"] else ""
    withdraws = content["Withdraws"]
    recall = f" Revision {withdraws['Revision']} is withdrawn." if withdraws else ""
    return f"Revision {content['Revision']}: {answer}.{recall}{cautions} {WARNING}"
