"""Format and parse values for people: identifiers, ages, probabilities, `--since`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from functions.domain.lane import lane_of
from functions.domain.row import NAMES, Row, moment_of, timestamp

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

CSV_COLUMNS = (
    "UploadId",
    "Key",
    "VersionId",
    "ReceivedAt",
    "CompletedAt",
    "Status",
    "Code",
    "Reason",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "PredictedClass",
    "Probability",
    "ModelPackage",
    "WithdrawnAt",
    "TransformJobName",
    "Attempt",
    "Repairs",
    "Modality",
    "Size",
    "PatientHash",
    "ContentSHA256",
    "TimingsMs",
    "Rows",
    "Columns",
    "Probabilities",
    "SOPClassUID",
    "TransferSyntaxUID",
    "UpdatedAt",
    "Sequencer",
    "RetryGroup",
    "CollectTries",
    "CollectTriedAt",
    "BatchId",
    "PredictionKey",
    "RequeuedAt",
    "ExpiresAt",
    "Notes",
    "PredictionNotes",
    "Typicality",
    "Unsure",
    "Synthetic",
    "InstanceNumber",
    "AcquisitionNumber",
    "SlicePosition",
    "PictureType",
    "QualityControl",
    "Lane",
)
"""All attributes of a row. Programs may count columns, so add new ones at the end."""
TABLE_COLUMNS = ("Age", "Key", "Study/Series/Instance", "Status", "Result", "Repairs", "Notes", "Lane")
ELASTIC_COLUMNS = ("Key", "Result")
ABSTAINED = "abstained: unlike its training"
SYNTHETIC = "SYNTHETIC"
"""Marks what a model answered that was trained on synthetic slices alone."""
SEEN_SYNTHETIC = (
    f"{SYNTHETIC}: this model has seen phantoms only, artificial slices without a patient. Its answers show that the "
    "service works; about a person they say nothing."
)


def short(text: str | None, room: int = 6) -> str:
    """Return the end of an identifier, where identifiers differ: ``…41883``."""
    if not text:
        return "-"
    return text if len(text) <= room else f"…{text[1 - room :]}"


def short_key(key: str, room: int = 44) -> str:
    """Return an object key with its middle left out when it is long."""
    if len(key) <= room:
        return key
    head = (room - 1) // 3
    return f"{key[:head]}…{key[head + 1 - room :]}"


def ago(moment: str | None, now: datetime) -> str:
    """Return how long ago a row's timestamp was, in one unit: ``12 s``, ``3 min``, ``5 h``, ``9 d``."""
    return span((now - moment_of(moment)).total_seconds()) if moment else "-"


def span(seconds: float) -> str:
    """Return a duration in the largest unit that leaves a whole number above one."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // divisor))} {unit}"
    return f"{int(seconds // 86400)} d"


def since(text: str, now: datetime) -> str:
    """Return the row timestamp of ``2h``, ``30m``, ``7d``, a date or a date with time (local by default).

    Raises ValueError for anything else.
    """
    if match := re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.strip()):
        return timestamp(now - timedelta(seconds=int(match[1]) * UNITS[match[2]]))
    try:
        return timestamp(datetime.fromisoformat(text.strip()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time") from None


def result(row: Row) -> str:
    """Return the predicted class with its probability in percent; for a row without one, its code.

    A model that abstained, or was unsure which of two classes it is, says that instead. An answer whose model version
    was withdrawn says so first, then one whose model has seen phantoms only; a code is no answer of a model.
    """
    if row.abstained:
        said = ABSTAINED
    elif row.predicted_class is None:
        said = row.code or "-"
    else:
        said = read_as(row.predicted_class, row.probabilities, unsure=bool(row.unsure))
    answered = row.abstained or row.predicted_class is not None
    marks = (("WITHDRAWN", row.withdrawn_at and answered), (SYNTHETIC, row.synthetic and answered))
    return " ".join([*(mark for mark, applies in marks if applies), said])


def read_as(predicted: str, probabilities: Mapping[str, float], *, unsure: bool) -> str:
    """Return a class with its probability in percent; both of the highest two where the model is unsure."""
    if not unsure:
        return f"{predicted} {100 * probabilities.get(predicted, 0):.1f} %"
    highest = sorted(probabilities, key=lambda name: (name != predicted, -probabilities[name]))[:2]
    return f"unsure: {' or '.join(f'{name} {100 * probabilities[name]:.1f} %' for name in highest)}"


def table_line(row: Row, now: datetime) -> tuple[str, ...]:
    """Return a row for people, in TABLE_COLUMNS; the status stays bare."""
    identifiers = (row.study_instance_uid, row.series_instance_uid, row.sop_instance_uid)
    return (
        ago(row.received_at, now),
        short_key(row.key),
        "/".join(map(short, identifiers)),
        row.status,
        result(row),
        str(len(row.repairs) or "-"),
        str(len(notes(row)) or "-"),
        lane_of(row) or "-",
    )


def notes(row: Row) -> set[str]:
    """Return what a person should know of the picture: of ingest and of the model, each sentence once."""
    return {*row.notes, *row.prediction_notes}


def sentences(rows: Sequence[Row]) -> dict[str, int]:
    """Return the repairs and notes of rows, each with the number of rows that have it, the most frequent first."""
    counted = Counter(sentence for row in rows for sentence in {*row.repairs, *notes(row)})
    return dict(counted.most_common())


def json_document(row: Row) -> dict[str, object]:
    """Return a row for programs, complete. Its lane is there once a batch has claimed it; rows name only express."""
    lane = lane_of(row)
    return row.to_json() | ({NAMES["lane"]: str(lane)} if lane else {})


def csv_line(row: Row) -> dict[str, object]:
    """Return a row for programs, in CSV_COLUMNS: nothing shortened, sentences joined by ``; ``, mappings as JSON."""
    document = json_document(row)
    lists = {"Repairs": row.repairs, "Notes": row.notes, "PredictionNotes": row.prediction_notes}
    document |= {name: "; ".join(values) for name, values in lists.items()}
    document |= {name: json.dumps(value) for name, value in document.items() if isinstance(value, dict)}
    if row.predicted_class:
        document["Probability"] = row.probabilities.get(row.predicted_class)
    return document
