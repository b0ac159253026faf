"""The report: whole, self-contained, escaped, with the caveats of its test set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from model_code.evaluation import document as evaluating
from model_code.evaluation.against import Rival, build_compared, level_of
from model_code.evaluation.document import Predictions
from model_code.evaluation.pictures import BurnedIn, ReportPictures
from model_code.evaluation.report import slices
from model_code.evaluation.report.lesson import lesson_of
from model_code.evaluation.report.page import number, render, signed, span
from model_code.evaluation.report.slices import shown_slices
from model_code.evaluation.studies import counts, measured
from model_code.evaluation.training_record import parts_of, training_of
from model_code.evaluation.worst import WorstCase
from model_code.snapshot import Case, Snapshot, Split, SplitBy
from model_code.studies import Study
from tests.studies import made_studies

LABELS = ("normal", "cap", "covid")
VOID = {"meta", "img", "circle", "line", "polyline", "input"}
HISTORY = [
    {"epoch": one, "train_loss": 1 / one, "val_loss": 1.5 / one, "val_balanced_accuracy": 0.3 + one / 10}
    for one in range(1, 6)
]
METADATA = {
    "training": {"hyperparameters": {"epochs": 5, "network": "densenet121"}, "history": HISTORY, "best_epoch": 4},
    "eval_metrics": {"val_balanced_accuracy": 0.85, "val_accuracy": 0.86, "val_loss": 0.4},
}
rng = np.random.default_rng(0)


class Page(HTMLParser):
    """Checks that every element is closed, and collects elements and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.html = html
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def count(self, tag: str, kind: str) -> int:
        return sum(name == tag and values.get("class") == kind for name, values in self.elements)


def made_snapshot(patients: int, split_by: SplitBy = SplitBy.PATIENT, shared: bool = False) -> Snapshot:
    cases = [
        Case(
            line=line,
            name=f"{line:032x}.dcm",
            content_sha256="0" * 64,
            label=LABELS[patient % 3],
            split=Split.TEST if patient < patients else Split.TRAIN,
            patient="p0" if shared and patient >= patients else f"p{patient}",
        )
        for line, patient in enumerate(np.repeat(np.arange(patients + 3), 2).tolist(), start=1)
    ]
    return Snapshot(digest="d" * 64, labels=LABELS, seed=7, split_by=split_by, cases=tuple(cases))


def made_predictions(targets: Any, right: float, name: str = "chest-ct") -> Predictions:
    predicted = np.where(rng.random(len(targets)) < right, targets, (targets + 1) % 3)
    scores = rng.random((len(targets), 3)) + 2 * np.eye(3)[predicted]
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return Predictions({"Name": name, "Version": "1a2b", "WeightsSHA256": "e" * 64}, 1.5, probabilities, probabilities)


def page(
    *,
    patients: int = 12,
    champion: bool = True,
    right: float = 0.8,
    name: str = "chest-ct",
    worst: int = 2,
    left_out: Sequence[WorstCase] = (),
    pictures: ReportPictures = ReportPictures.IF_NO,
    synthetic: tuple[bool, int] = (False, 0),
    unseen: Any = None,
    known: bool = True,
    attempt: int = 1,
    metadata: Any = METADATA,
    abstained: Any = None,
    studies: Sequence[Study] = (),
    **given: Any,
) -> Page:
    snapshot = made_snapshot(patients, **given)
    numbers = np.repeat(np.arange(patients), 2)
    attributes = {
        "PatientSex": ["FM"[one % 2] for one in numbers],
        "Manufacturer": ["<b>ACME & SONS</b>"] * len(numbers),
    }
    test = evaluating.TestSet(LABELS, numbers % 3, numbers, attributes, synthetic[1])
    candidate = replace(made_predictions(test.targets, right, name), synthetic=synthetic[0], abstained=abstained)
    other = made_predictions(test.targets, 0.6, "former")
    rivals = {"Champion": Rival(other, np.ones(len(numbers), bool) if unseen is None else unseen, known=known)}
    rivals = rivals if champion else {}
    document = build_compared(snapshot.digest, test, candidate, rivals, attempt)
    mistakes = [WorstCase(17 + index, "covid", "cap", 0.1, 0.85, BurnedIn.NO, b"picture") for index in range(worst)]
    document |= {"Training": training_of(metadata), "Parts": parts_of(snapshot)}
    if studies:
        document["Cases"]["Studies"] = counts(studies)
        for role in document.keys() & {"Candidate", "Champion"}:
            if document[role]:
                document[role]["Study"] = measured(studies, candidate, LABELS)
    shown = shown_slices(snapshot.of(Split.TEST), test, candidate)
    worst_ones = [*mistakes, *left_out]
    return Page(render(document, snapshot, test, candidate, rivals.get("Champion"), worst_ones, pictures, shown))


def alone(patients: int, of_class: Any, right: float) -> Page:
    """The page of a first model on patients whose classes ``of_class`` gives."""
    snapshot, numbers = made_snapshot(patients), np.repeat(np.arange(patients), 2)
    test = evaluating.TestSet(LABELS, of_class(numbers), numbers, {})
    predictions = made_predictions(test.targets, right)
    document = build_compared("d", test, predictions, {}, 1)
    document |= {"Training": training_of(METADATA), "Parts": parts_of(snapshot)}
    return Page(render(document, snapshot, test, predictions, None, [], ReportPictures.IF_NO, []))


@pytest.fixture(scope="module")
def whole() -> Page:
    return page()


def test_it_loads_nothing_and_runs_nothing(whole: Page) -> None:
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in whole.elements}
    linked = [values[name] for _, values in whole.elements for name in ("src", "href", "srcset") if values.get(name)]
    pictures = [link for link in linked if link and link.startswith("data:image/png;base64,")]
    within = {link[1:] for link in linked if link and link.startswith("#")}
    assert len(pictures) == 2
    assert len(linked) == len(pictures) + sum(bool(link and link.startswith("#")) for link in linked)
    assert within <= {values.get("id") for _, values in whole.elements}
    assert not {"form", "action"} & {name for tag, values in whole.elements for name in (tag, *values)}
    assert not [name for _, values in whole.elements for name in values if name.startswith("on")]


def test_nothing_in_its_style_is_fetched(whole: Page) -> None:
    assert not re.search(r"url\(|@import|https?://|@font-face", whole.html)
    assert "prefers-color-scheme: dark" in whole.html
    assert "@media print" in whole.html


def test_it_shows_every_part(whole: Page) -> None:
    for heading in (
        "Balanced accuracy",
        "Against the champion",
        "Each class against the others",
        "ROC curves",
        "Confusion matrix",
        "Reliability",
        "Subgroups",
        "Worst cases",
        "What the figures mean",
        "What they do not mean",
        "Identity",
    ):
        assert heading in whole.text
    assert "no medical device" in whole.text
    assert whole.count("svg", "plot") == len(LABELS) + 3
    assert whole.count("polyline", "curve candidate") == whole.count("polyline", "curve champion") == len(LABELS)
    assert whole.count("table", "matrix") == 2
    assert sum(tag == "img" for tag, _ in whole.elements) == 2
    assert "line 17 covid taken for cap" in " ".join(whole.text.split())
    assert "d" * 64 in whole.text
    assert "e" * 64 in whole.text


def test_without_a_champion_it_speaks_of_none() -> None:
    alone = page(champion=False)
    assert "champion" not in alone.text.lower()
    assert alone.count("polyline", "curve champion") == 0
    assert alone.count("table", "matrix") == 1


def test_a_model_that_has_seen_phantoms_only_and_artificial_test_slices_are_said_before_any_figure(whole: Page) -> None:
    text = " ".join(page(synthetic=(True, 24)).text.split())
    assert text.index("This model has seen phantoms only") < text.index("Balanced accuracy")
    assert "All test slices are artificial (SyntheticData is YES)" in text
    assert "5 of the 24 test slices are artificial" in page(synthetic=(False, 5)).text
    assert "phantom" not in whole.text
    assert "artificial" not in whole.text


def test_every_text_is_escaped() -> None:
    hostile = page(name="<script>alert(1)</script>\"'")
    assert not any(tag == "script" for tag, _ in hostile.elements)
    assert "<script>alert(1)</script>" in hostile.text
    assert "<b>ACME & SONS</b>" in hostile.text


def without_picture(*stated: BurnedIn) -> list[WorstCase]:
    return [WorstCase(30 + index, "cap", "covid", 0.2, 0.7, one, b"") for index, one in enumerate(stated)]


def test_it_says_how_many_pictures_were_left_out_and_why(whole: Page) -> None:
    left_out = without_picture(BurnedIn.YES, BurnedIn.ABSENT, BurnedIn.ABSENT, BurnedIn.OTHER)
    shown = page(left_out=left_out)
    assert shown.text.count("No picture") == 4
    assert "line 33" in shown.text, "a mistake without its picture is there all the same"
    said = "is YES in 1, is absent in 2, has another value in 1."
    assert f"4 of 6 pictures are left out (report_pictures is if_no): BurnedInAnnotation {said}" in shown.text
    assert "left out" not in whole.text


def test_a_stage_that_shows_no_picture_says_so() -> None:
    shown = page(worst=0, left_out=without_picture(BurnedIn.NO), pictures=ReportPictures.NEVER)
    assert "1 of 1 pictures are left out (report_pictures is never)." in shown.text


def test_a_candidate_without_mistakes_has_no_worst_cases() -> None:
    assert "takes every test slice for what it is labelled" in page(right=1.0, worst=0).text


def test_few_patients_are_named(whole: Page) -> None:
    assert "Few test patients: normal (4), cap (4), covid (4)." in whole.text
    assert "Few test patients" not in page(patients=30).text


def test_of_too_few_patients_it_says_so_instead_of_a_number() -> None:
    text = " ".join(page(patients=9).text.split())
    assert "Too few to say: fewer than 4 test patients of normal, cap, covid." in text
    assert text.count("too few to say") > 10
    assert "too few to say" not in page(patients=30).text.split("What the figures mean")[0]


def test_patients_on_both_sides_are_the_first_caveat() -> None:
    text = page(shared=True, split_by=SplitBy.SLICE).text
    assert "1 of 12 test patients also have slices in the training or validation part." in text
    assert "The split was made by slice" in text
    assert text.index("also have slices") < text.index("Few test patients")


def test_a_champion_that_was_trained_on_test_patients_is_shown_on_the_others_and_the_report_says_on_how_many() -> None:
    numbers = np.repeat(np.arange(12), 2)
    text = page(unseen=numbers >= 3).text
    assert "The champion was trained on 3 of the test patients;" in text
    assert "on the 9 others alone" in text
    seen = page(unseen=numbers < 0)
    assert "The champion was trained on 12 of the test patients;" in seen.text
    assert "trained on" not in page().text
    assert "It is not known what the champion was trained on." in page(known=False).text


def test_the_report_says_how_often_models_were_measured_on_these_patients() -> None:
    assert "No earlier run measured models on these test patients." in page().text
    assert "Attempt 1" not in page().text
    text = " ".join(page(attempt=4).text.split())
    assert "This is attempt 4: models were measured on patients of this test part in 3 earlier runs." in text
    assert "Attempt 4: 3 other run(s) measured models" in text
    assert f"at a level of {level_of(4):.2g} instead of {level_of(1):.2g}" in text


def test_a_class_without_slices_is_undefined_and_has_no_curve() -> None:
    found = alone(8, lambda numbers: numbers % 2, 1.0)
    assert found.count("svg", "plot") == 3 + 2
    assert "no curve" in found.text
    assert "undefined" in found.text


def test_figures_as_text() -> None:
    assert (number(0.856), number(None), signed(0.031), signed(-0.031), signed(None)) == (
        "0.86",
        "undefined",
        "+0.03",
        "\u22120.03",
        "undefined",
    )
    assert span({"Value": 0.5, "Low": 0.25, "High": 0.756}) == "0.25 to 0.76"
    assert span({"Value": 0.5, "Low": None, "High": None}) == ""


@pytest.mark.parametrize(
    ("figure", "text"), [(1.0, "1.00"), (0.9999, "> 0.999"), (0.997, "0.997"), (0.994, "0.99"), (0.0, "0.00")]
)
def test_a_figure_below_1_is_not_said_to_be_1(figure: float, text: str) -> None:
    assert number(figure) == text
    assert span({"Value": 1.0, "Low": figure, "High": 0.999}) == f"{text} to 1.00"


def test_a_difference_that_rounds_to_0_has_no_sign() -> None:
    assert (signed(-0.004), signed(0.004), signed(-0.994)) == ("0.00", "0.00", "\u22120.99")


def test_a_difference_that_the_gate_refuses_does_not_look_like_the_margin() -> None:
    assert (signed(-0.0549, 3), signed(0.0, 3)) == ("\u22120.055", "0.000")


def lesson(found: Page) -> str:
    return " ".join(found.text.split("On the patients it was chosen on")[1].split("Accuracy")[0].split())


def test_the_figure_of_the_patients_it_was_chosen_on_is_beside_that_of_others_and_contradicts_it_in_words() -> None:
    good = page(patients=36, right=0.85)
    assert "0.85 balanced accuracy on the validation part" in lesson(good)
    assert "slices of 36 patients are read right" in lesson(good)
    assert not good.count("section", "lesson alarming")
    best = METADATA | {"eval_metrics": {"val_balanced_accuracy": 1.0}}
    learnt = page(patients=36, right=0.1, metadata=best)
    assert learnt.count("section", "lesson alarming") == 1
    assert "Do not believe the first figure. It is 1.00 on the patients that the model was chosen on" in lesson(learnt)


def test_a_difference_that_the_interval_of_the_test_part_holds_is_no_contradiction() -> None:
    def alarming(high: float) -> bool:
        found = {"ConfusionMatrix": [[2, 2], [2, 2]], "BalancedAccuracy": {"Value": 0.5, "High": high}}
        return lesson_of({"Candidate": found, "Training": training_of(METADATA)}).alarming

    assert alarming(0.8)
    assert not alarming(0.9)


def test_of_too_few_patients_the_lesson_counts_slices_instead_of_a_figure() -> None:
    best = METADATA | {"eval_metrics": {"val_balanced_accuracy": 1.0}}
    found = lesson(page(patients=6, right=0.0, metadata=best))
    assert "too few to say" in found
    assert "and on others read 0 of 12 slices right" in found


def test_it_has_learning_curves_settings_and_the_patients_of_each_part(whole: Page) -> None:
    text = " ".join(whole.text.split())
    assert whole.count("polyline", "learning train") == 1
    assert whole.count("polyline", "learning validation") == 2
    assert "epoch 4 of 5 was kept" in text
    assert '<th scope="row">network</th><td>densenet121</td>' in whole.html
    (tested,) = re.findall(r'<th scope="row">test</th>.*?</tr>', whole.html, re.DOTALL)
    assert re.findall(r"\d+", re.sub(r"<[^>]*>", " ", tested)) == ["12", "24", *["4", "8"] * 3]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"training": None, "eval_metrics": []},
        {"training": {"history": "x", "hyperparameters": [1], "best_epoch": "two"}, "eval_metrics": {"val_loss": "x"}},
        {"training": {"history": [{"epoch": float("nan")}, {"train_loss": 1}, 7], "best_epoch": True}},
    ],
)
def test_an_artifact_without_a_record_of_its_training_is_reported_on_and_the_page_says_what_it_lacks(
    metadata: Any,
) -> None:
    text = page(metadata=metadata).text
    assert "has no figures by epoch, so there are no learning curves" in text
    assert "does not say with which settings it was trained" in text
    assert "says nothing of its validation part" in text
    assert not training_of(metadata)["History"]


def test_of_very_many_epochs_a_part_is_drawn_with_the_last() -> None:
    history = [{"epoch": one, "train_loss": 1.0} for one in range(1, 1502)]
    found = training_of({"training": {"history": history}})
    assert found["Epochs"] == 1501
    assert len(found["History"]) <= 500
    assert found["History"][-1]["Epoch"] == 1501


def rows_of(found: Page) -> list[str]:
    return [str(values["class"]) for tag, values in found.elements if tag == "tr" and "data-line" in values]


def test_every_test_slice_is_in_the_table_and_can_be_filtered_without_a_script() -> None:
    abstained = np.arange(24) < 3
    found = page(abstained=abstained)
    rows = rows_of(found)
    assert len(rows) == 24
    assert sum("abstained" in one for one in rows) == 3
    assert {word for one in rows for word in one.split()} >= {"t0", "t1", "t2", "right", "wrong"}
    for at in range(3):
        assert f".slices:has(#t-{at}:checked) tbody tr:not(.t{at})" in found.html
    ids = {str(values["id"]) for tag, values in found.elements if tag == "input" and "id" in values}
    assert ids == {f"kind-{one}" for one in ("all", "wrong", "right", "abstained", "unsure")} | {
        f"{name}-{at}" for name in "tr" for at in range(3)
    }
    for one in ("wrong", "right", "abstained", "unsure"):
        assert f".slices:has(#kind-{one}:checked)" in found.html
    patients = {values["id"] for tag, values in found.elements if tag == "tbody" and "id" in values}
    assert patients == {f"p-p{one}" for one in range(12)}
    assert ".slices:has(tbody:target) tbody:not(:target)" in found.html


def test_of_very_many_slices_those_that_a_person_looks_for_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MOST_SHOWN", 10)
    rows = rows_of(page(patients=36, right=0.95, abstained=np.arange(72) < 2))
    assert len(rows) == 10
    assert sum("abstained" in one for one in rows) == 2


def test_patients_are_named_by_as_many_digits_as_distinguish_them() -> None:
    snapshot = made_snapshot(6)
    cases = [replace(one, patient=f"{'a' * 20}{one.patient}") for one in snapshot.of(Split.TEST)]
    numbers = np.repeat(np.arange(6), 2)
    test = evaluating.TestSet(LABELS, numbers % 3, numbers, {})
    found = shown_slices(cases, test, made_predictions(test.targets, 0.5))
    assert [one.patient for one in found] == [f"{'a' * 20}p{number}" for number in range(6)]
    assert [len(one.slices) for one in found] == [2] * 6


def test_by_folds_the_lesson_is_that_of_the_model_of_all_beside_the_models_of_the_folds() -> None:
    document = {
        "Candidate": {"ConfusionMatrix": [[3, 1], [0, 4]], "BalancedAccuracy": {"Value": 0.875}},
        "OutOfFold": {"Whole": {"BalancedAccuracy": 1.0}},
    }
    found = lesson_of(document)
    assert (found.validation, found.trained_on, found.right, found.slices) == (1.0, True, 7, 8)
    assert "on the slices that it was trained on, so it is no evidence" in found.sentence


def test_whole_studies_are_reported_on_beside_those_that_are_no_series() -> None:
    few, studies = made_studies(2, slices=9), made_studies(36)[2:]
    contradictory = [replace(studies[0], label=None)]
    text = page(studies=[*few, *contradictory, *studies[1:]]).text
    assert "Whole studies" in text
    assert "33 studies of 33 patients, read as in service" in " ".join(text.split())
    assert "2 studies have fewer than 10 labelled slices and are no series; they begin at line 1, 2" in " ".join(
        text.split()
    )
    assert "1 studies have labels that contradict each other" in text
    assert "not fitted" in text


def test_a_test_part_of_chosen_slices_says_that_no_study_is_measured() -> None:
    text = page(studies=made_studies(9, slices=2), champion=False).text
    assert "label complete series to have these figures" in text
    assert "Whole studies" not in page().text
