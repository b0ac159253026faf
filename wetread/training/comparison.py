"""Compare two runs: what differs in settings, in data, and in figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from functions.domain import layout
from wetread.connection import Connection
from wetread.training import documents, evaluations
from wetread.training.runs import Run

PARTS = ("train", "validation", "test")
OWN = frozenset({"model_version", "seed"})
"""Hyperparameters that the workflow sets: the run's own id, and the seed, which the input has."""
Table = tuple[str, Sequence[str], list[tuple[str, ...]]]
"""Title, columns, lines."""


def settings(run: Run, evaluation: Any) -> dict[str, str]:
    """Return a run's settings by name: those that training recorded, else those that the run was started with."""
    asked = run.input
    recorded = _part(evaluation, "Training", "Hyperparameters") or asked.get("HyperParameters", {})
    found = {str(name): f"{value}" for name, value in recorded.items() if name not in OWN}
    return found | {
        "seed": str(asked.get("Seed", 0)),
        "labels": str(asked.get("LabelsUri", "")),
        "accepted risks": ", ".join(asked.get("AcceptedRisks", [])) or "none",
    }


def compared(connection: Connection, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the differences of two runs: Settings, Data and Figures, and Notes on what may not be compared."""
    bucket = connection.deployment.training_bucket_name
    evaluated = [documents.read(connection, str(run.output.get("EvaluationUri", ""))) for run in runs]
    taken = [documents.read(connection, layout.uri(bucket, layout.snapshot_key(run.run_id))) for run in runs]
    of_settings = [settings(run, evaluation) for run, evaluation in zip(runs, evaluated, strict=True)]
    names = list(dict.fromkeys([*of_settings[0], *of_settings[1]]))
    data = _data(taken)
    return {
        "Runs": [run.run_id for run in runs],
        "Settings": [
            {"Name": name, "Values": [one.get(name) for one in of_settings]}
            for name in names
            if of_settings[0].get(name) != of_settings[1].get(name)
        ],
        "Data": data,
        "Figures": [{"Name": name, "Values": values} for name, values in _figures(evaluated)],
        "Notes": _notes(runs, evaluated, data),
    }


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the differences as tables."""
    first, second = found["Runs"]
    settings_lines = [(one["Name"], *(_text(value) for value in one["Values"])) for one in found["Settings"]]
    data = found["Data"]
    parts = [
        (part, *(_counted(data["Parts"][part], at) for at in ("First", "Second", "Both"))) for part in PARTS if data
    ]
    figures = [(one["Name"], *one["Values"]) for one in found["Figures"]]
    return [
        ("Settings that differ", ("", first, second), settings_lines or [("none", "", "")]),
        *([("Patients / slices", ("Part", first, second, "in both"), parts)] if data else []),
        ("Figures on each run's own test part", ("", first, second), figures),
    ]


def _data(taken: Sequence[Any]) -> dict[str, Any]:
    """Return how two snapshots differ; {} unless both are there. A slice is known by the digest of its bytes."""
    if not all(isinstance(one, dict) for one in taken):
        return {}
    entries = [{str(one["ContentSHA256"]): one for one in snapshot["Slices"]} for snapshot in taken]
    shared = entries[0].keys() & entries[1].keys()

    def differs(name: str) -> int:
        return sum(entries[0][one][name] != entries[1][one][name] for one in shared)

    return {
        "Same": taken[0]["Digest"] == taken[1]["Digest"],
        "OnlyFirst": len(entries[0].keys() - shared),
        "OnlySecond": len(entries[1].keys() - shared),
        "Relabelled": differs("Label"),
        "InAnotherPart": differs("Split"),
        "Parts": {part: _shared_part(entries, part) for part in PARTS},
    }


def _shared_part(entries: Sequence[Mapping[str, Any]], part: str) -> dict[str, dict[str, int]]:
    slices = [{name for name, one in each.items() if one["Split"] == part} for each in entries]
    patients = [{each[name]["Patient"] for name in some} for each, some in zip(entries, slices, strict=True)]
    both = {"Patients": len(patients[0] & patients[1]), "Slices": len(slices[0] & slices[1])}
    first, second = ({"Patients": len(ids), "Slices": len(some)} for ids, some in zip(patients, slices, strict=True))
    return {"First": first, "Second": second, "Both": both}


def _figures(evaluated: Sequence[Any]) -> Iterable[tuple[str, list[str]]]:
    """Yield names and texts of figures that at least one evaluation has."""
    wanted: dict[str, tuple[str, ...]] = {
        "balanced accuracy": ("Candidate", "BalancedAccuracy"),
        "accuracy": ("Candidate", "Accuracy"),
        "calibration error": ("Candidate", "Calibration", "Error"),
        "less the champion": ("Paired",),
        "on its validation part": ("Training", "Validation", "BalancedAccuracy"),
        "share that is answered": ("Candidate", "Abstention", "Coverage"),
        "test patients": ("Cases", "Patients"),
        "attempt": ("Attempt", "Number"),
    }
    labels = dict.fromkeys(label for one in evaluated if one for label in one.get("Labels", []))
    for label in labels:
        for name in ("Sensitivity", "Specificity", "AUC"):
            wanted[f"{name if name == 'AUC' else name.lower()} for {label}"] = ("Candidate", "Classes", label, name)
    for name, path in wanted.items():
        values = [_figure(_part(one, *path)) for one in evaluated]
        if any(value != "-" for value in values):
            yield name, values


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        given = value | {"Value": value.get("Value", value.get("Difference"))}
        return evaluations.figure(given)
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"


def _notes(runs: Sequence[Run], evaluated: Sequence[Any], data: Mapping[str, Any]) -> list[str]:
    notes = [f"Run {run.run_id} has no evaluation." for run, one in zip(runs, evaluated, strict=True) if not one]
    if not data:
        return [*notes, "The snapshots of both runs are not there, so what differs in their data is not known."]
    if data["Same"]:
        notes.append("Both runs had the same slices, labels and parts.")
    else:
        notes.append(
            f"Slices in the first run alone: {data['OnlyFirst']}, in the second alone: {data['OnlySecond']}; of those "
            f"in both {data['Relabelled']} have another label, and {data['InAnotherPart']} are in another part."
        )
    tested = data["Parts"]["test"]
    same = tested["First"] == tested["Second"] == tested["Both"] and not data["Relabelled"]
    if same:
        notes.append(
            "Both were measured on the same test slices. Whether one is better takes the comparison slice by slice, "
            "which a run makes with the champion alone: intervals that overlap say nothing about it."
        )
    else:
        notes.append("They were measured on different test slices, so the figures do not say which model is better.")
    return notes


def _counted(part: Mapping[str, Any], which: str) -> str:
    return f"{part[which]['Patients']} / {part[which]['Slices']}"


def _text(value: str | None) -> str:
    return "-" if value is None else value


def _part(document: Any, *path: str) -> Any:
    """Return what lies at a path in a document; None if anything on the way is missing."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document
