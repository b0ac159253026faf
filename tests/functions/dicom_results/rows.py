"""A study/1 document and the rows of its uploads, about the study of ``studies``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.uid import CTImageStorage

from functions.domain.row import Row, Status
from tests.functions.dicom_results.studies import MODEL, SERIES, SLICES_OF_A_SERIES, STUDY

SCORES = {"normal": 0.09, "cap": 0.02, "covid": 0.91}
UPLOADS = tuple(f"upload-{n}" for n in range(2 * SLICES_OF_A_SERIES))


def rows(changes: Mapping[int, Mapping[str, Any]] | None = None) -> dict[str, Row]:
    """Return the rows of the study's uploads by id; ``changes`` set fields of a row by its number."""
    found = {}
    for place, upload in enumerate(UPLOADS):
        series, number = divmod(place, SLICES_OF_A_SERIES)
        fields: dict[str, Any] = {
            "upload_id": upload,
            "key": f"in/{upload}.dcm",
            "version_id": "v1",
            "size": 10_000,
            "updated_at": "2026-01-02T11:30:00.000Z",
            "status": Status.COMPLETED,
            "study_instance_uid": STUDY,
            "series_instance_uid": SERIES[series],
            "sop_instance_uid": f"{SERIES[series]}.{number + 1}",
            "sop_class_uid": str(CTImageStorage),
            "rows": 64,
            "columns": 64,
            "instance_number": number + 1,
            "patient_hash": "one",
        }
        found[upload] = Row(**(fields | dict((changes or {}).get(place, {}))))
    return found


def document(**changes: Any) -> dict[str, Any]:
    """Return revision 1 of the study's read; ``changes`` set its fields."""
    evidence = {"covid": [_slice(n) for n in (8, 9, 10)], "cap": [_slice(6)]}
    return {
        "Schema": "study/1",
        "StudyInstanceUID": STUDY,
        "Revision": 1,
        "Previous": None,
        "ClosedAt": "2026-01-02T11:30:15.000Z",
        "CloseReason": "Quiet",
        "Coverage": "Unknown",
        "Code": None,
        "Class": "covid",
        "Scores": SCORES,
        "Counts": {"Members": 12, "Read": 12},
        "Model": {"Package": MODEL.package, "WeightsSHA256": MODEL.weights_sha256, "Form": MODEL.form},
        "Aggregation": {"Rule": "top_mean", "K": 3, "Thresholds": {}, "Reference": "normal", "Fitted": False},
        "Evidence": evidence,
        "Series": [
            {"SeriesInstanceUID": None, "Included": False, "Counts": {}, "Why": {"NotServed": 1}},
            {"SeriesInstanceUID": SERIES[0], "Included": True, "Counts": {}, "Why": {}},
            {"SeriesInstanceUID": SERIES[1], "Included": True, "Counts": {}, "Scores": SCORES, "Evidence": evidence},
        ],
        "Conflicts": [],
        "Gaps": [],
        "Missing": [],
        "Cautions": [],
        "Uploads": {"Read": list(UPLOADS)},
        "Inputs": "digest",
    } | changes


def _slice(place: int) -> dict[str, Any]:
    return {"UploadId": UPLOADS[place], "Probability": 0.9}
