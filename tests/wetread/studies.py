"""Studies that are closed, for commands that wait for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from functions.domain.row import timestamp
from functions.domain.study import CloseReason, Revision

STUDY_OF_ROWS = "2.25.111111111111"
"""The study of the rows that conftest makes."""


def close(connection: Any, study: str, label: str = "covid") -> None:
    """Close a study with a revision and its document, as the sweep does."""
    now, number = datetime.now(UTC), 1
    connection.studies.arrived(study, now, 1)
    content = {"Class": label, "Code": None, "Scores": {label: 0.75}, "Counts": {"Members": 9, "Read": 8}}
    content |= {"ClosedAt": timestamp(now), "Cautions": ["FewSlices"], "Evidence": {}}
    key = f"studies/{study}-{label}.json"
    connection.s3.objects["results", key] = json.dumps(content).encode()
    revision = Revision(
        study_instance_uid=study,
        number=number,
        created_at=timestamp(now),
        close_reason=CloseReason.MARKER,
        coverage="Complete",
        code="",
        model_package="wetread/3",
        predicted_class=label,
        scores={},
        counts={},
        inputs="",
        result_key=key,
    )
    connection.studies.close(connection.studies.get(study), revision, now)
