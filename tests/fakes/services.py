"""SQS, KMS and SageMaker in memory, as far as the functions use them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.s3 import FakeS3
from tests.fakes.wire import client_error


class FakeTicks:
    """The tick queue: remembers when each distinct window was first sent."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.sent: list[tuple[datetime, str]] = []
        self._known: set[str] = set()

    def send_message(self, **request: Any) -> Any:
        window = request["MessageDeduplicationId"]
        if window not in self._known:
            self._known.add(window)
            self.sent.append((self._clock(), window))
        return {}


class FakeKMS:
    def __init__(self) -> None:
        self.macs = 0

    def generate_mac(self, **request: Any) -> Any:
        self.macs += 1
        return {"Mac": hashlib.sha256(b"key" + request["Message"]).digest()}


class FakeMetrics:
    """CloudWatch: the age of the oldest message of the uploads queue, in seconds, a minute ago and now; None for none.

    ``error`` is raised instead.
    """

    def __init__(self) -> None:
        self.oldest: float | None = None
        self.before: float | None = None
        self.error: Exception | None = None

    def get_metric_statistics(self, **_request: Any) -> Any:
        if self.error:
            raise self.error
        now, minute = datetime(2026, 11, 23, tzinfo=UTC), timedelta(minutes=1)
        measured = ((now, self.oldest), (now - minute, self.before))  # CloudWatch gives them in any order
        return {"Datapoints": [{"Timestamp": at, "Maximum": age} for at, age in measured if age is not None]}


class FakeEvents:
    """EventBridge: the events that were put; ``refusing`` is a code with which it takes none."""

    def __init__(self) -> None:
        self.put: list[dict[str, Any]] = []
        self.refusing = ""

    def put_events(self, **request: Any) -> Any:
        assert len(request["Entries"]) <= 10
        if self.refusing:
            failed = [{"ErrorCode": self.refusing} for _ in request["Entries"]]
            return {"FailedEntryCount": len(failed), "Entries": failed}
        self.put += [one | {"Detail": json.loads(one["Detail"])} for one in request["Entries"]]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}


SWEEP = "sweep"


class FakeLambda:
    """Lambda: what was invoked and waits for an environment; ``refusing`` is a code that it answers with.

    ``waiting`` has the orders of the express lane, ``shares`` the shards of which the sweep has others close studies.
    """

    def __init__(self) -> None:
        self.waiting: list[dict[str, Any]] = []
        self.shares: list[dict[str, Any]] = []
        self.refusing = ""

    def invoke(self, **request: Any) -> Any:
        assert request["InvocationType"] == "Event"
        if self.refusing:
            raise client_error(self.refusing)
        orders = self.shares if request["FunctionName"] == SWEEP else self.waiting
        orders.append(json.loads(request["Payload"]))
        return {"StatusCode": 202}


class FakeSageMaker:
    """Transform jobs that a test ends by hand with ``end``, with the outputs that ``answer`` returns."""

    def __init__(self, s3: FakeS3, clock: Callable[[], datetime], quota: int = 100) -> None:
        self._s3 = s3
        self.clock = clock
        self.quota = quota
        self.models_gone = False
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, Any] = {}
        self.packages: list[dict[str, Any]] = []

    def create_transform_job(self, **request: Any) -> Any:
        name = request["TransformJobName"]
        if name in self.jobs:
            raise client_error("ResourceInUse", "Job name must be unique within an AWS account and region")
        if len(self.live()) >= self.quota:
            raise client_error("ResourceLimitExceeded", "The account-level service limit is reached")
        if self.models_gone:
            raise client_error("ValidationException", "Could not find model")
        bucket, key = _place(request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
        manifest = json.loads(self._s3.objects[bucket, key])
        assert manifest[1:], "SageMaker takes no empty manifest"
        self.jobs[name] = {**request, "TransformJobStatus": "InProgress", "members": manifest[1:]}
        return {"TransformJobArn": f"arn:aws:sagemaker:eu-west-1:111111111111:transform-job/{name}"}

    def describe_transform_job(self, **request: Any) -> Any:
        if request["TransformJobName"] not in self.jobs:
            raise client_error("ResourceNotFound")
        return self.jobs[request["TransformJobName"]]

    def stop_transform_job(self, **request: Any) -> Any:
        job = self.jobs[request["TransformJobName"]]
        if job["TransformJobStatus"] != "InProgress":
            raise client_error("ValidationException", "The request was rejected because the job is in status")
        job["TransformJobStatus"] = "Stopping"
        return {}

    def live(self) -> dict[str, list[str]]:
        """Return the members of every job that has not ended."""
        return {
            name: job["members"]
            for name, job in self.jobs.items()
            if job["TransformJobStatus"] in {"InProgress", "Stopping"}
        }

    def end(self, name: str, answer: Callable[[bytes], bytes | None], status: str = "", reason: str = "") -> None:
        """End a job; ``answer`` returns each object's output or None. A job without all outputs is Failed, as in AWS.

        A job that was asked to stop is Stopped and has no output, as in AWS.
        """
        job = self.jobs[name]
        job["TransformEndTime"] = self.clock()
        if job["TransformJobStatus"] == "Stopping" or status == "Stopped":
            job["TransformJobStatus"] = "Stopped"
            return
        work, prefix = _place(job["TransformOutput"]["S3OutputPath"])
        outputs = 0
        for member in job["members"]:
            output = answer(self._s3.objects[work, f"instances/{member}"])
            if output is not None:
                outputs += 1
                self._s3.objects[work, f"{prefix}some/prefix/{member}.out"] = output
        whole = outputs == len(job["members"])
        job["TransformJobStatus"] = status or ("Completed" if whole else "Failed")
        if job["TransformJobStatus"] != "Completed":
            job["FailureReason"] = reason or "AlgorithmError: See job logs for more information"

    def create_model_package(self, **request: Any) -> Any:
        for known in self.packages:
            if known.get("ClientToken") == request.get("ClientToken") is not None:
                return {"ModelPackageArn": known["ModelPackageArn"]}
        number = len(self.packages) + 1
        arn = f"arn:aws:sagemaker:eu-west-1:111111111111:model-package/{request['ModelPackageGroupName']}/{number}"
        package = {"ModelPackageArn": arn, "ModelPackageVersion": number, "CreationTime": datetime.now(UTC), **request}
        self.packages.insert(0, package)
        return {"ModelPackageArn": arn}

    def list_model_packages(self, **request: Any) -> Any:
        return {"ModelPackageSummaryList": self.packages}

    def describe_model_package(self, **request: Any) -> Any:
        arn = request["ModelPackageName"]
        for one in self.packages:
            if one["ModelPackageArn"] == arn:
                return one
        raise client_error("ValidationException", f"ModelPackage {arn} does not exist.")

    def update_model_package(self, **request: Any) -> Any:
        self.describe_model_package(ModelPackageName=request["ModelPackageArn"]).update(request)
        return {}

    def create_model(self, **request: Any) -> Any:
        if request["ModelName"] in self.models:
            raise client_error("ValidationException", "Cannot create already existing model")
        self.models[request["ModelName"]] = request
        return {"ModelArn": _model_arn(request["ModelName"])}

    def describe_model(self, **request: Any) -> Any:
        name = request["ModelName"]
        if name not in self.models:
            raise client_error("ValidationException", f'Could not find model "{_model_arn(name)}".')
        return {**self.models[name], "ModelArn": _model_arn(name), "CreationTime": self.clock()}


def _model_arn(name: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:111111111111:model/{name}"


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
