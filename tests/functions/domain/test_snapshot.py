"""A snapshot's digest covers everything that it pins and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.domain import snapshot
from functions.domain.errors import MalformedDocument
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Source, SplitBy

SLICE = LabelledSlice(
    line=2,
    name=f"{'ab' * 16}.dcm",
    version_id="v1",
    content_sha256="cd" * 32,
    label="covid",
    split=Split.TEST,
    patient="ef" * 16,
    study_instance_uid="1.2",
    series_instance_uid="1.2.3",
)


def document(created_at: str = "2026-11-23T00:00:00.000Z") -> dict[str, Any]:
    source = Source(uri="s3://t/cohorts/c/labels.csv", version_id="m1", sha256="12" * 32)
    return snapshot.document_of(
        [SLICE], labels=["normal", "covid"], seed=7, split_by=SplitBy.PATIENT, source=source, created_at=created_at
    )


def test_the_document_is_the_contracts() -> None:
    written = json.loads(json.dumps(document()))
    assert written.pop("Digest")
    assert written == {
        "Schema": "snapshot/1",
        "CreatedAt": "2026-11-23T00:00:00.000Z",
        "Labels": ["normal", "covid"],
        "Seed": 7,
        "SplitBy": "Patient",
        "Source": {"Uri": "s3://t/cohorts/c/labels.csv", "VersionId": "m1", "SHA256": "12" * 32},
        "Slices": [
            {
                "Line": 2,
                "Slice": f"{'ab' * 16}.dcm",
                "VersionId": "v1",
                "ContentSHA256": "cd" * 32,
                "Label": "covid",
                "Split": "test",
                "Patient": "ef" * 16,
                "StudyInstanceUID": "1.2",
                "SeriesInstanceUID": "1.2.3",
            }
        ],
    }


def test_the_digest_is_that_of_the_canonical_json() -> None:
    written = json.loads(json.dumps(document()))
    pinned = {name: value for name, value in written.items() if name not in {"Digest", "CreatedAt"}}
    canonical = json.dumps(pinned, sort_keys=True, separators=(",", ":"))
    assert written["Digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert document("another day")["Digest"] == written["Digest"]


def test_it_is_read_back() -> None:
    written = json.loads(json.dumps(document()))
    found = snapshot.parse(written, written["Digest"])
    assert (found.slices, found.labels, found.split_by) == ((SLICE,), ("normal", "covid"), SplitBy.PATIENT)
    assert found.places.begin([3]) == "Line 3"


def test_what_was_labelled_in_json_is_called_entries() -> None:
    written = document()
    written["Source"]["Uri"] = "s3://t/cohorts/c/manifest.json"
    written["Digest"] = snapshot.digest_of(written)
    assert snapshot.parse(written, written["Digest"]).places.begin([3]) == "Entry 3"


@pytest.mark.parametrize("field", ["Labels", "Seed", "SplitBy", "Source", "Slices"])
def test_a_snapshot_that_was_changed_is_refused(field: str) -> None:
    written = json.loads(json.dumps(document()))
    with pytest.raises(MalformedDocument, match="changed after it was taken"):
        snapshot.parse(written | {field: None}, written["Digest"])


def test_a_sound_snapshot_of_another_run_is_refused() -> None:
    with pytest.raises(MalformedDocument, match="the run is about 000000000000"):
        snapshot.parse(document(), "0" * 64)


@pytest.mark.parametrize("broken", [None, [], {}, {"Schema": "snapshot/2"}])
def test_a_document_that_is_not_a_snapshot_is_refused(broken: Any) -> None:
    with pytest.raises(MalformedDocument):
        snapshot.parse(broken, "0" * 64)
