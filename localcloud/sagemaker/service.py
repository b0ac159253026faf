"""The SageMaker API: operations by name, with requests checked and errors in SageMaker's format."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from localcloud.options import Options
from localcloud.sagemaker import invocations, processing, shapes, training, transform
from localcloud.sagemaker.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.quotas import Quotas
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.store import Record, Store

Operation = Callable[[Record], Record]


class SageMaker:
    """The SageMaker of one account."""

    def __init__(self, machine: Machine, options: Options, changed: Callable[[], None]):
        """Call `changed` whenever a job or an endpoint changes without a request."""
        self._store = Store(changed)
        events = Events()
        self.quotas = Quotas(options.sagemaker_quotas, options.sagemaker_instance_quota)
        limits = Limits(
            self._store,
            instances=options.sagemaker_instance_quota,
            creates_a_second=options.sagemaker_create_rate,
            quotas=self.quotas,
        )
        startup = options.sagemaker_startup_seconds
        self._jobs = (
            Jobs(transform.KIND, lambda: self._store.transform_jobs, self._store, events, startup),
            Jobs(training.KIND, lambda: self._store.training_jobs, self._store, events, startup),
            Jobs(processing.KIND, lambda: self._store.processing_jobs, self._store, events, startup),
        )
        models = Models(self._store, machine.endpoint)
        configs = EndpointConfigs(self._store, models)
        self._endpoints = Endpoints(self._store, configs, models, limits, machine, startup)
        self._operations = {
            **_operations(self._store, models, Registry(self._store, events), self._jobs, limits, machine),
            **_endpoint_operations(configs, self._endpoints),
        }

    def perform(self, operation: str, request: Record) -> Record:
        """Perform one operation and return its answer; raise ServiceError if it is refused."""
        shapes.check(operation, request)
        perform = self._operations.get(operation)
        if perform is None:
            raise ServiceError("UnknownOperationException", f"This local SageMaker has no {operation}.")
        answer = perform(request)
        with self._store.lock:  # records change while the answer is copied
            return copy.deepcopy(answer)

    def invoke_endpoint(self, name: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the runtime API's InvokeEndpoint; raise ServiceError if it is refused."""
        return invocations.invoke(self._endpoints, name, headers, body)

    def dump(self) -> Record:
        """Return everything that must survive a restart."""
        return self._store.dump()

    def load(self, saved: Record) -> None:
        """Load saved state; fail the jobs that ran when it was saved, and start its endpoints again."""
        self._store.load(saved)
        for jobs in self._jobs:
            jobs.fail_interrupted()
        self._endpoints.resume()

    def close(self) -> None:
        """End all containers."""
        for jobs in self._jobs:
            jobs.close()
        self._endpoints.close()


def _operations(
    store: Store, models: Models, registry: Registry, jobs: tuple[Jobs, Jobs, Jobs], limits: Limits, machine: Machine
) -> dict[str, Operation]:
    transforms = transform.TransformJobs(jobs[0], models, limits, machine)
    trainings = training.TrainingJobs(jobs[1], limits, machine)
    processings = processing.ProcessingJobs(jobs[2], limits, machine)
    return {
        "CreateModel": models.create,
        "DescribeModel": models.describe,
        "DeleteModel": models.delete,
        "ListModels": models.list,
        "CreateModelPackageGroup": registry.create_group,
        "DescribeModelPackageGroup": registry.describe_group,
        "DeleteModelPackageGroup": registry.delete_group,
        "ListModelPackageGroups": registry.list_groups,
        "CreateModelPackage": registry.create_package,
        "DescribeModelPackage": registry.describe_package,
        "UpdateModelPackage": registry.update_package,
        "DeleteModelPackage": registry.delete_package,
        "ListModelPackages": registry.list_packages,
        "CreateTransformJob": transforms.create,
        "DescribeTransformJob": transforms.describe,
        "StopTransformJob": transforms.stop,
        "ListTransformJobs": transforms.list,
        "CreateTrainingJob": trainings.create,
        "DescribeTrainingJob": trainings.describe,
        "StopTrainingJob": trainings.stop,
        "ListTrainingJobs": trainings.list,
        "CreateProcessingJob": processings.create,
        "DescribeProcessingJob": processings.describe,
        "StopProcessingJob": processings.stop,
        "ListProcessingJobs": processings.list,
        "AddTags": lambda request: _add_tags(store, request),
        "ListTags": lambda request: {"Tags": _tags(store, request["ResourceArn"])},
        "DeleteTags": lambda request: _delete_tags(store, request),
    }


def _endpoint_operations(configs: EndpointConfigs, endpoints: Endpoints) -> dict[str, Operation]:
    return {
        "CreateEndpointConfig": configs.create,
        "DescribeEndpointConfig": configs.describe,
        "DeleteEndpointConfig": configs.delete,
        "ListEndpointConfigs": configs.list,
        "CreateEndpoint": endpoints.create,
        "DescribeEndpoint": endpoints.describe,
        "DeleteEndpoint": endpoints.delete,
        "ListEndpoints": endpoints.list,
    }


def _add_tags(store: Store, request: Record) -> Record:
    _check_exists(store, request["ResourceArn"])
    store.tag(request["ResourceArn"], request["Tags"])
    return {"Tags": _tags(store, request["ResourceArn"])}


def _delete_tags(store: Store, request: Record) -> Record:
    with store.lock:
        for key in request["TagKeys"]:
            store.tags.get(request["ResourceArn"], {}).pop(key, None)
    return {}


def _tags(store: Store, arn: str) -> list[dict[str, str]]:
    with store.lock:
        return [{"Key": key, "Value": value} for key, value in store.tags.get(arn, {}).items()]


def _check_exists(store: Store, arn: str) -> None:
    if arn not in store.tags and arn not in store.packages:
        raise invalid(f"The resource {arn} does not exist.")
