"""An AWS account in memory, as far as ``wetread doctor``, ``train`` and ``submit`` ask it; every request is checked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from tests.fakes.wire import Wire, client_error

REGION = "eu-west-1"
UUID = "00000000-0000-0000-0000-00000000000"
DOCKERS = "application/vnd.docker.distribution.manifest.v2+json"

TEMPLATE: dict[str, Any] = {
    "Parameters": {"BootstrapVersion": {"Default": "/cdk-bootstrap/hnb659fds/version"}},
    "Rules": {
        "CheckBootstrapVersion": {
            "Assertions": [
                {"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2", "3", "4", "5"], {"Ref": "BootstrapVersion"}]}]}}
            ]
        }
    },
    "Resources": {},
}


class Account:
    """What AWS would answer; a test changes the attributes. ``denied`` are operations that are not allowed."""

    def __init__(self) -> None:
        self.denied: dict[str, str] = {}
        self.asked: list[str] = []
        self.quotas: dict[str, float] = {
            "ml.m5.xlarge for transform job usage": 4,
            "ml.m5.2xlarge for training job usage": 1,
            "ml.m5.xlarge for processing job usage": 1,
        }
        self.codes = {"ml.m5.xlarge for transform job usage": "L-7939E4EC"}
        self.default_quotas: dict[str, float] = {}
        self.adjustable = True
        self.manifest: str | None = DOCKERS
        self.image_error = ""
        self.concurrency, self.unreserved = 10, 10
        self.reserved: dict[str, int] = {}
        self.mappings = {f"{UUID}1": ("Ingest", "Enabled", 4), f"{UUID}2": ("Ingest", "Enabled", 4)}
        self.mappings |= {f"{UUID}3": ("Dispatch", "Enabled", None)}
        self.subscriptions: list[str] = ["arn:aws:sns:eu-west-1:123456789012:topic:1"]
        self.template = json.loads(json.dumps(TEMPLATE))
        self.bootstrap: str | None = "21"
        self.key: dict[str, Any] = {
            "KeyState": "Enabled",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT",
        }
        self.no_keys: set[str] = set()
        self.key_policies: dict[str, Any] = {}

    def client(self, service: str, **_: Any) -> Any:
        """Return a client of a service; the account answers for all."""
        return Wire(service, self, self._look)

    def _look(self, operation: str, when: str) -> None:
        if when == "before":
            self.asked.append(operation)
            if operation in self.denied:
                raise client_error(self.denied[operation], "is not authorized to perform it")

    def get_service_quota(self, *, ServiceCode: str, QuotaCode: str) -> Any:  # noqa: N803
        name = next((name for name, code in self.codes.items() if code == QuotaCode), None)
        if name is None or name not in self.quotas:
            raise client_error("NoSuchResourceException", f"{ServiceCode} {QuotaCode}")
        return {"Quota": self._quota(name, self.quotas[name])}

    def list_service_quotas(self, *, ServiceCode: str) -> Any:  # noqa: N803
        assert ServiceCode == "sagemaker"
        return {"Quotas": [self._quota(*one) for one in self.quotas.items()]}

    def list_aws_default_service_quotas(self, *, ServiceCode: str) -> Any:  # noqa: N803
        assert ServiceCode == "sagemaker"
        return {"Quotas": [self._quota(*one) for one in self.default_quotas.items()]}

    def _quota(self, name: str, value: float) -> dict[str, Any]:
        code = self.codes.get(name, f"L-{abs(hash(name)) % 16**8:08X}")
        return {
            "QuotaName": name,
            "QuotaCode": code,
            "QuotaArn": f"arn:aws:servicequotas:{REGION}:123456789012:sagemaker/{code}",
            "Value": value,
            "Adjustable": self.adjustable,
        }

    def describe_images(self, **request: Any) -> Any:
        if self.image_error:
            raise client_error(self.image_error)
        (image,) = request["imageIds"]
        kind = {"imageManifestMediaType": self.manifest} if self.manifest else {}
        return {"imageDetails": [{"repositoryName": request["repositoryName"], **image, **kind}]}

    def list_stack_resources(self, *, StackName: str) -> Any:  # noqa: N803
        assert StackName == "Wetread"
        functions = dict.fromkeys(function for function, _, _ in self.mappings.values())
        listed = [("AWS::Lambda::Function", name) for name in functions]
        listed += [("AWS::Lambda::EventSourceMapping", name) for name in self.mappings]
        listed += [("AWS::S3::Bucket", "uploads")]
        return {"StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": name} for kind, name in listed]}

    def get_function_concurrency(self, *, FunctionName: str) -> Any:  # noqa: N803
        held = self.reserved.get(FunctionName)
        return {} if held is None else {"ReservedConcurrentExecutions": held}

    def get_event_source_mapping(self, *, UUID: str) -> Any:  # noqa: N803
        function, state, most = self.mappings[UUID]
        scaling = {"ScalingConfig": {"MaximumConcurrency": most}} if most else {}
        return {"FunctionArn": f"arn:aws:lambda:{REGION}:123456789012:function:{function}", "State": state, **scaling}

    def get_account_settings(self) -> Any:
        return {
            "AccountLimit": {
                "ConcurrentExecutions": self.concurrency,
                "UnreservedConcurrentExecutions": self.unreserved,
            }
        }

    def list_subscriptions_by_topic(self, *, TopicArn: str) -> Any:  # noqa: N803
        assert TopicArn.startswith("arn:")
        return {"Subscriptions": [{"SubscriptionArn": one, "Protocol": "email"} for one in self.subscriptions]}

    def get_template(self, *, StackName: str, TemplateStage: str) -> Any:  # noqa: N803
        assert (StackName, TemplateStage) == ("Wetread", "Original")
        return {"TemplateBody": self.template}

    def get_parameter(self, *, Name: str) -> Any:  # noqa: N803
        if self.bootstrap is None:
            raise client_error("ParameterNotFound", Name)
        return {"Parameter": {"Name": Name, "Value": self.bootstrap}}

    def describe_key(self, *, KeyId: str) -> Any:  # noqa: N803
        if KeyId in self.no_keys:
            raise client_error("NotFoundException", KeyId)
        return {"KeyMetadata": {"KeyId": KeyId, **self.key}}

    def get_key_policy(self, *, KeyId: str, PolicyName: str) -> Any:  # noqa: N803
        assert PolicyName == "default"
        everything = [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]
        return {"Policy": json.dumps(self.key_policies.get(KeyId, {"Statement": everything}))}


class Session(SimpleNamespace):
    """What boto3's session says about regions."""

    region_name = REGION
    lacks: tuple[str, ...] = ()
    partition = "aws"

    def get_partition_for_region(self, region: str) -> str:
        assert region == self.region_name
        return self.partition

    def get_available_regions(self, service: str, partition: str) -> list[str]:
        assert partition == self.partition
        return [] if service in self.lacks else [self.region_name]
