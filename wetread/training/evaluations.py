"""Print an evaluation (evaluation/2, or the earlier evaluation/1): tables of values with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from wetread.console import print_table, warn
from wetread.formats import SEEN_SYNTHETIC, SYNTHETIC

TOO_FEW = "too few to say"
Table = tuple[str, Sequence[str], list[tuple[str, ...]]]
"""Title, columns, lines."""


def show(document: Any, *, in_full: bool = False) -> None:
    """Print an evaluation: as a whole, and ``in_full`` by class and subgroup too."""
    try:
        tables = [_overall(document), *(_details(document) if in_full else ())]
        comparison, by_folds = _comparison(document), _by_folds(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        warn(f"Its evaluation is not of the form evaluation/2 or evaluation/1 ({type(error).__name__}: {error}).")
        return
    for title, columns, lines in tables:
        print_table(columns, lines, title=title)
    if by_folds:
        click.echo(f"\n{by_folds}")
    if comparison:
        click.echo(f"\n{comparison}")
    if in_short(document)["Attempt"]:
        click.echo(f"Attempt {in_short(document)['Attempt']} on patients of this test part.")
    if document["Candidate"]["Model"].get("Synthetic"):
        warn(SEEN_SYNTHETIC)


def in_short(document: Any) -> dict[str, Any]:
    """Return the BalancedAccuracy and the Attempt of an evaluation; None where it does not have them."""
    try:
        found = document["Candidate"]["BalancedAccuracy"]
        figure(found)
        return {"BalancedAccuracy": found, "Attempt": document.get("Attempt", {}).get("Number")}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {"BalancedAccuracy": None, "Attempt": None}


def figure(value: Mapping[str, Any]) -> str:
    """Return a figure with its interval: ``0.913 (0.820 to 0.970)``; a missing one is ``undefined``.

    It is ``too few to say`` where too few patients are behind it.
    """
    if value.get("TooFew"):
        return TOO_FEW
    if value["Value"] is None:
        return "undefined"
    if value.get("Low") is None or value.get("High") is None:
        return f"{value['Value']:.3f}"
    return f"{value['Value']:.3f} ({value['Low']:.3f} to {value['High']:.3f})"


def _overall(document: Mapping[str, Any]) -> Table:
    """Return the candidate's figures, beside those of the champion that it was compared with, if any."""
    models = {role: document[role] for role in ("Candidate", "Champion") if document.get(role)}
    calibrations = [model["Calibration"] for model in models.values()]
    lines = [
        ("Model", *(_called(model["Model"]) for model in models.values())),
        ("Balanced accuracy", *(figure(model["BalancedAccuracy"]) for model in models.values())),
        *_validation(document, len(models)),
        ("Accuracy", *(figure(model["Accuracy"]) for model in models.values())),
        *_calibration(calibrations),
        ("Calibration error (ECE)", *(_number(one["ECE"]) for one in calibrations)),
        ("the same, uncalibrated", *(_number(one["ECEUncalibrated"]) for one in calibrations)),
        ("Temperature", *(_number(one["Temperature"]) for one in calibrations)),
        ("Abstained on, of these slices", *(_counted(model, "Abstained") for model in models.values())),
        ("Unsure", *(_counted(model, "Unsure") for model in models.values())),
        *_studies(list(models.values())),
    ]
    cases = document["Cases"]
    title = f"On {cases['Slices']} held-out slices of {cases['Patients']} patients"
    if document.get("OutOfFold"):
        title = f"Out of fold, on {cases['Slices']} slices of {cases['Patients']} patients"
    return title, ("", *models), lines


def _validation(document: Mapping[str, Any], models: int) -> list[tuple[str, ...]]:
    """Return a line on the patients that the candidate was chosen on; none where its artifact does not say."""
    found = document.get("Training", {}).get("Validation", {}).get("BalancedAccuracy")
    if found is None:
        return []
    return [("the same on its validation part, which chose it", _number(found), *["-"] * (models - 1))]


def _calibration(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return lines on the calibration by class; none for an evaluation of an older container."""
    if not all("Error" in one for one in found):
        return []
    return [
        ("Calibration error, chance removed", *(figure(one["Error"]) for one in found)),
        ("Odds that it is too sure", *(f"{one['OddsTooSure']:.2g} : 1" for one in found)),
    ]


def _studies(models: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return lines on whole studies; none where no model was measured on any."""
    found = [model.get("Study") for model in models]
    if not any(found):
        return []
    return [
        ("Studies: balanced accuracy", *(figure(one["BalancedAccuracy"]) if one else "-" for one in found)),
        ("of so many, abstained on", *(f"{one['Studies']}, {one['Abstained']}" if one else "-" for one in found)),
    ]


def _by_folds(document: Mapping[str, Any]) -> str:
    """Return whose figures these are where they are by folds; "" otherwise."""
    found = document.get("OutOfFold")
    if not found:
        return ""
    folds, whole = len(found["Folds"]), found["Whole"]
    return (
        f"These are figures of {folds} models, trained alike on {folds - 1}/{folds} of the patients and tested on the "
        "others; they are not of the model that is promoted, which was trained on all. On these same slices it has a "
        f"balanced accuracy of {_number(whole['BalancedAccuracy'])}, which says only that its training went well."
    )


def _called(model: Mapping[str, Any]) -> str:
    """Return a model's name and version, with a mark if it has seen phantoms only."""
    return " ".join([*([SYNTHETIC] if model.get("Synthetic") else []), model["Name"], model["Version"]])


def _comparison(document: Mapping[str, Any]) -> str:
    """Return a sentence that compares candidate and champion on the same cases; "" for a first model."""
    paired = document.get("Paired")
    if not paired:
        return ""
    values = {name: paired[one] for name, one in (("Value", "Difference"), ("Low", "Low"), ("High", "High"))}
    values |= {"TooFew": paired.get("TooFew")}
    return f"Balanced accuracy, candidate less champion on the same cases: {figure(values)}."


def _details(document: Mapping[str, Any]) -> list[Table]:
    """Return tables of the candidate: by class, its confusion matrix, and its subgroups if any."""
    labels, model = document["Labels"], document["Candidate"]
    by_class, cases = model["Classes"], document["Cases"]["ByClass"]
    classes: list[tuple[str, ...]] = [
        (
            label,
            str(cases[label]["Slices"]),
            str(cases[label]["Patients"]),
            _counted(model, "Abstained", label),
            *(figure(by_class[label][name]) for name in ("Sensitivity", "Specificity", "AUC")),
        )
        for label in labels
    ]
    matrix = zip(labels, model["ConfusionMatrix"], strict=True)
    confusion: list[tuple[str, ...]] = [(label, *(str(number) for number in counts)) for label, counts in matrix]
    subgroups: list[tuple[str, ...]] = [
        (one["Attribute"], one["Value"], str(one["Slices"]), str(one["Patients"]), figure(one["BalancedAccuracy"]))
        for one in model["Subgroups"]
    ]
    tables: list[Table] = [
        ("By class", ("Class", "Slices", "Patients", "Abstained on", "Sensitivity", "Specificity", "AUC"), classes),
        ("Confusion matrix", ("Truth", *(f"read as {label}" for label in labels)), confusion),
    ]
    if subgroups:
        tables.append(("Subgroups", ("Attribute", "Value", "Slices", "Patients", "Balanced accuracy"), subgroups))
    return tables


def _counted(model: Mapping[str, Any], what: str, label: str = "") -> str:
    """Return how many slices, of one class with ``label``, were abstained on or unsure; "-" in an older evaluation."""
    counts = model.get("Abstention")
    if counts is None:
        return "-"
    return str((counts["ByClass"][label] if label else counts)[what])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
