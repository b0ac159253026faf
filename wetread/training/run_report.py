"""Report on a run: every reason for its outcome, what to do next, and where its HTML report is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain import layout
from functions.domain.errors import PromotionRefused
from functions.domain.verdict import DataProblem, LabelProblem, ModelProblem, Places, PromotionProblem, Risk
from wetread.connection import Connection
from wetread.training import documents
from wetread.training.runs import RUNNING, Run

VERDICTS = (layout.refusal_key, layout.data_gate_key, layout.model_gate_key)
CAUSE_FIELDS = ("FailureReason", "ExitMessage", "errorMessage")
CAUSE_ROOM = 600
"""Characters of a failure's cause that are reported; the rest is cut."""


@dataclass(frozen=True)
class Reason:
    """Why a run ended as it did; ``accepted`` when a person accepted this risk by name."""

    code: str
    message: str
    accepted: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], places: Places | None = None) -> Reason:
        """Read one reason of a verdict/1 document or of a run's output; ``places`` name the labels' entries."""
        message = str(document["Message"])
        message = places.naming(message) if places else message
        return cls(str(document["Code"]), message, bool(document["Accepted"]))


def reasons(connection: Connection, run: Run, places: Places | None = None) -> list[Reason]:
    """Return every reason in full: of the labels, both gates and the promotion, accepted risks included.

    ``places`` name the entries of the labels that the run was started with; no document in the cloud has these names.
    """
    bucket = connection.deployment.training_bucket_name
    verdicts = (documents.read(connection, layout.uri(bucket, key(run.run_id))) for key in VERDICTS)
    found = [Reason.of(one, places) for verdict in verdicts if verdict for one in verdict["Reasons"]]
    # The output repeats these, cut short; only the promotion's reasons are nowhere else.
    output = [Reason.of(one, places) for one in run.output.get("Reasons", [])]
    return found + [one for one in output if one.code in set(PromotionProblem)] if found else output


def failure(run: Run) -> str:
    """Return why an execution failed, as Step Functions reports it: the error and its cause."""
    return ". ".join(filter(None, (run.error, _cause(run.cause)))) or "no reason given"


def advice(run: Run, found: Sequence[Reason], called: str) -> list[str]:
    """Return what to do next, in lines; ``called`` is the command line's name, with its options."""
    report = [f"Its report: `{called} runs {run.run_id} --report report.html`."] if run.output.get("ReportUri") else []
    if run.outcome == RUNNING:
        return [f"It still runs. Look again with `{called} runs {run.run_id}`."]
    if run.outcome == "Promoted":
        return [
            *report,
            f"Waiting uploads start by themselves. Its figures: `{called} model show {run.model_package}`.",
        ]
    if run.outcome == "AwaitingApproval":
        return [
            *report,
            f"When you approve it: `{called} model promote {run.model_package}`, or set the version's approval in "
            "SageMaker; the approval promotes it.",
        ]
    if run.outcome == "Rejected":
        return [*report, *_after_rejection(run, found, called)]
    if run.error == PromotionRefused.__name__:
        return [
            f"The champion is what it was. Repair the cause. If `{called} model list` has the candidate, promote it, "
            "without training again; otherwise start the run again."
        ]
    return ["Nothing was promoted. Repair the cause and start the run again."]


def artifact_lines(run: Run, called: str) -> list[str]:
    """Return where a rejected candidate is, and the command that uses it all the same; [] for any other run."""
    if run.outcome != "Rejected" or not run.output.get("EvaluationUri"):
        return []
    responsible = "No gate lets it pass; what it then answers is on your own responsibility."
    if run.model_package:
        return [f"To use the candidate all the same: `{called} model promote {run.model_package}`. {responsible}"]
    bucket, _ = layout.parse_uri(str(run.output["EvaluationUri"]))
    artifact = layout.uri(bucket, layout.candidate_key(run.run_id))
    return [
        f"The candidate's artifact is {artifact}. To use it all the same: `{called} model register {artifact}` makes "
        f"it a version, and `{called} model promote VERSION` the champion. {responsible}"
    ]


def _after_rejection(run: Run, found: Sequence[Reason], called: str) -> list[str]:
    codes = [one.code for one in found if not one.accepted]
    if set(codes) & {*LabelProblem, DataProblem.UNDECODABLE_SLICE}:
        return ["Repair what the reasons name, and train again. Nothing was trained."]
    if codes and set(codes) <= set(Risk) and run.output.get("EvaluationUri"):
        return [
            "The champion is what it was. Label more patients; or, if you understand this risk, accept it by name. "
            "Then a person decides about what is trained next, which is one more attempt on these test patients:",
            f"  {called} {_accepting(run, found)}",
            *artifact_lines(run, called),
        ]
    if codes and set(codes) <= set(Risk):
        return [
            "Nothing was trained: figures on this data would not be honest. Repair the data; or, if you understand "
            "these risks, accept them by name, which is recorded on the model for good:",
            f"  {called} {_accepting(run, found)}",
        ]
    if PromotionProblem.CHAMPION_CHANGED in codes:
        return [
            "Another version became champion meanwhile. Train again, to be compared with that one.",
            *artifact_lines(run, called),
        ]
    if set(codes) & set(ModelProblem):
        return [
            "The champion is what it was. More patients, other labels or other hyperparameters may help.",
            *artifact_lines(run, called),
        ]
    return ["The champion is what it was."]


def _accepting(run: Run, found: Sequence[Reason]) -> str:
    """Return the command that starts a run like this one and accepts every risk that was found."""
    words = ["train", "--labels", str(run.input["LabelsUri"])]
    for code in sorted({one.code for one in found}):
        words += ["--accept-risk", code]
    if run.input.get("Seed"):
        words += ["--seed", str(run.input["Seed"])]
    for name, value in run.input.get("HyperParameters", {}).items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _cause(cause: str) -> str:
    """Return a readable cause: of the JSON document of a failed job or function, the reason alone."""
    try:
        document = json.loads(cause)
    except ValueError:
        document = None
    if isinstance(document, Mapping):
        parts = [str(document[field]) for field in CAUSE_FIELDS if document.get(field)]
        name = next((str(value) for field, value in document.items() if field.endswith("JobName")), "")
        cause = ". ".join([f"Job {name}", *parts]) if name else ". ".join(parts) or cause
    return cause if len(cause) <= CAUSE_ROOM else f"{cause[:CAUSE_ROOM]}…"
