"""Runs of the training workflow on a few phantoms, through gates that stand open, and its last states alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from assurance.least_privilege.stage import Place, short
from functions.domain.verdict import Risk
from functions.names import COHORTS
from wetread.demo.phantoms import write_cohort
from wetread.training.run_report import failure
from wetread.training.runs import Run

QUICK = {"epochs": "1", "image_size": "64", "batch_size": "8"}
PATIENTS, SIZE = 30, 96  # enough to be split
OPEN = {
    **dict.fromkeys(("MIN_BALANCED_ACCURACY", "MIN_SENSITIVITY", "MIN_SPECIFICITY", "MIN_AUC"), "0"),
    **dict.fromkeys(("MAX_CALIBRATION_ERROR", "CHAMPION_MARGIN", "MAX_SUBGROUP_DROP"), "1"),
}
TAIL = "least-privilege-tail"


class Runs:
    """Starts runs of the workflow and waits for their ends."""

    def __init__(self, place: Place) -> None:
        """Open the gates: what a model is worth is not the question."""
        self._place = place
        self._deployment = place.connection.deployment
        self._workflow = place.connection.client("stepfunctions")
        place.configure("TrainingGate", **OPEN)

    def run(self, patients: int = PATIENTS) -> Run:
        """A run from the labels on, ended. The function ``snapshot`` remembers the patients of earlier ones."""
        labels = self._store(patients)
        return self._ended({"LabelsUri": labels, "HyperParameters": QUICK, "AcceptedRisks": list(Risk)})

    def refused(self) -> Run:
        """A run that is refused for what was asked, and whose only task but the first one is to tell so."""
        return self._ended({"LabelsUri": "s3://elsewhere/manifest.json"})

    def deploy(self) -> str:
        """Update the state machine to what it is, as a deployment does; why that is refused, "" for not at all."""
        machine = self._machine()
        wanted = {name: machine[name] for name in ("stateMachineArn", "definition", "roleArn")}
        try:
            self._workflow.update_state_machine(**wanted)
        except ClientError as error:
            return short(str(error))
        return ""

    def promotion(self, run: Run) -> dict[str, Any]:
        """What the workflow asked of ``promote`` in a run."""
        history = self._workflow.get_paginator("get_execution_history").paginate(executionArn=run.arn)
        tasks = [event["taskScheduledEventDetails"] for page in history for event in page["events"] if _is_task(event)]
        requests = [json.loads(task["parameters"]) for task in tasks]
        (found,) = [one for one in requests if self._place.part("TrainingPromote") in one.get("FunctionName", "")]
        payload: dict[str, Any] = found["Payload"]
        return payload

    def promote(self, payload: dict[str, Any]) -> Run:
        """The workflow from its state Promote on, with the role of the whole, ended."""
        machine = self._machine()
        definition = json.loads(machine["definition"])
        states = definition["States"]
        states[definition["StartAt"]]["Next"] = "Promote"  # the first state only assigns
        states["Promote"]["Arguments"]["Payload"] = payload
        tail = self._workflow.create_state_machine(
            name=TAIL, definition=json.dumps(definition), roleArn=machine["roleArn"]
        )
        try:
            return self._ended({}, tail["stateMachineArn"])
        finally:
            self._workflow.delete_state_machine(stateMachineArn=tail["stateMachineArn"])

    def _machine(self) -> dict[str, Any]:
        arn = self._deployment.training_state_machine_arn
        machine: dict[str, Any] = self._workflow.describe_state_machine(stateMachineArn=arn)
        return machine

    def _ended(self, document: dict[str, Any], machine: str = "") -> Run:
        arn = machine or self._deployment.training_state_machine_arn
        started = self._workflow.start_execution(stateMachineArn=arn, input=json.dumps(document))["executionArn"]

        def end() -> dict[str, Any] | None:
            found: dict[str, Any] = self._workflow.describe_execution(executionArn=started)
            return None if found["status"] == "RUNNING" else found

        found = self._place.until(end)
        return Run(
            name=found["name"],
            arn=started,
            status=found["status"],
            started=found["startDate"],
            output=json.loads(found.get("output") or "{}"),
            error=found.get("error", ""),
            cause=found.get("cause", ""),
        )

    def _store(self, patients: int) -> str:
        s3, bucket = self._place.connection.s3, self._deployment.training_bucket_name
        with tempfile.TemporaryDirectory() as folder:
            write_cohort(Path(folder), patients=patients, slices_per_patient=1, size=SIZE)
            for path in Path(folder).iterdir():
                s3.upload_file(str(path), bucket, f"{COHORTS}{patients}/{path.name}")
        return f"s3://{bucket}/{COHORTS}{patients}/manifest.json"


def told(run: Run) -> str:
    """How a run ended, for the table."""
    return f"the run: {run.outcome}" + (f", {short(failure(run))}" if run.failed else "")


def _is_task(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "TaskScheduled")
