"""The CloudFormation outputs of a deployed stack, as one frozen object."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain.instance import Served
from functions.domain.placement import Placement
from functions.domain.promotion import Thresholds
from functions.settings import SettingsError, from_environment
from wetread.problems import ConfigProblem

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

USABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The hosts that one kind of job uses: ``of_one`` for each of ``jobs`` that run at once."""

    usage: str
    """Its name in AWS's quotas: "transform job", "training job", "spot training job", "processing job"."""
    instance_type: str
    of_one: int
    jobs: int

    @property
    def together(self) -> int:
        """Return how many hosts all jobs use at once."""
        return self.of_one * self.jobs


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The outputs of one stack that the command line uses; lists and numbers parsed."""

    uploads_bucket_name: str
    uploads_queue_url: str
    work_bucket_name: str
    results_bucket_name: str
    models_bucket_name: str
    training_bucket_name: str
    index_table_name: str
    batches_table_name: str
    keys_table_name: str
    studies_table_name: str
    keys: str
    patient_key_id: str
    tick_queue_url: str
    model_package_group_name: str
    training_state_machine_arn: str
    job_role_arn: str
    endpoint_role_arn: str
    image_uri: str
    instance_type: str
    data_key_arn: str
    job_name_prefix: str
    labels: tuple[str, ...]
    dead_letter_queue_urls: tuple[str, ...]
    slots: int
    max_jobs_per_day: int
    served: Served | None = None
    """What ingest takes in; None where the stack is older than this command."""
    job_hosts: tuple[Hosts, ...] = ()
    """What the jobs ask for; empty where the stack is older than this command."""
    key_topic_arn: str = ""
    function_packages: str = ""
    """What the functions run with, as pip's pins."""
    placement: Placement = field(default_factory=Placement)
    """The network and the tags of what a command makes in SageMaker."""
    stack_id: str = ""
    """The ARN of the stack; one that is created anew has another."""
    alarm_topic_arn: str = ""
    """Where alarms go."""
    uploads_key_arn: str = ""
    """The key of a given uploads bucket; "" where it has none that a stage was given."""
    folds: int = 0
    """In how many folds every labelled patient is tested once; 0 where there is a test part."""
    thresholds: Thresholds | None = None
    """What the model gate asks; None where the stack is older than this command."""
    closers: int = 1
    """How many invocations close studies at once, the sweep's included."""
    express_concurrency: int = 0
    """How many runs of the express lane there are at once; 0 where the stage has none."""
    express_per_day: int = 0
    """How many runs of the express lane may start in a day; 0 where the stage has none."""
    webhook_dead_letters_url: str = ""
    """The queue of events that the webhook did not take; "" where the stage has no webhook."""

    @classmethod
    def read(cls, client: CloudFormationClient, stack: str) -> Deployment:
        """Read the outputs of ``stack``.

        Raises ConfigProblem when there is no such stack, it is half deployed, or outputs are missing.
        """
        try:
            found = client.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if error_code(error) != "ValidationError":
                raise
            found = []
        if not found:
            raise ConfigProblem(
                f"There is no stack {stack!r} here.",
                "Deploy it (`wetread --local up`, or `cdk deploy` on AWS), or name another with --stack.",
            )
        status = found[0]["StackStatus"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in found[0].get("Outputs", [])}
        missing = [name for name in OUTPUTS.values() if name not in outputs]
        if missing and status in USABLE:
            raise ConfigProblem(
                f"Stack {stack!r} lacks the outputs {', '.join(missing)}.", "Deploy this version again."
            )
        if missing:
            raise ConfigProblem(f"Stack {stack!r} is {status}, not usable yet.", "Finish or repair its deployment.")
        values = {field: outputs[name] for field, name in OUTPUTS.items()}
        queues = tuple(filter(None, values.pop("dead_letter_queue_urls").split(",")))
        labels = tuple(values.pop("labels").split(","))
        slots, max_jobs_per_day = int(values.pop("slots")), int(values.pop("max_jobs_per_day"))
        return cls(
            **values,
            labels=labels,
            dead_letter_queue_urls=queues,
            slots=slots,
            max_jobs_per_day=max_jobs_per_day,
            served=_served(outputs.get(SERVED, "{}")),
            job_hosts=_job_hosts(outputs.get("JobHosts", "[]")),
            key_topic_arn=outputs.get("KeyTopicArn", ""),
            function_packages=outputs.get("FunctionPackages", ""),
            placement=_placement(outputs.get(PLACEMENT)),
            stack_id=found[0].get("StackId", ""),
            alarm_topic_arn=outputs.get("AlarmTopicArn", ""),
            uploads_key_arn=outputs.get("UploadsKeyArn", ""),
            folds=int(outputs.get("Folds", "0")),
            thresholds=_thresholds(outputs.get("Thresholds", "{}")),
            closers=int(outputs.get("Closers", "1")),
            express_concurrency=int(outputs.get("ExpressConcurrency", "0")),
            express_per_day=int(outputs.get("ExpressPerDay", "0")),
            webhook_dead_letters_url=outputs.get("WebhookDeadLettersUrl", ""),
        )


def _served(output: str) -> Served | None:
    """Return what a stack serves by its output; None if it does not say all that this version asks."""
    try:
        return from_environment(Served, json.loads(output))
    except (SettingsError, ValueError):
        return None


def _thresholds(output: str) -> Thresholds | None:
    """Return what a stack's model gate asks by its output; None if it does not say all that this version knows."""
    try:
        return from_environment(Thresholds, json.loads(output))
    except (SettingsError, ValueError):
        return None


def _job_hosts(output: str) -> tuple[Hosts, ...]:
    """Return the hosts by the stack's output; () if it does not say all that this version asks."""
    try:
        return tuple(
            Hosts(
                usage=one["Usage"],
                instance_type=one["InstanceType"],
                of_one=int(one["HostsOfOne"]),
                jobs=int(one["Jobs"]),
            )
            for one in json.loads(output)
        )
    except (KeyError, TypeError, ValueError):
        return ()


def _placement(output: str | None) -> Placement:
    """Return where a stack places things; a stack without a VPC and tags does not say it."""
    return from_environment(Placement, json.loads(output)) if output else Placement()


OUTPUTS = {
    field.name: "".join(word.capitalize() for word in field.name.split("_"))
    for field in dataclasses.fields(Deployment)
    if field.default is field.default_factory is dataclasses.MISSING
}
"""Field of a Deployment -> key of the stack's output, without which this version cannot work."""
SERVED = "Served"
"""The output with the settings of a Served, as a function's environment has them, in JSON."""
PLACEMENT = "Placement"
"""The output with a Placement, alike; only of stacks that have a VPC or tags."""
