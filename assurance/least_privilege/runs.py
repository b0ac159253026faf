"""Runs of the training workflow on a few phantoms, through open gates, and of its last states alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from assurance.least_privilege.stage import RoleStage, short
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

    def __init__(self, stage: RoleStage) -> None:
        """Open the gates: the model's quality does not matter here."""
        self._stage = stage
        self._deployment = stage.connection.deployment
        self._workflow = stage.connection.client("stepfunctions")
        stage.configure("TrainingGate", **OPEN)

    def run(self, patients: int = PATIENTS) -> Run:
        """Run the workflow from the labels to its end. Function ``snapshot`` remembers patients of earlier runs."""
        labels = self._store(patients)
        return self._ended({"LabelsUri": labels, "HyperParameters": QUICK, "AcceptedRisks": list(Risk)})

    def refused(self) -> Run:
        """Run the workflow on a refused input: its only task after the first is the notice."""
        return self._ended({"LabelsUri": "s3://elsewhere/manifest.json"})

    def deploy(self) -> str:
        """Update the state machine to its own definition, as a deployment does; return the refusal, or ""."""
        machine = self._machine()
        wanted = {name: machine[name] for name in ("stateMachineArn", "definition", "roleArn")}
        try:
            self._workflow.update_state_machine(**wanted)
        except ClientError as error:
            return short(str(error))
        return ""

    def promotion(self, run: Run) -> dict[str, Any]:
        """Return the workflow's request to ``promote`` in a run."""
        history = self._workflow.get_paginator("get_execution_history").paginate(executionArn=run.arn)
        tasks = [event["taskScheduledEventDetails"] for page in history for event in page["events"] if _is_task(event)]
        requests = [json.loads(task["parameters"]) for task in tasks]
        (found,) = [one for one in requests if self._stage.part("TrainingPromote") in one.get("FunctionName", "")]
        payload: dict[str, Any] = found["Payload"]
        return payload

    def promote(self, payload: dict[str, Any]) -> Run:
        """Run the workflow from its state Promote to its end, with the same role."""
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

        found = self._stage.until(end)
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
        s3, bucket = self._stage.connection.s3, self._deployment.training_bucket_name
        with tempfile.TemporaryDirectory() as folder:
            write_cohort(Path(folder), patients=patients, slices_per_patient=1, size=SIZE)
            for path in Path(folder).iterdir():
                s3.upload_file(str(path), bucket, f"{COHORTS}{patients}/{path.name}")
        return f"s3://{bucket}/{COHORTS}{patients}/manifest.json"


def outcome(run: Run) -> str:
    """Return how a run ended, for the table."""
    return f"the run: {run.outcome}" + (f", {short(failure(run))}" if run.failed else "")


def _is_task(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "TaskScheduled")
