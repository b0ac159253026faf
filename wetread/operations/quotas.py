"""SageMaker's quotas of hosts in an account and region, compared with what the jobs of a stage use.

A quota is found by its name, "ml.m5.xlarge for transform job usage". Many new accounts have 0 of them, and a quota of 0
never frees itself: without this comparison uploads wait, and a training run fails after its first states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from wetread.connection import Connection
from wetread.deployment import Hosts

SERVICE = "sagemaker"
PERMISSIONS = "servicequotas:GetServiceQuota, ListServiceQuotas and ListAWSDefaultServiceQuotas"
CODES = {
    "ml.m5.xlarge for transform job usage": "L-7939E4EC",
    "ml.m5.xlarge for processing job usage": "L-0307F515",
    "Number of instances across all transform jobs": "L-60D2A6F0",
    "Number of instances across all training jobs": "L-00C91CB5",
    "Number of instances across all processing jobs": "L-F311B08F",
}
"""Codes of the default settings' quotas: one request finds each. To list all of SageMaker's, some 2,500, takes 25."""
IMPATIENT: dict[str, Any] = {
    "connect_timeout": 3,
    "read_timeout": 10,
    "retries": {"mode": "standard", "max_attempts": 3},
}
"""A network without a way to Service Quotas must not hold up an upload."""
REGION = 3
"""The field of an ARN that is the region."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota: how many hosts may run at once."""

    name: str
    code: str
    value: float
    adjustable: bool
    region: str

    def increase(self, wanted: int) -> str:
        """Return what a person does to have ``wanted`` hosts: the command, where AWS takes requests."""
        if not self.adjustable:
            return "AWS raises this quota for nobody: choose another instance type."
        region = f" --region {self.region}" if self.region else ""
        return (
            f"Ask for more: `aws service-quotas request-service-quota-increase --service-code {SERVICE} "
            f"--quota-code {self.code} --desired-value {wanted}{region}`."
        )


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """A quota that is smaller than what the jobs use at once."""

    hosts: Hosts
    quota: Quota

    @property
    def is_final(self) -> bool:
        """Return whether not even one job can start."""
        return self.quota.value < self.hosts.of_one

    @property
    def what(self) -> str:
        """Return the quota, its value and the need, as a sentence."""
        hosts = self.hosts
        need = f"one {hosts.usage} needs {hosts.of_one}"
        if hosts.jobs > 1:
            need += f", {hosts.jobs} at once need {hosts.together}"
        return f"The quota {self.quota.name!r} is {self.quota.value:g}: {need}."

    @property
    def remedy(self) -> str:
        """Return the command that requests the increase."""
        return self.quota.increase(self.hosts.together)


class Quotas:
    """The quotas of SageMaker, asked once each."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[str, Quota] = {}
        self._pages = self._listed()
        self._error: BotoCoreError | ClientError | None = None

    def of(self, hosts: Hosts) -> list[Quota]:
        """Return the quotas that bound these hosts: by instance type, and over all types where there is one.

        An empty list means that SageMaker does not have the instance type there. Raises the error of boto3 when an
        answer is missing.
        """
        by_type = f"{hosts.instance_type} for {hosts.usage} usage"
        names = (by_type, _over_all_types(hosts.usage))
        found = [self._find(name) for name in names]
        return [one for one in found if one] if found[0] else []

    def shortage(self, hosts: Hosts) -> Shortage | None:
        """Return the smallest of the quotas that are too small for these hosts."""
        small = [one for one in self.of(hosts) if one.value < hosts.together]
        return Shortage(hosts=hosts, quota=min(small, key=lambda one: one.value)) if small else None

    def _find(self, name: str) -> Quota | None:
        """Return a quota by its name: by its code, from the account's list, or, where it has none, AWS's default."""
        if name in self._known:
            return self._known[name]
        if self._error:
            raise self._error
        try:
            if name in CODES:
                self._ask(name)
            while name not in self._known and (page := next(self._pages, None)) is not None:
                for one in page:
                    self._known.setdefault(one.name, one)  # the account's own values are listed first
        except (BotoCoreError, ClientError) as error:
            self._error = error
            raise
        return self._known.get(name)

    def _ask(self, name: str) -> None:
        """Ask for one quota by its code. Where AWS answers with an error, the lists have it or say why not."""
        try:
            answer = self._client.get_service_quota(ServiceCode=SERVICE, QuotaCode=CODES[name])
        except ClientError:
            return
        one = answer["Quota"]
        if "Value" in one and one.get("QuotaName") == name:
            self._known[name] = _quota(one)

    def _listed(self) -> Iterator[list[Quota]]:
        """Return the pages of the account's quotas, then of AWS's defaults."""
        for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
            for page in self._client.get_paginator(operation).paginate(ServiceCode=SERVICE):
                yield [_quota(one) for one in page.get("Quotas", ()) if "Value" in one]


def _over_all_types(usage: str) -> str:
    """Return the name of the quota of all instance types together."""
    if usage == "endpoint":
        return "Number of instances across active endpoints"
    return f"Number of instances across all {usage}s"


def _quota(answer: Any) -> Quota:
    arn = answer.get("QuotaArn", "").split(":")
    return Quota(
        name=answer.get("QuotaName", ""),
        code=answer.get("QuotaCode", ""),
        value=answer["Value"],
        adjustable=answer.get("Adjustable", True),
        region=arn[REGION] if len(arn) > REGION else "",
    )


def quotas_of(connection: Connection) -> Quotas:
    """Return the quotas of a cloud; nothing is asked yet."""
    return Quotas(connection.client("service-quotas", **IMPATIENT))


def hopeless(connection: Connection, *usages: str) -> Iterator[Shortage]:
    """Return the shortages for which no job of these kinds can ever start; raises boto3's error if it may not ask."""
    quotas = quotas_of(connection)
    for hosts in wanted(connection.deployment.job_hosts, usages):
        shortage = quotas.shortage(hosts)
        if shortage and shortage.is_final:
            yield shortage


def wanted(hosts: Sequence[Hosts], usages: Sequence[str]) -> list[Hosts]:
    """Return the hosts of these kinds of jobs; "training job" is also one on spot hosts."""
    return [one for one in hosts if one.usage.removeprefix("spot ") in usages]
