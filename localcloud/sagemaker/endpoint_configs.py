"""Endpoint configurations: the model that an endpoint serves, and its capacity."""

from __future__ import annotations

import copy
import time

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Record, Store, resource_arn

_UNSUPPORTED = ("DataCaptureConfig", "AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig")


class EndpointConfigs:
    """The operations on endpoint configurations."""

    def __init__(self, store: Store, models: Models):
        self._store = store
        self._models = models

    def create(self, request: Record) -> Record:
        """CreateEndpointConfig. Its model must exist."""
        name = request["EndpointConfigName"]
        self._check_rules(request)
        record = {
            **copy.deepcopy({key: value for key, value in request.items() if key != "Tags"}),
            "EndpointConfigArn": _arn(name),
            "CreationTime": time.time(),
        }
        with self._store.lock:
            if name in self._store.endpoint_configs:
                raise invalid(f'Cannot create already existing endpoint configuration "{_arn(name)}".')
            self._store.endpoint_configs[name] = record
            self._store.tag(_arn(name), request.get("Tags", []))
        return {"EndpointConfigArn": _arn(name)}

    def describe(self, request: Record) -> Record:
        """DescribeEndpointConfig."""
        return self.get(request["EndpointConfigName"])

    def delete(self, request: Record) -> Record:
        """DeleteEndpointConfig. Endpoints that were created from it keep serving."""
        name = request["EndpointConfigName"]
        with self._store.lock:
            self.get(name)
            del self._store.endpoint_configs[name]
            self._store.tags.pop(_arn(name), None)
        return {}

    def list(self, request: Record) -> Record:
        """ListEndpointConfigs."""
        with self._store.lock:
            records = list(self._store.endpoint_configs.values())
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        return page(records, request, answer="EndpointConfigs", name="EndpointConfigName", members=members)

    def get(self, name: str) -> Record:
        """Return the record of a configuration; raise a ValidationException if it does not exist."""
        record = self._store.endpoint_configs.get(name)
        if record is None:
            raise invalid(f'Could not find endpoint configuration "{_arn(name)}".')
        return record

    def _check_rules(self, request: Record) -> None:
        """Raise a ValidationException for what SageMaker refuses or this service does not support."""
        for member in _UNSUPPORTED:
            if member in request:
                raise invalid(f"{member} is not supported here: this local SageMaker only answers at once.")
        if len(request["ProductionVariants"]) != 1:
            raise invalid("This local SageMaker serves endpoints of exactly one production variant.")
        (variant,) = request["ProductionVariants"]
        where = f"Production variant {variant['VariantName']}"
        if "ModelName" not in variant:
            raise invalid(f"{where} has no ModelName, without which this local SageMaker has nothing to serve.")
        model = self._models.get(variant["ModelName"])
        _check_capacity(variant, where)
        if "ServerlessConfig" in variant and model.get("EnableNetworkIsolation"):
            raise invalid(
                f"{where}: serverless endpoints do not support network isolation, which model "
                f"{variant['ModelName']} has enabled."
            )


def _check_capacity(variant: Record, where: str) -> None:
    """Raise a ValidationException unless a variant has either instances or a serverless configuration."""
    instances = {"InstanceType", "InitialInstanceCount"} & variant.keys()
    if "ServerlessConfig" in variant and instances:
        raise invalid(f"{where} has a ServerlessConfig, so it cannot have {' or '.join(sorted(instances))}.")
    if "ServerlessConfig" not in variant and len(instances) != 2:
        raise invalid(f"{where} needs both InstanceType and InitialInstanceCount, or else a ServerlessConfig.")


def _arn(name: str) -> str:
    return resource_arn("endpoint-config", name)
