"""Make the channels of a training or processing job by hand: pinned slices and their snapshot/1 document."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.demo.phantoms import LABELS, phantom_bytes

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Labelled:
    """One slice of a snapshot: the DICOM file's bytes and its entry in the snapshot; ``fold`` is 0 without folds.

    ``label`` may be "" if its study has a label.
    """

    body: bytes
    label: str
    patient: str
    split: str
    fold: int = 0
    study_label: str = ""


def write_snapshot(folder: Path, slices: Sequence[Labelled], labels: Sequence[str] = LABELS, **changes: Any) -> Path:
    """Write ``folder``/slices/<32 hex>.dcm and ``folder``/snapshot/snapshot.json; return the latter's path.

    ``folder`` is ``input/data`` below a training job's base folder, ``processing/input`` below a processing job's.
    ``changes`` replace fields of the document before it gets its digest.
    """
    (folder / "slices").mkdir(parents=True)
    (folder / "snapshot").mkdir()
    entries = []
    for line, one in enumerate(slices, start=1):
        name = f"{hashlib.sha256(f'cohort/{line}'.encode()).hexdigest()[:32]}.dcm"
        (folder / "slices" / name).write_bytes(one.body)
        entries.append(
            {
                "Line": line,
                "Slice": name,
                "VersionId": f"v{line}",
                "ContentSHA256": hashlib.sha256(one.body).hexdigest(),
                "Label": one.label,
                "Split": one.split,
                "Patient": hashlib.sha256(one.patient.encode()).hexdigest()[:32],
                "StudyInstanceUID": f"2.25.{one.patient.encode().hex()}",
                "SeriesInstanceUID": f"2.25.{one.patient.encode().hex()}.1",
            }
            | ({"Fold": one.fold} if one.fold else {})
            | ({"StudyLabel": one.study_label} if one.study_label else {})
        )
    document = {
        "Schema": "snapshot/1",
        "Labels": list(labels),
        "Seed": 0,
        "SplitBy": "Patient",
        "Source": {"Uri": "s3://training/cohorts/made/manifest.json", "VersionId": "v0", "SHA256": "0" * 64},
        "Slices": entries,
        **({"Folds": max(one.fold for one in slices)} if any(one.fold for one in slices) else {}),
    } | changes
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    path = folder / "snapshot" / "snapshot.json"
    path.write_text(
        json.dumps(
            document | {"Digest": hashlib.sha256(canonical).hexdigest(), "CreatedAt": "2026-01-01T00:00:00.000Z"}
        )
    )
    return path


def phantom_slices(patients: int = 9, slices_per_patient: int = 2, size: int = 128, seed: int = 0) -> list[Labelled]:
    """Return phantoms; patients get the classes in turn, and each class's patients the splits in turn."""
    made: list[Labelled] = []
    dealt: Counter[str] = Counter()
    for patient in range(patients):
        label = LABELS[patient % len(LABELS)]
        split = SPLITS[dealt[label] % len(SPLITS)]
        dealt[label] += 1
        made += [
            Labelled(phantom_bytes(label, patient, number, size=size, seed=seed), label, f"P{patient}", split)
            for number in range(slices_per_patient)
        ]
    return made
