"""Endpoints: each is kept up by a thread until it is deleted, and starts again with the cloud."""

from __future__ import annotations

import copy
import logging
import threading
import time

from localcloud.containers.container import Container
from localcloud.sagemaker.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.hosting import Hosting, hosted
from localcloud.sagemaker.jobs import INTERNAL_ERROR, JobFailed, JobStopped
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Record, Store, resource_arn

_log = logging.getLogger(__name__)
# Copied into the endpoint, since its configuration and its model may be deleted while it serves.
_OWN = ("Variant", "Container", "ExecutionRoleArn")


class Endpoints:
    """The operations on endpoints."""

    def __init__(
        self, store: Store, configs: EndpointConfigs, models: Models, limits: Limits, machine: Machine, startup: float
    ):
        """Wait `startup` seconds before a container starts."""
        self._store = store
        self._configs = configs
        self._models = models
        self._limits = limits
        self._machine = machine
        self._startup = startup
        self._active: dict[str, Hosting] = {}
        self._closing = False

    def create(self, request: Record) -> Record:
        """CreateEndpoint. The endpoint is Creating until its container answers."""
        self._limits.count_call()
        name, now = request["EndpointName"], time.time()
        record = {
            "EndpointName": name,
            "EndpointArn": _arn(name),
            "EndpointConfigName": request["EndpointConfigName"],
            "EndpointStatus": "Creating",
            "CreationTime": now,
            "LastModifiedTime": now,
            **self._made_of(request["EndpointConfigName"]),
        }
        with self._store.lock:
            if name in self._store.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{_arn(name)}".')
            self._admit(record["Variant"])
            self._store.endpoints[name] = record
            self._store.tag(_arn(name), request.get("Tags", []))
            self._host(record)
        return {"EndpointArn": _arn(name)}

    def describe(self, request: Record) -> Record:
        """DescribeEndpoint."""
        with self._store.lock:
            record = self._get(request["EndpointName"])
            answer = {key: value for key, value in record.items() if key not in _OWN}
            return {**answer, "ProductionVariants": [_summary(record)]}

    def delete(self, request: Record) -> Record:
        """DeleteEndpoint, in any state (AWS: not while Creating). The record is removed after the container's end."""
        with self._store.lock:
            record = self._get(request["EndpointName"])
            hosting = self._active.get(record["EndpointName"])
            if hosting is None:
                self._forget(record)
            else:
                record.update(EndpointStatus="Deleting", LastModifiedTime=time.time())
                hosting.cancelled.set()
        return {}

    def list(self, request: Record) -> Record:
        """ListEndpoints."""
        with self._store.lock:
            records = list(self._store.endpoints.values())
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return page(records, request, answer="Endpoints", name="EndpointName", members=members, status="EndpointStatus")

    def serving(self, name: str) -> tuple[Record, Container] | None:
        """Return the production variant of an endpoint and its container; None if it is not in service."""
        with self._store.lock:
            record, hosting = self._store.endpoints.get(name), self._active.get(name)
            if record is None or record["EndpointStatus"] != "InService" or hosting is None or not hosting.container:
                return None
            return record["Variant"], hosting.container

    def resume(self) -> None:
        """After a restart, start the endpoints again that were up, and remove those that were being deleted."""
        with self._store.lock:
            for record in list(self._store.endpoints.values()):
                if record["EndpointStatus"] == "Deleting":
                    self._forget(record)
                elif record["EndpointStatus"] != "Failed":
                    record["EndpointStatus"] = "Creating"
                    self._host(record)

    def close(self) -> None:
        """End all containers without changing a record: the next start starts them again."""
        self._closing = True
        for hosting in list(self._active.values()):
            hosting.cancelled.set()

    def _made_of(self, config_name: str) -> Record:
        (variant,) = self._configs.get(config_name)["ProductionVariants"]
        model = self._models.get(variant["ModelName"])
        definition = self._models.container(variant["ModelName"])
        return copy.deepcopy(
            {"Variant": variant, "Container": definition, "ExecutionRoleArn": model["ExecutionRoleArn"]}
        )

    def _admit(self, variant: Record) -> None:
        if "ServerlessConfig" not in variant:
            self._limits.check_instances(variant["InstanceType"], variant["InitialInstanceCount"], "endpoint")

    def _host(self, record: Record) -> None:
        hosting = self._active[record["EndpointName"]] = Hosting(record)
        name = f"endpoint-{record['EndpointName']}"
        threading.Thread(target=self._work, args=(hosting,), name=name, daemon=True).start()

    def _work(self, hosting: Hosting) -> None:
        reason = ""
        try:
            if hosting.cancelled.wait(self._startup):
                raise JobStopped
            with hosted(hosting, self._machine) as container:
                self._open(hosting, container)
                hosting.cancelled.wait()
        except JobStopped:
            pass
        except (JobFailed, ServiceError) as error:
            reason = str(error)
        except Exception:
            _log.exception("%s failed inside the local SageMaker", hosting.record["EndpointArn"])
            reason = INTERNAL_ERROR
        self._leave(hosting, reason)

    def _open(self, hosting: Hosting, container: Container) -> None:
        """Put the endpoint in service, since its container answers, unless it is being deleted."""
        with self._store.lock:
            if hosting.cancelled.is_set():
                return
            hosting.container = container
            hosting.record.update(EndpointStatus="InService", LastModifiedTime=time.time())
        self._store.changed()

    def _leave(self, hosting: Hosting, reason: str) -> None:
        """After the container's end, remove a deleted endpoint and mark any other as failed."""
        if self._closing:
            return
        with self._store.lock:
            del self._active[hosting.record["EndpointName"]]
            if hosting.cancelled.is_set():
                self._forget(hosting.record)
            else:
                failed = {"EndpointStatus": "Failed", "FailureReason": reason[:1024]}
                hosting.record.update(failed, LastModifiedTime=time.time())
        self._store.changed()

    def _get(self, name: str) -> Record:
        record = self._store.endpoints.get(name)
        if record is None:
            raise invalid(f'Could not find endpoint "{_arn(name)}".')
        return record

    def _forget(self, record: Record) -> None:
        del self._store.endpoints[record["EndpointName"]]
        self._store.tags.pop(record["EndpointArn"], None)


def _summary(record: Record) -> Record:
    """Return the ProductionVariantSummary of an endpoint."""
    variant = record["Variant"]
    if "ServerlessConfig" in variant:
        return {"VariantName": variant["VariantName"], "CurrentServerlessConfig": variant["ServerlessConfig"]}
    wanted = variant["InitialInstanceCount"]
    current = wanted if record["EndpointStatus"] == "InService" else 0
    return {"VariantName": variant["VariantName"], "CurrentInstanceCount": current, "DesiredInstanceCount": wanted}


def _arn(name: str) -> str:
    return resource_arn("endpoint", name)
