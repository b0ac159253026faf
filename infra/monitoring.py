"""The alarms that need an action of a person, and one dashboard."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from functions.names import METRIC_NAMESPACE
from functions.names import Metric as Name
from infra.config import StageConfig
from infra.queues import ReliableQueue

PERIOD = Duration.minutes(5)
OLDEST_MESSAGE = Duration.minutes(15)


class Monitoring(Construct):
    """``dashboard``, and alarms that publish to ``topic``; functions and queues are given by the names to show.

    ``undelivered`` is the queue of the events that a webhook did not take.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        topic: sns.ITopic,
        workflow: sfn.IStateMachine,
        functions: Mapping[str, lambda_.Function],
        queues: Mapping[str, ReliableQueue],
        undelivered: sqs.IQueue | None,
    ) -> None:
        super().__init__(scope, id_)
        self._service = config.service_name
        self._workflow = workflow
        self._functions = functions
        self._queues = queues
        self._alarms: list[cloudwatch.Alarm] = []
        self._topic = topic
        self._watch_uploads(config)
        self._watch_retraining()
        self._watch_functions()
        self._watch_queues()
        if undelivered:
            self._watch_webhook(undelivered)
        self.dashboard = self._dashboard()

    def _watch_uploads(self, config: StageConfig) -> None:
        self._alarm(
            "ModelMissing",
            self._metric(Name.MODEL_MISSING, "Maximum"),
            "Uploads wait and no model is promoted. Promote one: `wetread model promote`.",
        )
        self._alarm(
            "BudgetReached",
            self._metric(Name.BUDGET_REACHED, "Maximum"),
            "Uploads wait for the next day: as many jobs were started today (UTC) as max_jobs_per_day allows.",
        )
        self._alarm(
            "OldestPending",
            self._metric(Name.OLDEST_PENDING_SECONDS, "Maximum"),
            "An upload has waited too long for a transform job. See the dashboard: instance quota, slots, failed jobs.",
            threshold=config.oldest_pending_alarm_seconds,
        )
        self._alarm(
            "UploadsFailed",
            self._metric(Name.UPLOADS_FAILED, "Sum"),
            "Uploads have failed for good. Their rows (status Failed) say why.",
        )
        self._alarm(
            "UploadsNotTaken",
            self._metric(Name.UPLOADS_NOT_TAKEN, "Sum"),
            "Uploads could not be taken in: IngestFailed, HeldUp, or still tried again. The log of Ingest says why.",
        )
        self._alarm(
            "JobsFailed",
            self._metric(Name.JOBS_FAILED, "Sum"),
            "A transform job failed, which means infrastructure and not its objects. Read the job's failure reason.",
        )
        self._alarm(
            "OldestStudy",
            self._metric(Name.OLDEST_OPEN_STUDY_SECONDS, "Maximum"),
            "A study stays open: its uploads wait (see OldestPending), or closing it fails. The log of Sweep says why.",
            threshold=2 * config.patience.study_max_open_seconds,
        )
        self._alarm(
            "SweepRepairs",
            self._metric(Name.SWEEP_REPAIRS, "Sum"),
            "The sweep has had to repair for a quarter of an hour: events are lost, or a function keeps failing.",
            periods=3,  # one lost event that the sweep repairs needs no person
        )

    def _watch_retraining(self) -> None:
        self._alarm(
            "TrainingFailed",
            self._workflow.metric_failed(period=PERIOD),
            "A retraining failed, which is not a refusal. `wetread runs` says in which state and why; start it again.",
        )
        self._alarm(
            "TrainingTimedOut",
            self._workflow.metric_timed_out(period=PERIOD),
            "A retraining took longer than all of its jobs may together. See its execution in Step Functions.",
        )
        self._alarm(
            "ApprovalsRefused",
            self._metric(Name.APPROVALS_REFUSED, "Sum"),
            "A version that a person approved did not become champion. The log of the function Approve says why.",
        )

    def _watch_functions(self) -> None:
        for name, function in self._functions.items():
            self._alarm(
                f"{name}Errors",
                function.metric_errors(period=PERIOD),
                f"The function {name} fails. Its log says why.",
            )
            self._alarm(
                f"{name}Throttles",
                function.metric_throttles(period=PERIOD),
                f"The function {name} is throttled: raise the account's concurrency, or find what uses it up.",
            )

    def _watch_queues(self) -> None:
        for name, queue in self._queues.items():
            if queue.retries:
                self._alarm(
                    f"{name}RetryAge",
                    queue.retries.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum"),
                    f"Messages of the queue {name} keep failing. The log of the function that reads it says why.",
                    threshold=OLDEST_MESSAGE.to_seconds(),
                )
            self._alarm(
                f"{name}DeadLetters",
                queue.dead_letters.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
                f"Messages of the queue {name} could not be handled. Remove the cause, then redrive them.",
            )
            self._alarm(
                f"{name}Age",
                queue.queue.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum"),
                f"The queue {name} is not consumed in time.",
                threshold=OLDEST_MESSAGE.to_seconds(),
            )

    def _watch_webhook(self, undelivered: sqs.IQueue) -> None:
        self._alarm(
            "WebhookDeadLetters",
            undelivered.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            "Events of studies could not be delivered to webhook_url for a day. They are in the queue, for 14 days.",
        )

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, description: str, *, threshold: float = 1, periods: int = 1
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        self._alarms.append(alarm)

    def _metric(self, name: Name, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=METRIC_NAMESPACE,
            metric_name=name,
            dimensions_map={"service": self._service},
            statistic=statistic,
            period=PERIOD,
        )

    def _dashboard(self) -> cloudwatch.Dashboard:
        uploads = (
            *(Name.UPLOADS_ACCEPTED, Name.UPLOADS_REFUSED, Name.UPLOADS_NOT_TAKEN),
            *(Name.UPLOADS_COMPLETED, Name.UPLOADS_FAILED),
        )
        jobs = (Name.JOBS_SUBMITTED, Name.JOBS_FAILED, Name.SWEEP_REPAIRS)
        dashboard = cloudwatch.Dashboard(self, "Dashboard")
        dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(self._alarms), width=24))
        dashboard.add_widgets(
            _graph("Uploads", *(self._metric(name, "Sum") for name in uploads)),
            _graph(
                "Waiting",
                self._metric(Name.PENDING, "Maximum"),
                right=[self._metric(Name.OLDEST_PENDING_SECONDS, "Maximum")],
            ),
            _graph(
                "Jobs",
                *(self._metric(name, "Sum") for name in jobs),
                right=[
                    self._metric(name, "Maximum") for name in (Name.SLOTS_BUSY, Name.MODEL_MISSING, Name.BUDGET_REACHED)
                ],
            ),
        )
        dashboard.add_widgets(
            _graph(
                "Studies",
                self._metric(Name.STUDIES_READ, "Sum"),
                right=[self._metric(Name.OLDEST_OPEN_STUDY_SECONDS, "Maximum")],
            ),
        )
        candidates = (Name.CANDIDATES_PROMOTED, Name.CANDIDATES_REJECTED, Name.APPROVALS_REFUSED)
        workflow = self._workflow
        dashboard.add_widgets(
            _graph(
                "Retraining: runs",
                workflow.metric_started(),
                workflow.metric_succeeded(),
                workflow.metric_failed(),
                workflow.metric_timed_out(),
                workflow.metric_aborted(),
            ),
            _graph("Retraining: candidates", *(self._metric(name, "Sum") for name in candidates)),
            _graph("Retraining: time", workflow.metric_time()),
        )
        dashboard.add_widgets(
            _graph(
                "Queues: messages",
                *(
                    queue.queue.metric_approximate_number_of_messages_visible(label=name)
                    for name, queue in self._queues.items()
                ),
                right=[
                    queue.dead_letters.metric_approximate_number_of_messages_visible(label=f"{name} dead letters")
                    for name, queue in self._queues.items()
                ],
            ),
            _graph("Functions: errors", *(one.metric_errors(label=name) for name, one in self._functions.items())),
            _graph("Functions: duration", *(one.metric_duration(label=name) for name, one in self._functions.items())),
        )
        return dashboard


def _graph(
    title: str, *left: cloudwatch.IMetric, right: list[cloudwatch.Metric] | None = None
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=list(right or ()), width=8)
