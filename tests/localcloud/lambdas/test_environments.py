"""Lambda as on AWS: error types, environment, role, layers, time limits, logs, and how many environments there are."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import re
import sys
import threading

import pytest


def test_an_answer_comes_back_as_it_was_returned(function, invoke):
    name = function("def handler(event, context):\n    return {'got': event, 'ü': None}")
    assert invoke(name, {"a": [1, "ß"]}) == ({"got": {"a": [1, "ß"]}, "ü": None}, False)


def test_an_exception_is_reported_by_its_own_type(function, invoke):
    name = function("class Odd(Exception): pass\ndef handler(event, context):\n    raise Odd('strange')")
    document, failed = invoke(name)
    assert failed
    assert (document["errorType"], document["errorMessage"]) == ("Odd", "strange")
    assert "in handler" in "".join(document["stackTrace"])


def test_code_that_cannot_be_imported_is_reported(function, invoke):
    document, failed = invoke(function("import numpy\ndef handler(event, context): pass"))
    assert failed
    assert document["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'numpy'" in document["errorMessage"]


def test_a_process_that_ends_is_an_error_and_the_next_invocation_works(function, invoke):
    name = function("import os\ndef handler(event, context):\n    if event: os._exit(5)\n    return 'fine'")
    document, failed = invoke(name, 1)
    assert failed
    assert document["errorType"] == "Runtime.ExitError"
    assert "exit status 5" in document["errorMessage"]
    assert invoke(name, 0) == ("fine", False)


def test_a_function_out_of_time_is_ended(function, invoke):
    name = function("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'in time'", Timeout=1)
    document, failed = invoke(name, 30)
    assert failed
    assert document["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in document["errorMessage"]
    assert invoke(name, 0) == ("in time", False)


TAKES_MEMORY = """
def handler(event, context):
    taken = bytearray(event * 2**20)
    for at in range(0, len(taken), 4096):
        taken[at] = 1
    return len(taken) >> 20
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports how much memory a process has held")
def test_a_function_that_holds_more_than_its_memory_is_killed_and_the_next_invocation_works(function, invoke):
    name = function(TAKES_MEMORY, MemorySize=160)
    document, failed = invoke(name, 400)
    assert failed
    assert document["errorType"] == "Runtime.OutOfMemory"
    assert "signal: killed" in document["errorMessage"]
    assert invoke(name, 20) == (20, False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports how much memory a process has held")
def test_a_report_says_how_much_memory_was_used_at_most(client, function):
    name = function(TAKES_MEMORY, MemorySize=256)

    def report(megabytes):
        answer = client("lambda").invoke(FunctionName=name, Payload=str(megabytes).encode(), LogType="Tail")
        return base64.b64decode(answer["LogResult"]).decode().splitlines()[-1]

    used = int(re.search(r"Memory Size: 256 MB\tMax Memory Used: (\d+) MB$", report(100)).group(1))
    assert 100 <= used <= 256
    assert report(2000).endswith("Max Memory Used: 256 MB\tStatus: error\tError Type: Runtime.OutOfMemory")


def test_an_environment_is_reused_and_clean(function, invoke, monkeypatch):
    source = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return {"calls": calls, "names": sorted(os.environ), "setting": os.environ["SETTING"],
            "left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb}
"""
    name = function(source, Environment={"Variables": {"SETTING": "1"}}, MemorySize=256)
    first, _failed = invoke(name)
    second, _failed = invoke(name)
    assert (first["calls"], second["calls"], second["setting"]) == (1, 2, "1")
    assert 0 < second["left"] <= 20_000
    assert second["memory"] == "256"
    allowed = (
        "AWS_",
        "_",
        "LAMBDA_",
        "PYTHON",
        "LANG",
        "LC_",
        "TZ",
        "PATH",
        "PWD",
        "SHLVL",
        "HOME",
        "TMPDIR",
        "SETTING",
    )
    assert [variable for variable in first["names"] if not variable.startswith(allowed)] == []


def test_new_settings_take_effect_at_once(client, function, invoke):
    source = "import os\ndef handler(event, context): return os.environ['SETTING']"
    name = function(source, Environment={"Variables": {"SETTING": "old"}})
    assert invoke(name)[0] == "old"
    client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": {"SETTING": "new"}})
    assert invoke(name)[0] == "new"


CALL_S3 = """
import boto3
def handler(event, context):
    return boto3.client("s3").get_object(Bucket=event, Key="key")["Body"].read().decode()
"""


def test_a_role_is_enforced(client, bucket, function, invoke):
    client("s3").put_object(Bucket=bucket, Key="key", Body=b"secret")
    allowed = function(CALL_S3, ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    denied = function(CALL_S3, ("s3:GetObject", "arn:aws:s3:::another/*"))
    assert invoke(allowed, bucket) == ("secret", False)
    document, failed = invoke(denied, bucket)
    assert failed
    assert "AccessDenied" in document["errorMessage"]


def test_layers_are_found_and_only_they_add_packages(client, function, invoke, name, zipped):
    layer = client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped({"python/extra/__init__.py": "ANSWER = 42"})}
    )["LayerVersionArn"]
    source = "import extra, boto3\ndef handler(event, context): return [extra.ANSWER, extra.__file__.split('/')[-3]]"
    assert invoke(function(source, Layers=[layer])) == ([42, "python"], False)
    assert invoke(function(source))[0]["errorType"] == "Runtime.ImportModuleError"


def test_the_sdk_of_a_layer_comes_before_the_runtimes(client, function, invoke, name, zipped):
    layer = client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped({"python/boto3/__init__.py": "__version__ = 'of the layer'"})}
    )["LayerVersionArn"]
    source = "import boto3\ndef handler(event, context): return boto3.__version__"
    assert invoke(function(source, Layers=[layer])) == ("of the layer", False)
    assert invoke(function(source))[0] == importlib.metadata.version("boto3")


def test_the_log_group_has_the_platform_s_lines_and_the_function_s_own(client, function):
    name = function("def handler(event, context):\n    print('said', event)\n    print('twice')")
    answer = client("lambda").invoke(FunctionName=name, Payload=b'"this"', LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    messages = [
        event["message"] for event in client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    ]
    assert messages == tail
    assert messages[1:3] == ["said this", "twice"]
    assert [message.split()[0] for message in messages] == ["START", "said", "twice", "END", "REPORT"]


def test_metrics_in_log_lines_are_metrics(client, function, invoke, name):
    source = f"""
import json, time
def handler(event, context):
    metrics = [{{"Name": "Things", "Unit": "Count"}}]
    directive = {{"Namespace": "{name}", "Dimensions": [["service"]], "Metrics": metrics}}
    meta = {{"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}
    print(json.dumps({{"_aws": meta, "service": "test", "Things": [3.0]}}))
    print('{{"_aws": no json')
"""
    invoke(function(source))
    (metric,) = client("cloudwatch").list_metrics(Namespace=name)["Metrics"]
    assert metric["MetricName"] == "Things"
    assert metric["Dimensions"] == [{"Name": "service", "Value": "test"}]


def test_no_more_than_two_environments_work_at_once_and_idle_ones_end(client, session, function, invoke, until):
    source = "import os, time\ndef handler(event, context):\n    time.sleep(0.5)\n    return os.getpid()"
    name = function(source)
    pids = []

    def call():
        answer = session.client("lambda").invoke(FunctionName=name, Payload=b"null")
        pids.append(int(answer["Payload"].read()))

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 5
    assert len(set(pids)) <= 2
    until(lambda: not any(running(pid) for pid in pids))


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def image_function(client, name, role):
    command = {"EntryPoint": ["python", "-m", "awslambdaric"], "Command": ["tests.localcloud.image_function.handler"]}
    client("lambda").create_function(
        FunctionName=name,
        Role=role("lambda.amazonaws.com"),
        PackageType="Image",
        Code={"ImageUri": "local/example:latest"},
        ImageConfig=command,
        Timeout=20,
    )
    return name


def test_a_function_of_the_container_image_has_the_project_s_packages(image_function, invoke):
    assert invoke(image_function, [1, 2, 3]) == (6, False)


@pytest.fixture
def given_up(client, queue, received):
    """Invoke a function asynchronously; return the record of the event that its failure destination gets."""

    def wait(name, event, retries=0):
        url, arn = queue()
        client("lambda").put_function_event_invoke_config(
            FunctionName=name, MaximumRetryAttempts=retries, DestinationConfig={"OnFailure": {"Destination": arn}}
        )
        client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
        (record,) = received(url, seconds=20)
        return record

    return wait


def test_an_event_that_such_a_function_does_not_answer_goes_to_its_destination_with_what_was_asked(
    image_function, given_up
):
    assert given_up(image_function, {"Job": "a job"})["requestPayload"] == {"Job": "a job"}


def test_all_tries_of_an_event_have_one_request_id_and_the_record_of_its_failure_names_it(function, given_up):
    record = given_up(function("def handler(event, context): raise ValueError(context.aws_request_id)"), 1, retries=1)
    assert record["requestContext"]["requestId"] == record["responsePayload"]["errorMessage"]
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }


def test_the_record_of_an_event_that_found_no_room_has_no_answer(client, function, given_up):
    name = function("def handler(event, context): pass")
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    record = given_up(name, 1)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responsePayload" not in record
