"""An event is small whatever a model's classes are, and has the same id each time."""

from __future__ import annotations

import json
from typing import Any

from functions.domain.study_event import MOST_BYTES, StudyEvents, event_id

KEY = "studies/0a1b/000001-2c3d.json"
DOCUMENT: dict[str, Any] = {
    "StudyInstanceUID": "1.2.840.99.1",
    "Revision": 1,
    "ClosedAt": "2026-11-29T18:00:00.000Z",
    "CloseReason": "Quiet",
    "Coverage": "Unknown",
    "Class": "covid",
    "Code": None,
    "Scores": {"normal": 0.2, "covid": 0.8},
    "Cautions": [],
    "Counts": {"Members": 3, "Read": 3},
    "Model": {"Package": "wetread/1"},
    "Withdraws": None,
}


def test_an_event_of_a_model_with_very_many_classes_is_small_and_has_the_highest_scores() -> None:
    scores = {f"{number:04d}{'ж' * 60}": number / 1000 for number in range(1000)}
    event = StudyEvents(results_bucket="b").of({**DOCUMENT, "Class": "ж" * 64, "Scores": scores}, KEY)
    assert len(event.detail.encode()) < MOST_BYTES
    kept = json.loads(event.detail)["Scores"]
    assert 5 < len(kept) < 1000
    assert min(kept.values()) > max(score for name, score in scores.items() if name not in kept)


def test_two_revisions_have_two_ids_and_one_has_one() -> None:
    assert event_id(KEY) == event_id(KEY) != event_id(KEY.replace("000001", "000002"))
