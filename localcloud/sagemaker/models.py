"""Models: a container image, an artifact and a role under a name."""

from __future__ import annotations

import copy
import time

from botocore.exceptions import ClientError

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.images import check_manifest
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.locations import S3Location
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record, Store, resource_arn


class Models:
    """The operations on models."""

    def __init__(self, store: Store, endpoint: str):
        self._store = store
        self._endpoint = endpoint

    def create(self, request: Record) -> Record:
        """CreateModel. The role must be able to read the artifact."""
        name = request["ModelName"]
        containers = _containers(request)
        if len(containers) != 1:
            raise invalid("This local SageMaker serves models of exactly one container.")
        definition = self._definition(containers[0])
        role = request.get("ExecutionRoleArn")
        if not role:
            raise invalid("ExecutionRoleArn is required: jobs read and write S3 with it.")
        self._check_artifact(definition, role, name)
        check_manifest(definition.get("Image", ""))
        record = {
            **copy.deepcopy({key: value for key, value in request.items() if key != "Tags"}),
            "ModelArn": resource_arn("model", name),
            "CreationTime": time.time(),
        }
        with self._store.lock:
            if name in self._store.models:
                raise invalid(f'Cannot create already existing model "{record["ModelArn"]}".')
            self._store.models[name] = record
            self._store.tag(record["ModelArn"], request.get("Tags", []))
        return {"ModelArn": record["ModelArn"]}

    def describe(self, request: Record) -> Record:
        """DescribeModel."""
        return self.get(request["ModelName"])

    def delete(self, request: Record) -> Record:
        """DeleteModel."""
        with self._store.lock:
            record = self.get(request["ModelName"])
            del self._store.models[request["ModelName"]]
            self._store.tags.pop(record["ModelArn"], None)
        return {}

    def list(self, request: Record) -> Record:
        """ListModels."""
        members = ("ModelName", "ModelArn", "CreationTime")
        return page(list(self._store.models.values()), request, answer="Models", name="ModelName", members=members)

    def get(self, name: str) -> Record:
        """Return the record of a model; raise a ValidationException if it does not exist."""
        record = self._store.models.get(name)
        if record is None:
            raise invalid(f'Could not find model "{resource_arn("model", name)}".')
        return record

    def container(self, name: str) -> Record:
        """Return the container definition of a model, completed from its model package."""
        (container,) = _containers(self.get(name))
        return self._definition(container)

    def _definition(self, container: Record) -> Record:
        package_name = container.get("ModelPackageName")
        if package_name is None:
            return container
        package = self._store.packages.get(package_name)
        if package is None:
            raise invalid(f"ModelPackage {package_name} does not exist.")
        if package.get("ModelApprovalStatus") != "Approved":
            raise invalid(f"ModelPackage {package_name} is not approved.")
        return {**package["InferenceSpecification"]["Containers"][0], **container}

    def _check_artifact(self, definition: Record, role: str, name: str) -> None:
        uri = definition.get("ModelDataUrl")
        if not uri:
            raise invalid("This local SageMaker needs the artifact as ModelDataUrl.")
        location = S3Location.parse(uri)
        with s3_with_role(role, f"CreateModel-{name}", self._endpoint) as s3:
            try:
                s3.head_object(Bucket=location.bucket, Key=location.key)
            except ClientError as error:
                raise invalid(
                    f"Could not access model data at {uri}. Please ensure that the role {role!r} exists, that its "
                    "trust relationship policy allows the action 'sts:AssumeRole' for the service principal "
                    "'sagemaker.amazonaws.com', that it has 's3:GetObject' permissions and that the object exists."
                ) from error


def _containers(model: Record) -> list[Record]:
    primary = model.get("PrimaryContainer")
    return [primary] if primary else list(model.get("Containers", []))
