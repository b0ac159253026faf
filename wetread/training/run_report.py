"""The account of a run: every reason for how it ended, what to do next, and where its report is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain import layout
from functions.domain.verdict import DataProblem, LabelProblem, ModelProblem, PromotionProblem, Risk
from wetread.connection import Connection
from wetread.training import documents
from wetread.training.runs import RUNNING, Run

VERDICTS = (layout.refusal_key, layout.data_gate_key, layout.model_gate_key)
CAUSE_FIELDS = ("FailureReason", "ExitMessage", "errorMessage")
CAUSE_ROOM = 600
"""Characters of a failure's cause that are told."""


@dataclass(frozen=True)
class Reason:
    """Why a run ended as it did; ``accepted`` when a person accepted this risk by name."""

    code: str
    message: str
    accepted: bool

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Reason:
        """Read one reason of a verdict/1 document or of a run's output."""
        return cls(str(document["Code"]), str(document["Message"]), bool(document["Accepted"]))


def reasons(connection: Connection, run: Run) -> list[Reason]:
    """Every reason, whole: of the labels, of both gates and of the promotion; accepted risks among them."""
    bucket = connection.deployment.training_bucket_name
    verdicts = (documents.read(connection, layout.uri(bucket, key(run.run_id))) for key in VERDICTS)
    told = [Reason.of(one) for verdict in verdicts if verdict for one in verdict["Reasons"]]
    # The output repeats these, cut short; only the promotion's reasons stand nowhere else.
    output = [Reason.of(one) for one in run.output.get("Reasons", [])]
    return told + [one for one in output if one.code in set(PromotionProblem)] if told else output


def failure(run: Run) -> str:
    """Why an execution failed, as far as Step Functions knows: the error and its cause."""
    return ". ".join(filter(None, (run.error, _cause(run.cause)))) or "no reason given"


def advice(run: Run, found: Sequence[Reason], called: str) -> list[str]:
    """What to do next, a line each; ``called`` is how the command line is called here."""
    report = [f"Its report: `{called} runs {run.run_id} --report report.html`."] if run.output.get("ReportUri") else []
    if run.outcome == RUNNING:
        return [f"It goes on. Look again with `{called} runs {run.run_id}`."]
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
    return ["Nothing was promoted. Mend the cause and start the run again."]


def _after_rejection(run: Run, found: Sequence[Reason], called: str) -> list[str]:
    codes = [one.code for one in found if not one.accepted]
    if set(codes) & {*LabelProblem, DataProblem.UNDECODABLE_SLICE}:
        return ["Mend what the reasons name, and train again. Nothing was trained."]
    if codes and set(codes) <= set(Risk):
        return [
            "Nothing was trained: figures on this data would not be honest. Mend the data; or, if you understand these "
            "risks, accept them by name, which stands on the model for good:",
            f"  {called} {_accepting(run, found)}",
        ]
    if PromotionProblem.CHAMPION_CHANGED in codes:
        return ["Another version became champion meanwhile. Train again, to be compared with that one."]
    if set(codes) & set(ModelProblem):
        return ["The champion is what it was. More patients, other labels or other hyperparameters may help."]
    return ["The champion is what it was."]


def _accepting(run: Run, found: Sequence[Reason]) -> str:
    """The command that starts a run like this one, every risk that was found accepted."""
    words = ["train", "--labels", str(run.input["LabelsUri"])]
    for code in sorted({one.code for one in found}):
        words += ["--accept-risk", code]
    if run.input.get("Seed"):
        words += ["--seed", str(run.input["Seed"])]
    for name, value in run.input.get("HyperParameters", {}).items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _cause(cause: str) -> str:
    """A cause for people: of a failed job or function, which are told as whole documents, the reason alone."""
    try:
        document = json.loads(cause)
    except ValueError:
        document = None
    if isinstance(document, Mapping):
        told = [str(document[field]) for field in CAUSE_FIELDS if document.get(field)]
        name = next((str(value) for field, value in document.items() if field.endswith("JobName")), "")
        cause = ". ".join([f"Job {name}", *told]) if name else ". ".join(told) or cause
    return cause if len(cause) <= CAUSE_ROOM else f"{cause[:CAUSE_ROOM]}…"
