"""A service with its training workflow: starts runs, waits for their ends, and changes how models are approved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.names import COHORTS
from tests.e2e.conftest import Service


@dataclass(frozen=True)
class Clinic:
    """A service, what its demo printed, and runs of its workflow."""

    service: Service
    demo: str

    @property
    def _machine(self) -> str:
        return self.service.connection.deployment.training_state_machine_arn

    @property
    def workflow(self) -> Any:
        """Step Functions' client."""
        return self.service.connection.client("stepfunctions")

    def start(self, cohort: str, hyperparameters: Mapping[str, str], *accepted: str, seed: int = 0) -> str:
        """Start a run on a manifest in the training bucket; return its execution's ARN."""
        document = {
            "LabelsUri": cohort,
            "HyperParameters": dict(hyperparameters),
            "AcceptedRisks": list(accepted),
            "Seed": seed,
        }
        answer = self.workflow.start_execution(stateMachineArn=self._machine, input=json.dumps(document))
        return str(answer["executionArn"])

    def end(self, execution: str, seconds: float = 900) -> dict[str, Any]:
        """Wait for an execution's end; return it, its output parsed under "document"."""
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.workflow.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found | {"document": json.loads(found.get("output") or "{}")}
            assert time.monotonic() < deadline, f"{execution} still runs"
            time.sleep(0.5)

    def outcome(self, cohort: str, hyperparameters: Mapping[str, str], *accepted: str, seed: int = 0) -> dict[str, Any]:
        """Run the workflow to its end; return its output."""
        ended = self.end(self.start(cohort, hyperparameters, *accepted, seed=seed))
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        document: dict[str, Any] = ended["document"]
        return document

    def set_approval(self, approval: str) -> None:
        """Change how the stage approves models, as another deployment would."""
        self._set("Promote", APPROVAL=approval)

    def _set(self, part: str, **variables: str) -> None:
        """Change variables of the function with ``part`` in its name."""
        functions = self.service.connection.client("lambda")
        pages = functions.get_paginator("list_functions").paginate()
        (name,) = [one["FunctionName"] for page in pages for one in page["Functions"] if part in one["FunctionName"]]
        before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        assert variables.keys() <= before.keys(), before.keys()
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before | variables})

    def champion(self) -> str:
        """Return the champion's version, or ""."""
        champion = self.service.connection.registry.champion()
        return champion.model_package if champion else ""

    def store(self, name: str, folder: Path) -> str:
        """Put a labelled folder into the training bucket; return its manifest's URI."""
        bucket = self.service.connection.deployment.training_bucket_name
        for path in sorted(folder.iterdir()):
            key = f"{COHORTS}{name}/{path.name}"
            self.service.connection.s3.upload_file(str(path), bucket, key)
        return f"s3://{bucket}/{COHORTS}{name}/manifest.json"

    def wait(self, happened: Callable[[], Any], seconds: float = 300) -> Any:
        """Wait until ``happened`` returns a true value, and return it."""
        deadline = time.monotonic() + seconds
        while True:
            found = happened()
            if found:
                return found
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.2)
