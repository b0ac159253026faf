"""Checks of the account and region that a stage runs in: what AWS grants it, and what a deployment leaves to people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.deployment import Hosts
from wetread.models import endpoint
from wetread.operations import concurrency, image, kms_keys, uploads_bucket
from wetread.operations.check import Check, CheckResult
from wetread.operations.quotas import PERMISSIONS, Quotas, quotas_of

SERVICES = (
    *("cloudwatch", "dynamodb", "ecr", "events", "kms", "lambda", "logs"),
    *("s3", "sagemaker", "sns", "sqs", "stepfunctions"),
)
"""boto3's names of the services that a stage consists of."""
UNCONFIRMED = frozenset({"PendingConfirmation", "Deleted"})
BOTO3 = re.compile(r"\bboto3==(\S+)")
DEPLOY = "Deploy the stack again."


def checks(connection: Connection) -> Iterator[Check]:
    """Return the checks of the account; each asks independently of the others."""
    deployment = connection.deployment
    template = Template(connection)
    yield Check("Region", "no permission", lambda: [region(connection)])
    yield Check(uploads_bucket.PLACE, uploads_bucket.PLACE_PERMISSION, lambda: [uploads_bucket.place(connection)])
    encryption = uploads_bucket.ENCRYPTION_PERMISSION
    yield Check(uploads_bucket.ENCRYPTION, encryption, lambda: [uploads_bucket.encryption(connection)])
    yield from kms_keys.checks(connection)
    yield Check("Image", image.PERMISSION, lambda: [image.check(connection)])
    quotas = quotas_of(connection)
    for hosts in deployment.job_hosts:
        yield _quota_check(hosts, quotas)
    if not deployment.job_hosts:
        yield Check("Quotas", "", lambda: [_no_hosts()])
    yield Check("Quota of the endpoint", f"sagemaker:DescribeEndpoint, {PERMISSIONS}", lambda: _endpoint(connection))
    yield Check("Lambda", concurrency.PERMISSIONS, lambda: concurrency.check(connection))
    yield Check("Model registry", "sagemaker:DescribeModelPackageGroup", lambda: [registry(connection)])
    for name, topic in (("Alarm mail", deployment.alarm_topic_arn), ("Key mail", deployment.key_topic_arn)):
        yield _mail_check(name, topic, connection, template)
    yield Check("boto3 of the functions", "no permission", lambda: [boto3_version(connection)])
    yield Check("CDK bootstrap", f"{Template.PERMISSION}, ssm:GetParameter", lambda: [bootstrap(connection, template)])


class Template:
    """The deployed template, asked once."""

    PERMISSION = "cloudformation:GetTemplate"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._body: dict[str, Any] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The template as CDK wrote it."""
        if self._body is None:
            client = self._connection.client("cloudformation")
            answer = client.get_template(StackName=self._connection.stack, TemplateStage="Original")
            body = answer["TemplateBody"]
            self._body = json.loads(body) if isinstance(body, str) else body
        return self._body

    def properties(self, kind: str) -> list[dict[str, Any]]:
        """Return the properties of the resources of a type."""
        resources = self.body.get("Resources", {}).values()
        return [one.get("Properties", {}) for one in resources if one["Type"] == kind]


def region(connection: Connection) -> CheckResult:
    """Check that botocore knows all services of a stage in the region."""
    session: Any = connection.session
    name = session.region_name
    partition = session.get_partition_for_region(name)
    absent = [one for one in SERVICES if name not in session.get_available_regions(one, partition)]
    if partition == "aws-cn":
        absent.append("SageMaker's model registry")
    if absent:
        return CheckResult(
            "Region", f"{name} lacks {', '.join(absent)}, by botocore's list", "Deploy to another region."
        )
    return CheckResult("Region", f"{name} has all services of a stage")


def _no_hosts() -> CheckResult:
    what = "the stack does not say which hosts its jobs use"
    return CheckResult("Quotas", what, "Deploy this version.", is_known=False)


def _quota_check(hosts: Hosts, quotas: Quotas) -> Check:
    name = f"Quota of {hosts.usage}s"
    return Check(name, PERMISSIONS, lambda: [quota(name, hosts, quotas)])


def quota(name: str, hosts: Hosts, quotas: Quotas) -> CheckResult:
    """Check that all jobs of a kind get their hosts at once."""
    bounds = quotas.of(hosts)
    if not bounds:
        return CheckResult(
            name,
            f"SageMaker has no quota '{hosts.instance_type} for {hosts.usage} usage' in this region",
            "The type is not offered for such jobs there: set another instance type of the stage.",
        )
    shortage = quotas.shortage(hosts)
    if shortage is None:
        smallest = min(one.value for one in bounds)
        return CheckResult(name, f"{smallest:g} x {hosts.instance_type}, needed are {hosts.together}")
    if shortage.is_final:
        return CheckResult(name, f"{shortage.what} No job can start.", shortage.remedy)
    fit = int(shortage.quota.value // hosts.of_one)
    return CheckResult(
        name, f"{shortage.what} {fit} fit.", f"Deploy with `slots` set to {fit}, or ask for more. {shortage.remedy}"
    )


def _endpoint(connection: Connection) -> Iterator[CheckResult]:
    """Check the quota of the endpoint's host, if one is up."""
    up = endpoint.find(connection)
    if up is None or not up.hosting.startswith("ml."):
        return
    hosts = Hosts(usage="endpoint", instance_type=up.hosting, of_one=1, jobs=1)
    yield quota("Quota of the endpoint", hosts, quotas_of(connection))


def registry(connection: Connection) -> CheckResult:
    """Check that the group of the model versions is there."""
    name = connection.deployment.model_package_group_name
    try:
        group = connection.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    except ClientError as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        return CheckResult(
            "Model registry",
            f"there is no group {name}, so no model can be registered",
            f"It was deleted: make it again with `aws sagemaker create-model-package-group "
            f"--model-package-group-name {name}`.",
        )
    status = group["ModelPackageGroupStatus"]
    if status == "Completed":
        return CheckResult("Model registry", f"the group {name} is there")
    return CheckResult("Model registry", f"the group {name} is {status}", DEPLOY)


def _mail_check(name: str, topic: str, connection: Connection, template: Template) -> Check:
    permissions = f"sns:ListSubscriptionsByTopic, {Template.PERMISSION}"
    return Check(name, permissions, lambda: [mail(name, topic, connection, template)])


def mail(name: str, topic: str, connection: Connection, template: Template) -> CheckResult:
    """Check that the topic's subscriptions are confirmed. Addresses are not shown."""
    if not topic:
        return CheckResult(name, "the stack does not say its topic", "Deploy this version.", is_known=False)
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    listed = [one["SubscriptionArn"] for page in pages for one in page.get("Subscriptions", ())]
    waiting = sum(arn in UNCONFIRMED for arn in listed)
    if waiting:
        return CheckResult(
            name,
            f"{waiting} of {len(listed)} subscriptions not confirmed: they get no message",
            "Open the link in the mail from AWS Notifications. A mail that is lost comes again with "
            f"`aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS`.",
        )
    if listed:
        return CheckResult(name, f"{len(listed)} confirmed")
    if template.properties("AWS::SNS::Subscription"):
        return CheckResult(
            name,
            "the subscription that was deployed is gone: AWS deletes one that is not confirmed in time",
            f"`aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS`, then open the "
            "link in the mail.",
        )
    return CheckResult(name, "nobody has subscribed (`alarm_email` is not set)")


def boto3_version(connection: Connection) -> CheckResult:
    """Return which boto3 the functions have: the one of their layer, by the stack's output."""
    name = "boto3 of the functions"
    found = BOTO3.search(connection.deployment.function_packages)
    if found:
        return CheckResult(name, f"{found[1]}, in their layer")
    what = "not known: it is not in their layer, so it is the Lambda runtime's"
    return CheckResult(name, what, "Deploy this version: its layer brings boto3.", is_known=False)


def bootstrap(connection: Connection, template: Template) -> CheckResult:
    """Check the version of CDK's bootstrap stack against the template's own rule."""
    name = "CDK bootstrap"
    parameter = template.body.get("Parameters", {}).get("BootstrapVersion", {}).get("Default")
    if not parameter:
        return CheckResult(name, "the template needs none")
    least = _least_bootstrap(template.body)
    remedy = "Bootstrap before the next deployment: `infra/cli/node_modules/.bin/cdk bootstrap`."
    try:
        value = connection.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    except ClientError as error:
        if error_code(error) != "ParameterNotFound":
            raise
        return CheckResult(name, f"none here: {parameter} is missing, version {least} is needed", remedy)
    if not value.isdecimal() or int(value) < least:
        return CheckResult(name, f"version {value}, {least} is needed", remedy)
    return CheckResult(name, f"version {value}, {least} is needed")


def _least_bootstrap(body: dict[str, Any]) -> int:
    """Return the oldest version that the template's rule takes: it lists those that are too old."""
    assertions = body.get("Rules", {}).get("CheckBootstrapVersion", {}).get("Assertions", [])
    refused = [
        int(one)
        for assertion in assertions
        for negated in assertion["Assert"].get("Fn::Not", [])
        for one in negated.get("Fn::Contains", [[]])[0]
    ]
    return max(refused, default=0) + 1
