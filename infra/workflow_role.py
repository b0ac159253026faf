"""What the state machine of a retraining may do: written out, since CDK's own grants allow more."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

JOB_KINDS = {
    "training-job": ("TrainingJob", ("train",)),
    "processing-job": ("ProcessingJob", ("audit", "optimise", "evaluate")),
}
# Step Functions hears of the end of a job by these rules, which it makes itself, one for the whole account.
EVENT_RULES = (
    "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
)


class WorkflowRole(iam.Role):
    """Calls ``functions``; starts, follows and stops the service's own jobs as ``job_role``; writes log and traces."""

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
        # Not the functions' own grant: it adds every version and alias of theirs, and none is ever called.
        self._may(["lambda:InvokeFunction"], [function.function_arn for function in functions])
        self._may_run_jobs(job_prefix, job_role)
        self._may_log_and_trace()

    def _may_run_jobs(self, prefix: str, job_role: iam.IRole) -> None:
        stack = Stack.of(self)
        for resource, (kind, purposes) in JOB_KINDS.items():
            jobs = [
                stack.format_arn(service="sagemaker", resource=resource, resource_name=f"{prefix}-{purpose}-*")
                for purpose in purposes
            ]
            verbs = [f"sagemaker:{verb}{kind}" for verb in ("Create", "Describe", "Stop")]
            # Step Functions tags what it starts.
            self._may([*verbs, "sagemaker:AddTags", "sagemaker:ListTags"], jobs)
        self._may(
            ["iam:PassRole"],
            [job_role.role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        rules = [stack.format_arn(service="events", resource="rule", resource_name=rule) for rule in EVENT_RULES]
        self._may(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rules)

    def _may_log_and_trace(self) -> None:
        # None of these actions knows a resource.
        self._may(
            [
                "logs:CreateLogDelivery",
                "logs:GetLogDelivery",
                "logs:UpdateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:DescribeResourcePolicies",
                "logs:DescribeLogGroups",
            ],
            ["*"],
        )
        self._may(
            [
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
            ],
            ["*"],
        )

    def _may(
        self, actions: Sequence[str], resources: Sequence[str], conditions: dict[str, dict[str, str]] | None = None
    ) -> None:
        self.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions))
