"""Renders the report from the evaluation/2 document and the predictions behind its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model_code.calibration import TIE
from model_code.evaluation import statistics
from model_code.evaluation.against import Rival
from model_code.evaluation.bootstrap import COVERAGE
from model_code.evaluation.document import Predictions, TestSet
from model_code.evaluation.intervals import FEWEST_PATIENTS
from model_code.evaluation.pictures import BurnedIn, ReportPictures
from model_code.evaluation.report import charts, learning
from model_code.evaluation.report.lesson import lesson_of
from model_code.evaluation.report.notes import notes
from model_code.evaluation.report.png import data_uri
from model_code.evaluation.report.slices import ShownPatient
from model_code.evaluation.worst import WorstCase
from model_code.snapshot import Snapshot

FOLDER = Path(__file__).parent
TEMPLATE = "page.html.j2"
UNDEFINED, TOO_FEW = "undefined", "too few to say"


def render(
    document: Mapping[str, Any],
    snapshot: Snapshot,
    test: TestSet,
    candidate: Predictions,
    champion: Rival | None,
    worst: Sequence[WorstCase],
    pictures: ReportPictures,
    patients: Sequence[ShownPatient],
) -> str:
    """Return the report as one HTML text that loads nothing; every text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "value": value,
        "span": span,
        "signed": signed,
        "odds": odds,
        "png": data_uri,
    }
    environment.globals |= {"interval": charts.interval}
    training = document["Training"]
    drawn = [
        draw(training["History"], training["BestEpoch"]) for draw in (learning.losses, learning.balanced_accuracies)
    ]
    return environment.get_template(TEMPLATE).render(
        document=document,
        snapshot=snapshot,
        notes=notes(document, snapshot, test),
        curves=[_roc(label, document, test, candidate, champion) for label in test.labels],
        reliability=charts.reliability("Confidence and accuracy", document["Candidate"]["Calibration"]["Bins"]),
        subgroups=_subgroups(document),
        lesson=lesson_of(document),
        parts=document["Parts"],
        training=training,
        curves_of_training=[one for one in drawn if one],
        patients=patients,
        shown=sum(len(one.slices) for one in patients),
        worst=worst,
        withheld=_withheld(worst, pictures),
        chance=1 / len(test.labels),
        fewest=FEWEST_PATIENTS,
        coverage=COVERAGE,
        tie=TIE,
    )


def number(value: float | None) -> str:
    """Return a figure with two decimals, and with a third where 1.00 would claim that nothing was wrong."""
    if value is None:
        return UNDEFINED
    if value >= 1 or f"{value:.2f}" != "1.00":
        return f"{value:.2f}"
    return f"{value:.3f}" if f"{value:.3f}" != "1.000" else "> 0.999"


def value(figure: Mapping[str, Any]) -> str:
    """Return a figure's value as ``number`` does; "too few to say" where too few patients are behind it."""
    return TOO_FEW if figure["TooFew"] else number(figure["Value"])


def signed(value: float | None, decimals: int = 2) -> str:
    """Return a difference with its sign; what rounds to 0 has none."""
    if value is None:
        return UNDEFINED
    found = f"{value:+.{decimals}f}".replace("-", "\u2212")
    return found[1:] if round(value, decimals) == 0 else found


def odds(value: float) -> str:
    """Return how many times better softer probabilities predict the labels."""
    return f"{value:,.0f} : 1" if value >= 1 else "no sign of it"


def span(figure: Mapping[str, float | None]) -> str:
    """Return an interval as text, "" if there is none; an upper end may be rounded up to 1.00."""
    if figure["Low"] is None or figure["High"] is None:
        return ""
    return f"{number(figure['Low'])} to {figure['High']:.2f}"


def _roc(
    label: str, document: Mapping[str, Any], test: TestSet, candidate: Predictions, champion: Rival | None
) -> dict[str, Any]:
    """Return one class's ROC plot; None as its SVG if the class, or every other class, has no slices."""
    index = test.labels.index(label)
    positive = test.targets == index
    if positive.all() or not positive.any():
        return {"label": label, "svg": None}

    def curve(predictions: Predictions) -> charts.Curve:
        return statistics.roc_curve(predictions.probabilities[:, index], positive)

    def champions() -> charts.Curve | None:
        """Return the champion's curve, on the patients that its figures are of."""
        if champion is None:
            return None
        rows = champion.unseen if champion.unseen.any() else ~champion.unseen
        if positive[rows].all() or not positive[rows].any():
            return None
        return statistics.roc_curve(champion.predictions.probabilities[rows, index], positive[rows])

    called = document["Candidate"]["ConfusionMatrix"]
    alarms = sum(row[index] for other, row in enumerate(called) if other != index)
    at = alarms / int((~positive).sum()), called[index][index] / int(positive.sum())
    svg = charts.roc(f"ROC curve for {label}", curve(candidate), champions(), at)
    return {"label": label, "svg": svg}


def _subgroups(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the candidate's subgroups with the champion's figures on the same slices, None without a champion."""
    champion, nothing = document["Champion"], {"Value": None, "Low": None, "High": None, "TooFew": False}
    subgroups = champion["Subgroups"] if champion else []
    theirs = {(one["Attribute"], one["Value"]): one["BalancedAccuracy"] for one in subgroups}
    return [
        subgroup | {"Champion": theirs.get((subgroup["Attribute"], subgroup["Value"]), nothing) if champion else None}
        for subgroup in document["Candidate"]["Subgroups"]
    ]


def _withheld(worst: Sequence[WorstCase], pictures: ReportPictures) -> str:
    """Return how many pictures were left out and why, as a sentence; "" if all are shown."""
    left_out = [one.burned_in for one in worst if not one.picture]
    if not left_out:
        return ""
    start = f"{len(left_out)} of {len(worst)} pictures are left out (report_pictures is {pictures})"
    if pictures is ReportPictures.NEVER:
        return f"{start}."
    causes = ", ".join(f"{value} in {left_out.count(value)}" for value in BurnedIn if value in left_out)
    return f"{start}: BurnedInAnnotation {causes}."
