"""The labelled slices of a training channel: manifest.json and the DICOM objects it names.

The manifest is a JSON array of ``{"studyId", "seriesId", "filename", "content": {"type": "classification", "label"}}``.
An object is found by its file name anywhere below the channel.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_code.dicom import HounsfieldArray, decode, read_instance
from model_code.elements import read_elements
from model_code.errors import InstanceError, TrainingError

MANIFEST = "manifest.json"
CONTENT_TYPE = "classification"


@dataclass(frozen=True)
class Case:
    """One labelled slice on disk. ``line`` counts the manifest's entries from 1."""

    line: int
    path: Path
    study_id: str
    label: str


@dataclass(frozen=True)
class Slice:
    """One decoded case; ``patient`` only groups slices and is never written anywhere."""

    hounsfield: HounsfieldArray
    label: str
    patient: str


def read_manifest(channel: Path, labels: tuple[str, ...]) -> list[Case]:
    """Return the manifest's cases, in its order; raise one TrainingError that names every bad entry."""
    manifest = channel / MANIFEST
    if not manifest.is_file():
        raise TrainingError(f"The training channel has no {MANIFEST} at its top; it lists the slices and their labels.")
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{MANIFEST} is not JSON: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise TrainingError(f"{MANIFEST} is not an array of one entry per slice.")
    paths = _paths_by_name(channel)
    cases: list[Case] = []
    problems: list[str] = []
    for line, entry in enumerate(entries, start=1):
        try:
            cases.append(_case(line, entry, paths, labels))
        except ValueError as error:
            problems.append(f"entry {line}: {error}")
    _raise_all(problems)
    return cases


def read_slices(cases: list[Case]) -> Iterator[Slice]:
    """Decode the cases one after another; after the last, raise one TrainingError that names all unreadable ones."""
    problems: list[str] = []
    for case in cases:
        body = case.path.read_bytes()
        try:
            hounsfield = decode(read_instance(body))
            patient = read_elements(body, ("PatientID",)).text("PatientID")
        except InstanceError as error:
            problems.append(f"entry {case.line} ({case.path.name}): {error}")
            continue
        yield Slice(hounsfield, case.label, patient or case.study_id)
    _raise_all(problems)


def _case(line: int, entry: Any, paths: dict[str, list[Path]], labels: tuple[str, ...]) -> Case:
    """Read one entry; raise ValueError that says what is wrong with it."""
    try:
        name, content, study_id = str(entry["filename"]), entry["content"], str(entry["studyId"])
        kind, label = content["type"], content["label"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}" if isinstance(error, KeyError) else "it is not an object") from error
    if kind != CONTENT_TYPE:
        raise ValueError(f"its content type is {kind!r}, not {CONTENT_TYPE!r}")
    if label not in labels:
        raise ValueError(f"its label {label!r} is not one of {', '.join(labels)}")
    found = paths.get(Path(name).name, [])
    # Exporters repeat names such as IM0001 in each series' folder: the entry's own folders then decide.
    belonging = found if len(found) == 1 else [path for path in found if _belongs(path, name, entry)]
    if len(belonging) != 1:
        raise ValueError(f"{name!r} is {f'there {len(found)} times' if found else 'not in the channel'}")
    return Case(line, belonging[0], study_id, label)


def _belongs(path: Path, name: str, entry: dict[str, Any]) -> bool:
    if "/" in name:
        return path.as_posix().endswith(f"/{name}")
    return not {str(entry["studyId"]), str(entry.get("seriesId"))}.isdisjoint(path.parts)


def _paths_by_name(channel: Path) -> dict[str, list[Path]]:
    paths: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(channel.rglob("*")):
        if path.is_file():
            paths[path.name].append(path)
    return dict(paths)


def _raise_all(problems: list[str]) -> None:
    if problems:
        raise TrainingError(f"{len(problems)} bad entries in {MANIFEST}: " + "; ".join(problems) + ".")
