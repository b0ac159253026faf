"""SageMaker's jobs as tasks: `createTrainingJob.sync` and similar start a job, wait for its end, and stop it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.states.calls import Document, Service, as_text, failure, in_json
from localcloud.states.execution import Execution, ExecutionEnded, TaskLimit, current_limit

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25
_RUNNING = frozenset({"InProgress", "Stopping"})
_CAUSE_LENGTH = 32_768
STARTED_BY = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
Submitted = Callable[[Document], None]


@dataclass(frozen=True)
class SyncJob:
    """A kind of jobs: `TrainingJob`, and the rule that reports its end to Step Functions on AWS."""

    noun: str
    rule: str

    @property
    def words(self) -> str:
        """The kind as the SDK's operations name it: `training_job`."""
        return self.noun.removesuffix("Job").lower() + "_job"


KINDS = {
    f"create{noun}Job": SyncJob(f"{noun}Job", f"StepFunctionsGetEventsForSageMaker{noun}JobsRule")
    for noun in ("Training", "Processing", "Transform")
}


class JobTask:
    """The task of one kind. `status_of` returns a job's status by its name, without a call."""

    def __init__(self, kind: SyncJob, status_of: Callable[[str], str], endpoint: str):
        self._kind = kind
        self._status_of = status_of
        self._endpoint = endpoint

    def start(self, execution: Execution, arguments: Document) -> Document:
        """Create a job and return the answer of Create at once."""
        with Service("sagemaker", execution, self._endpoint) as sagemaker:
            return self._create(sagemaker, arguments)

    def run(self, execution: Execution, arguments: Document, submitted: Submitted) -> Document:
        """Create a job, wait for its end and return its description; `submitted` gets the answer of Create.

        A job that ends in any status but Completed fails the task; a task that ends before its job stops the job.
        """
        limit = current_limit()
        with Service("sagemaker", execution, self._endpoint) as sagemaker, limit.in_charge_of_a_job():
            answer = self._create(sagemaker, arguments)
            submitted(answer)
            name = str(arguments[f"{self._kind.noun}Name"])
            self._describe(
                sagemaker, name
            )  # as Step Functions may, so that a role without the permission fails at once
            self._wait(sagemaker, execution, limit, name)
            description = self._describe(sagemaker, name)
        if description[f"{self._kind.noun}Status"] != "Completed":
            raise failure("States.TaskFailed", as_text(description)[:_CAUSE_LENGTH])
        return description

    def _create(self, sagemaker: Service, arguments: Document) -> Document:
        request = {**arguments, "Tags": [*arguments.get("Tags", []), STARTED_BY]}
        answer: Document = in_json(sagemaker.call(f"create_{self._kind.words}", request))
        return answer

    def _describe(self, sagemaker: Service, name: str) -> Document:
        answer = sagemaker.call(f"describe_{self._kind.words}", {f"{self._kind.noun}Name": name})
        description: Document = in_json(answer)
        return description

    def _wait(self, sagemaker: Service, execution: Execution, limit: TaskLimit, name: str) -> None:
        try:
            while self._status_of(name) in _RUNNING:
                execution.pause(_POLL_SECONDS)
                if limit.overdue.is_set():
                    self._stop(sagemaker, name)
                    raise failure("States.Timeout", f"{name} ran longer than the task's TimeoutSeconds.")
        except ExecutionEnded:
            if not execution.abandoned:
                self._stop(sagemaker, name)
            raise

    def _stop(self, sagemaker: Service, name: str) -> None:
        try:
            sagemaker.call(f"stop_{self._kind.words}", {f"{self._kind.noun}Name": name})
        except Exception as error:
            # It may have ended meanwhile. Step Functions, too, leaves a job running that it cannot stop.
            _log.warning("%s was not stopped: %s", name, error)
