"""InvokeEndpoint: what goes to the container, what comes back, and what is refused."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from localcloud.archive import pack
from localcloud.containers.container import Container, InvocationError
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.invocations import invoke as invoked
from localcloud.sagemaker.invocations import invoked_endpoint
from tests.localcloud.example import PROJECT

MEGABYTE = 1024 * 1024
GROUP = "/aws/sagemaker/Endpoints"


@pytest.fixture
def runtime(client):
    return client("sagemaker-runtime")


@pytest.fixture
def serving(endpoint, settled):
    """An endpoint in service; return its name."""

    def make(**environment):
        name = endpoint(**environment)
        assert settled(name)["EndpointStatus"] == "InService"
        return name

    return make


@pytest.fixture
def model_error(runtime, name):
    def response(body):
        with pytest.raises(runtime.exceptions.ModelError) as error:
            runtime.invoke_endpoint(EndpointName=name, Body=body)
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
        return error.value.response

    return response


def test_the_answer_is_the_container_s_own(runtime, serving, tmp_path):
    name = serving(FAKE_SETTING="of the model")
    body = bytes(range(256)) * 4 * 1024 * 7  # 7 MB, more than botocore's description of the API says
    answer = runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/dicom", Accept="application/json"
    )
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "main"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pth").write_bytes(b"weights")
    pack(tmp_path / "model", tmp_path / "model.tar.gz")
    environment = {"FAKE_SETTING": "of the model"}
    with Container(PROJECT, tmp_path / "model.tar.gz", environment=environment) as container:
        alone = container.invoke(body)
    assert answer["Body"].read() == alone
    assert json.loads(alone)["environment"]["SAGEMAKER_BATCH"] is None


def test_without_types_the_defaults_of_the_api_are_sent(runtime, serving):
    name = serving()
    answer = json.loads(runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read())
    assert (answer["type"], answer["accept"]) == ("application/octet-stream", "*/*")
    assert runtime.invoke_endpoint(EndpointName=name, Body=b"sleep 0")["ContentType"] == "application/octet-stream"


def test_invocations_run_beside_each_other(runtime, serving):
    name, began = serving(), time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _number: runtime.invoke_endpoint(EndpointName=name, Body=b"sleep 2"), range(4)))
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(("status", "blamed"), [(400, "client"), (418, "client"), (500, "server"), (503, "server")])
def test_a_refusal_of_the_container_is_a_model_error(serving, model_error, status, blamed):
    name = serving()
    response = model_error(f"status {status} not like this".encode())
    message = response["Error"]["Message"]
    assert message.startswith(f'Received {blamed} error ({status}) from primary with message "not like this". See http')
    assert message.endswith(f"group={GROUP}/{name} in account 000000000000 for more information.")
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, "not like this")
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}/{name}"


def test_a_dead_container_answers_no_caller_and_keeps_none_waiting(serving, model_error):
    serving()
    began = time.monotonic()
    for body in (b"die", b"x"):
        response = model_error(body)
        assert response["Error"]["Message"].startswith("Received server error (0) from primary with message ")
        assert "connection to the model server broke" in response["OriginalMessage"]
    assert time.monotonic() - began < 5


def test_deleting_an_endpoint_ends_its_invocations(client, serving, model_error):
    name = serving()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(model_error, b"sleep 60")
        time.sleep(0.5)
        client("sagemaker").delete_endpoint(EndpointName=name)
        assert waiting.result(timeout=20)["OriginalStatusCode"] == 0


def test_an_endpoint_that_is_not_in_service_is_not_found(runtime, endpoint, name):
    for make in (lambda: None, lambda: endpoint(FAKE_PING="never")):
        make()
        with pytest.raises(runtime.exceptions.ClientError) as error:
            runtime.invoke_endpoint(EndpointName=name, Body=b"x")
        assert error.value.response["Error"]["Code"] == "ValidationError"
        assert error.value.response["Error"]["Message"] == f"Endpoint {name} of account 000000000000 not found."
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_what_a_single_container_cannot_do_is_refused(runtime, serving):
    name = serving()
    runtime.invoke_endpoint(EndpointName=name, Body=b"x", InferenceId="mine")
    with pytest.raises(runtime.exceptions.ClientError, match="x-amzn-sagemaker-target-model is not supported here"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"x", TargetModel="other")


INVOKE = """
import boto3
def handler(request, context):
    boto3.client("sagemaker-runtime").invoke_endpoint(**request)
"""


def test_a_caller_must_be_allowed_to_invoke_this_endpoint(serving, function, invoke):
    name = serving()
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
    request = {"EndpointName": name, "Body": "x"}
    document, failed = invoke(function(INVOKE, ("sagemaker:InvokeEndpoint", arn)), request)
    assert not failed, document
    for allowed in [("sagemaker:InvokeEndpoint", f"{arn}-other"), ("sagemaker:DescribeEndpoint", arn)]:
        document, failed = invoke(function(INVOKE, allowed), request)
        assert failed
        assert "AccessDeniedException" in document["errorMessage"]
        assert "is not authorized to perform: sagemaker:InvokeEndpoint" in document["errorMessage"]


def test_a_body_that_names_another_action_is_an_invocation_all_the_same(serving, function, invoke):
    name = serving()
    request = {
        "EndpointName": name,
        "Body": "Action=ListModels",
        "ContentType": "application/x-www-form-urlencoded",
    }
    document, failed = invoke(function(INVOKE, ("sagemaker:ListModels", "*")), request)
    assert failed
    assert "sagemaker:InvokeEndpoint" in document["errorMessage"]


class Serving:
    """Stands in for all endpoints: one variant, and a container that answers with `post`."""

    def __init__(self, post, **variant):
        self._variant = {"VariantName": "main", **variant}
        self._container = SimpleNamespace(post=post)

    def serving(self, _name):
        return self._variant, self._container


def no_answer(_body, **_options):
    raise InvocationError("it takes too long")


@pytest.mark.parametrize(
    ("variant", "kind", "megabytes"),
    [({"InitialInstanceCount": 1}, "real-time", 25), ({"ServerlessConfig": {}}, "serverless", 4)],
)
def test_a_body_above_the_limit_is_refused_and_one_at_it_is_not(variant, kind, megabytes):
    endpoints = Serving(no_answer, **variant)
    with pytest.raises(ServiceError, match=f"{kind} endpoints take {megabytes} MB at most") as error:
        invoked(endpoints, "name", {}, bytes(megabytes * MEGABYTE + 1))
    assert error.value.code == "ValidationError"
    with pytest.raises(ServiceError, match="it takes too long") as error:
        invoked(endpoints, "name", {}, bytes(megabytes * MEGABYTE))
    assert (error.value.code, error.value.members["OriginalStatusCode"]) == ("ModelError", 0)


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("POST", "/endpoints/a-b/invocations", "a-b"),
        ("GET", "/endpoints/a/invocations", None),
        ("POST", "/endpoints/a/b/invocations", None),
        ("POST", "/endpoints/a/async-invocations", None),
        ("POST", "/", None),
    ],
)
def test_an_invocation_is_known_by_its_path(method, path, endpoint):
    assert invoked_endpoint(method, path) == endpoint
