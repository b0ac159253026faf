"""The states of a retraining: snapshot, audit, gate, train, optimise, count, evaluate, gate, promote, and a notice.

A job that AWS had no room for, or that SageMaker's own error ended, is started again under another name: ``TryAgain?``
decides by the words of the failure. A quota that the job alone exceeds never has room, so that ends the run at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aws_cdk import Aws, Duration
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from functions.names import (
    AUDIT,
    AUDIT_REPORT,
    CANDIDATE,
    EVALUATION,
    INTERNAL_ERROR,
    NO_CAPACITY,
    REPORT,
    RUN_ID_DIGITS,
)
from infra.function import Function
from infra.job_requests import DIGEST, JobRequests, jsonata

RUN = f"$substring($hash($states.context.Execution.Name, 'SHA-256'), 0, {RUN_ID_DIGITS})"
ANSWER = "$states.result.Payload"  # what a function returned
# An array constructor flattens its elements and stays an array for one or none; a path would not.
MORE_REASONS = jsonata(f"[$reasons, {ANSWER}.Reasons]")
# From a failed task's Cause, the parts that a person needs, or else its beginning.
CAUSE = (
    '($found := $match($failure.Cause, /"(FailureReason|ExitMessage|errorMessage)":\\s*"([^"]+)/); '
    "$substring($found ? $join($found.(groups[0] & ': ' & groups[1]), '\\n') : $failure.Cause, 0, 1000))"
)
LAMBDA_FAILED = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
JOBS_THROTTLED = ["SageMaker.AmazonSageMakerException", "ThrottlingException"]
# A quota that the job exceeds even alone: "... is 1 Instances, ... and a request delta of 2 Instances."
TOO_SMALL = (
    "$exists($match($failure.Cause, / is ([0-9]+) Instances.* delta of ([0-9]+) Instances/)"
    "[$number(groups[1]) > $number(groups[0])])"
)
LIMITED = f"$failure.Error = 'SageMaker.ResourceLimitExceededException' and $not({TOO_SMALL})"
MOST_WAITS = 30  # 4.3 hours in all
NO_ROOM = f"$waits < {MOST_WAITS} and ({LIMITED} or $contains($failure.Cause, '{NO_CAPACITY}'))"
WAIT_SECONDS = "$waits < 6 ? [15, 30, 60, 120, 240, 480][$waits] : 600"
MOST_RESTARTS = 2
BROKEN = f"$restarts < {MOST_RESTARTS} and $contains($failure.Cause, '{INTERNAL_ERROR}')"
RESTARTED_AFTER = Duration.minutes(1)
FIRST_TRY = {"waits": 0, "restarts": 0}

State = TypeVar("State", tasks.LambdaInvoke, tasks.SnsPublish, sfn.CustomState)


class States(Construct):
    """The states, beginning with ``start``. Every failed task ends in the same notice to people."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        requests: JobRequests,
        snapshot: Function,
        gate: Function,
        promote: Function,
        notices: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        self._notices = notices
        self._failed = self._notify_failed()
        self._job_failed = sfn.Choice.jsonata(self, "TryAgain?")
        self._without_notice = sfn.Succeed.jsonata(self, "EndedUntold", comment="The run ended as its output says.")
        rejected = self._end("Rejected", "was rejected, and the champion is what it was")
        promoted = self._end("Promoted", "made the new champion")
        awaiting = self._end("AwaitingApproval", "made a model that awaits approval")

        judged = {"verdict": jsonata(ANSWER)}
        # A run that is refused for its data has this report; the evaluation's takes its place.
        audited = {"auditUri": requests.uri(AUDIT), "reportUri": requests.uri(AUDIT_REPORT)}
        evaluated = {
            "evaluationUri": requests.uri(EVALUATION),
            "reportUri": requests.uri(REPORT),
        }
        taken = self._take_snapshot(snapshot)
        audit = self._run_job("Audit", "Processing", requests.audit(), audited)
        gate_data = self._call("GateData", gate, _to_gate("Audit"), judged)
        train = self._run_job("Train", "Training", requests.training(), _TRAINED)
        optimised = {
            "candidateUri": requests.uri(CANDIDATE),
            # As the job reported it to SageMaker: from here on the object at the URI is compared with it.
            "candidateSHA256": jsonata("$states.result.ExitMessage"),
        }
        optimise = self._run_job("Optimise", "Processing", requests.optimisation(), optimised)
        evaluate = self._run_job("Evaluate", "Processing", requests.evaluation(), evaluated)
        counted = {"attempt": jsonata(f"{ANSWER}.Attempt")}
        count_attempt = self._call("CountAttempt", gate, _to_gate("Attempt"), counted)
        gate_model = self._call("GateModel", gate, _to_gate("Evaluation") | {"Attempt": jsonata("$attempt")}, judged)
        decided = self._promote(promote)

        self.start = self._begin()
        self.start.next(taken).next(self._choose("SnapshotTaken?", {"$snapshot.Taken = true": audit}, rejected))
        audit.next(gate_data).next(self._choose("DataSound?", {"$verdict.Passed = true": train}, rejected))
        train.next(optimise).next(count_attempt).next(evaluate).next(gate_model)
        gate_model.next(self._choose("GoodEnough?", {"$verdict.Passed = true": decided}, rejected))
        outcomes = {"$promotion.Outcome = 'Promoted'": promoted, "$promotion.Outcome = 'AwaitingApproval'": awaiting}
        decided.next(self._choose("Promoted?", outcomes, rejected))
        self._try_again({"Audit": audit, "Train": train, "Optimise": optimise, "Evaluate": evaluate})

    def _begin(self) -> sfn.Pass:
        """Return the state that gives the variables of the output a value, so that every end of the run has one."""
        uris = ("snapshotUri", "auditUri", "evaluationUri", "reportUri")
        values = {"run": jsonata(RUN), "reasons": [], "modelPackage": "", **FIRST_TRY, **dict.fromkeys(uris, "")}
        return sfn.Pass.jsonata(self, "Begin", assign=values)

    def _take_snapshot(self, function: Function) -> tasks.LambdaInvoke:
        return self._call(
            "Snapshot",
            function,
            {"Execution": jsonata("$states.context.Execution.Name"), "Input": jsonata("$states.input")},
            # From here on the run's name is Python's: the folder that jobs write to is the one that the gates read.
            {
                "run": jsonata(f"{ANSWER}.Run"),
                "snapshot": jsonata(ANSWER),
                "snapshotUri": jsonata(f"{ANSWER}.SnapshotUri"),
            },
        )

    def _promote(self, function: Function) -> tasks.LambdaInvoke:
        return self._call(
            "Promote",
            function,
            {
                "Snapshot": jsonata("$snapshot"),
                "TrainingJobName": jsonata("$training.TrainingJobName"),
                "ModelArtifactUri": jsonata("$candidateUri"),
                "ModelArtifactSHA256": jsonata("$candidateSHA256"),
            },
            {"promotion": jsonata(ANSWER), "modelPackage": jsonata(f"{ANSWER}.ModelPackage")},
        )

    def _call(
        self, name: str, function: Function, payload: dict[str, Any], assign: dict[str, Any]
    ) -> tasks.LambdaInvoke:
        """Return a task that invokes a function, assigns from its answer, and adds its reasons to the run's."""
        task = tasks.LambdaInvoke.jsonata(
            self,
            name,
            lambda_function=function,
            payload=sfn.TaskInput.from_object(payload),
            assign=assign | {"reasons": MORE_REASONS},
            retry_on_service_exceptions=False,  # CDK's own list lacks throttling
        )
        task.add_retry(
            errors=LAMBDA_FAILED,
            interval=Duration.seconds(2),
            max_attempts=6,
            backoff_rate=2,
            jitter_strategy=sfn.JitterType.FULL,
        )
        return self._caught(task, name)

    def _run_job(self, name: str, kind: str, request: dict[str, Any], assign: dict[str, Any]) -> sfn.CustomState:
        """Return a task that lasts as long as its job. CDK has no class that supports all of these requests."""
        job = sfn.CustomState(
            self,
            name,
            state_json={
                "Type": "Task",
                "Resource": f"arn:{Aws.PARTITION}:states:::sagemaker:create{kind}Job.sync",
                "Arguments": request,
                "Assign": assign | FIRST_TRY,
            },
        )
        job.add_retry(
            errors=JOBS_THROTTLED,
            interval=Duration.seconds(5),
            max_attempts=5,
            backoff_rate=2,
            jitter_strategy=sfn.JitterType.FULL,
        )
        return self._caught(job, name, self._job_failed)

    def _try_again(self, jobs: dict[str, sfn.CustomState]) -> None:
        """Start a job again after a wait, if its failure may pass; another would fail again, for the same money."""
        again = sfn.Choice.jsonata(self, "WhichJob?")
        for name, job in jobs.items():
            again.when(sfn.Condition.jsonata(jsonata(f"$failure.State = '{name}'")), job)
        for condition, name, seconds, counted in (
            (NO_ROOM, "AwaitRoom", sfn.WaitTime.seconds(jsonata(WAIT_SECONDS)), "waits"),
            (BROKEN, "AwaitRestart", sfn.WaitTime.duration(RESTARTED_AFTER), "restarts"),
        ):
            wait = sfn.Wait.jsonata(self, name, time=seconds, assign={counted: jsonata(f"${counted} + 1")})
            self._job_failed.when(sfn.Condition.jsonata(jsonata(condition)), wait)
            wait.next(again)
        self._job_failed.otherwise(self._failed)
        again.otherwise(self._failed)

    def _caught(self, task: State, name: str, then: sfn.IChainable | None = None) -> State:
        failure = {
            "State": name,
            "Error": jsonata("$states.errorOutput.Error"),
            "Cause": jsonata("$states.errorOutput.Cause & ''"),  # some errors have none
        }
        task.add_catch(then or self._failed, errors=["States.ALL"], assign={"failure": failure})
        return task

    def _choose(self, name: str, choices: Mapping[str, sfn.IChainable], otherwise: sfn.IChainable) -> sfn.Choice:
        choice = sfn.Choice.jsonata(self, name)
        for condition, next_state in choices.items():
            choice.when(sfn.Condition.jsonata(jsonata(condition)), next_state)
        return choice.otherwise(otherwise)

    def _end(self, outcome: str, sentence: str) -> tasks.SnsPublish:
        """Return the state that notifies people of the outcome; the execution succeeds even if the notice fails."""
        output = {
            "Outcome": outcome,
            "Run": jsonata("$run"),
            "Reasons": jsonata("$reasons"),
            "ModelPackage": jsonata("$modelPackage"),
            "SnapshotUri": jsonata("$snapshotUri"),
            "AuditUri": jsonata("$auditUri"),
            "EvaluationUri": jsonata("$evaluationUri"),
            "ReportUri": jsonata("$reportUri"),
        }
        notice = self._notice(
            outcome,
            outcome,
            f"'Training run ' & $run & ' {sentence}.'",
            "$reasons.('- ' & Code & (Accepted ? ' (accepted)' : '') & ': ' & Message)",
            "$reportUri ? 'Report: ' & $reportUri",
            outputs=output,
        )
        notice.add_catch(self._without_notice, errors=["States.ALL"], outputs=output)
        return notice

    def _notify_failed(self) -> tasks.SnsPublish:
        line = "'Training run ' & $run & ' failed in ' & $failure.State & ': ' & $failure.Error"
        notice = self._notice("NotifyFailed", "Failed", line, CAUSE)
        failed = sfn.Fail.jsonata(self, "Failed", error=jsonata("$failure.Error"), cause=jsonata("$failure.Cause"))
        notice.next(failed)
        notice.add_catch(failed, errors=["States.ALL"])
        return notice

    def _notice(self, name: str, outcome: str, *lines: str, outputs: Any = None) -> tasks.SnsPublish:
        """Return a task that publishes ``lines``, one JSONata expression each; an undefined one is left out."""
        return tasks.SnsPublish.jsonata(
            self,
            name,
            topic=self._notices,
            subject=jsonata(f"'wetread: training run ' & $run & ': {outcome}'"),
            message=sfn.TaskInput.from_text(jsonata(f"$join([{', '.join(lines)}], '\\n')")),
            outputs=outputs,
        )


_TRAINED = {
    "training": {
        "TrainingJobName": jsonata("$states.result.TrainingJobName"),
        "ModelArtifactUri": jsonata("$states.result.ModelArtifacts.S3ModelArtifacts"),
        # The job's own word, too; undefined, and so the end of the run, where it said nothing.
        "Digest": jsonata(
            f"$join($states.result.FinalMetricDataList[$contains(MetricName, '{DIGEST}')]"
            "^(MetricName).$string(Value), '-')"
        ),
    }
}


def _to_gate(document: str) -> dict[str, str]:
    return {"Document": document, "Snapshot": jsonata("$snapshot")}
