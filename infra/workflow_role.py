"""The role of the retraining's state machine, written out, since CDK's own grants allow more."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.grants import acknowledge_inline_policy, allow, arn_of

JOB_KINDS = {
    "training-job": ("TrainingJob", ("train",)),
    "processing-job": ("ProcessingJob", ("audit", "optimise", "evaluate")),
}
# Step Functions gets the end of a job by these rules, which it creates itself, one for the whole account.
EVENT_RULES = (
    "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
)

LOG_DELIVERY = (
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
)
TRACES = ("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets")


class WorkflowRole(iam.Role):
    """May call ``functions``, run and stop the service's own jobs as ``job_role``, and write log and traces."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        job_prefix: str,
        job_role: iam.IRole,
        functions: Sequence[lambda_.IFunction],
    ) -> None:
        super().__init__(
            scope,
            id_,
            description="Step Functions runs wetread's retraining with this role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        acknowledge_inline_policy(self)
        # Not the functions' own grant, which adds their versions and aliases, and those are never called.
        allow(self, "lambda:InvokeFunction", on=[function.function_arn for function in functions])
        self._may_run_jobs(job_prefix, job_role)
        self._may_log_and_trace()

    def _may_run_jobs(self, prefix: str, job_role: iam.IRole) -> None:
        for resource, (kind, purposes) in JOB_KINDS.items():
            jobs = [arn_of(self, "sagemaker", resource, f"{prefix}-{purpose}-*") for purpose in purposes]
            verbs = [f"sagemaker:{verb}{kind}" for verb in ("Create", "Describe", "Stop")]
            # Step Functions tags what it starts.
            allow(
                self,
                *(*verbs, "sagemaker:AddTags", "sagemaker:ListTags"),
                on=jobs,
                because="Every run has separate jobs, named after the service and their purpose.",
            )
        to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        allow(self, "iam:PassRole", on=[job_role.role_arn], when=to_sagemaker)
        rules = [arn_of(self, "events", "rule", rule) for rule in EVENT_RULES]
        allow(self, "events:PutTargets", "events:PutRule", "events:DescribeRule", on=rules)

    def _may_log_and_trace(self) -> None:
        for actions in (LOG_DELIVERY, TRACES):
            allow(self, *actions, on=["*"], because="These actions take no resources.")
