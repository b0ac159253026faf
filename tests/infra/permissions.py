"""The roles of the service, and helpers that select from their permissions."""

from __future__ import annotations

FUNCTIONS = (
    "IntakeIngest",
    "BatchDispatch",
    "BatchCollect",
    "BatchSweep",
    "TrainingSnapshot",
    "TrainingGate",
    "TrainingPromote",
    "TrainingApprove",
)
PROMOTERS = ("TrainingPromote", "TrainingApprove")
WORKFLOW = "TrainingWorkflow"
ROLES = (*FUNCTIONS, "ModelJob", "ModelEndpoint", "TrainingJob", WORKFLOW)
ASKED_FOR = ("BatchLaneExpress", "DeliveryDeliver")  # by settings of a stage
PEOPLE = ("PeopleUploader", "PeopleReader", "PeopleLabeller", "PeopleApprover", "PeopleExaminer")
SAGEMAKER = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>"
OWN_JOBS = f"{SAGEMAKER}:transform-job/wetread-*"
ARN = "arn:<AWS::Partition>:{}:<AWS::Region>:<AWS::AccountId>:{}"


def to(permissions: set[tuple[str, str]], service: str) -> set[tuple[str, str]]:
    return {(action, resource) for action, resource in permissions if action.startswith(f"{service}:")}


def on(permissions: set[tuple[str, str]], resource: str) -> set[str]:
    return {action for action, target in permissions if target.startswith(resource)}
