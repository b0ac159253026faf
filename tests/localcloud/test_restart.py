"""What a kill -9 of the launcher leaves behind: no process, and nearly all data."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import threading

import pytest

from localcloud import cloud
from localcloud.home import home_of
from localcloud.host import process
from tests.localcloud.example import PROJECT

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
SLEEPER = "import os, time\ndef handler(event, context):\n    print('sleeping', os.getpid())\n    time.sleep(event)"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EXAMPLE_HOME", str(tmp_path / "home"))
    yield home_of(PROJECT)
    cloud.down(PROJECT, wipe=True)


def populate(session, zipped):
    """Make everything that must survive, a job that runs for a minute, an endpoint, and a function that sleeps."""
    arn = session.client("iam").create_role(RoleName="all", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    session.client("iam").put_role_policy(RoleName="all", PolicyName="all", PolicyDocument=json.dumps(ALLOWED))
    s3 = session.client("s3")
    s3.create_bucket(Bucket="objects")
    s3.put_bucket_versioning(Bucket="objects", VersioningConfiguration={"Status": "Enabled"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    for key, body in {"key ü": b"old", "model.tar.gz": buffer.getvalue(), "in/slow": b"sleep 60"}.items():
        s3.put_object(Bucket="objects", Key=key, Body=body)
    s3.put_object(Bucket="objects", Key="key ü", Body=b"new")
    session.client("dynamodb").create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    session.client("dynamodb").put_item(TableName="table", Item={"Id": {"S": "row"}, "Value": {"N": "1"}})
    sqs = session.client("sqs")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="message")
    events_url = sqs.create_queue(QueueName="events")["QueueUrl"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "*", "Resource": "*"}
    sqs.set_queue_attributes(QueueUrl=events_url, Attributes={"Policy": json.dumps({"Statement": [statement]})})
    session.client("events").put_rule(Name="rule", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:events"}
    session.client("events").put_targets(Rule="rule", Targets=[target])
    sagemaker = session.client("sagemaker")
    container = {"Image": "x", "ModelDataUrl": "s3://objects/model.tar.gz"}
    sagemaker.create_model(ModelName="model", ExecutionRoleArn=arn, PrimaryContainer=container)
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    sagemaker.create_model_package(ModelPackageGroupName="group", ModelApprovalStatus="Approved")
    variant = {"VariantName": "main", "ModelName": "model", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="config", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="endpoint", EndpointConfigName="config")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://objects/in/"}
    sagemaker.create_transform_job(
        TransformJobName="job",
        ModelName="model",
        TransformInput={"DataSource": {"S3DataSource": source}},
        TransformOutput={"S3OutputPath": "s3://objects/out/"},
        TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    )
    session.client("lambda").create_function(
        FunctionName="sleeper",
        Runtime="python3.11",
        Handler="code.handler",
        Role=arn,
        Timeout=60,
        Code={"ZipFile": zipped({"code.py": SLEEPER})},
    )
    session.client("lambda").invoke(FunctionName="sleeper", Payload=b"60", InvocationType="Event")
    sqs.create_queue(QueueName="mapped", Attributes={"VisibilityTimeout": "60"})
    session.client("lambda").create_function(
        FunctionName="taker",
        Runtime="python3.11",
        Handler="code.handler",
        Role=arn,
        Code={"ZipFile": zipped({"code.py": "def handler(event, context): pass"})},
    )
    session.client("lambda").create_event_source_mapping(
        FunctionName="taker", EventSourceArn="arn:aws:sqs:us-east-1:000000000000:mapped"
    )
    return code_of_patient(session)


def code_of_patient(session):
    """Return the MAC of a message by the only key, which is made if it does not exist."""
    kms = session.client("kms")
    keys = [key["KeyId"] for key in kms.list_keys()["Keys"]]
    if not keys:
        keys = [kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]]
    return kms.generate_mac(KeyId=keys[0], Message=b"patient", MacAlgorithm="HMAC_SHA_256")["Mac"]


def children(home):
    """Return the process ids of the launcher's children: the reaper, two containers and an environment."""
    command = ["ps", "-A", "-o", "ppid=,pid="]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    pairs = [line.split() for line in listed]
    return [int(pid) for parent, pid in pairs if int(parent) == process.running(home)]


def saved(home, service):
    """Return the text of a service's latest snapshot."""
    path = home.services / f"{service}.json"
    return path.read_text() if path.exists() else ""


def check_survivors(session, code, until):
    assert code_of_patient(session) == code
    s3 = session.client("s3")
    versions = s3.list_object_versions(Bucket="objects", Prefix="key")["Versions"]
    bodies = [
        s3.get_object(Bucket="objects", Key="key ü", VersionId=version["VersionId"])["Body"].read()
        for version in versions
    ]
    assert bodies == [b"new", b"old"]
    item = session.client("dynamodb").get_item(TableName="table", Key={"Id": {"S": "row"}})["Item"]
    assert item["Value"] == {"N": "1"}
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "message"
    sagemaker = session.client("sagemaker")
    assert sagemaker.describe_model(ModelName="model")["ExecutionRoleArn"].endswith("role/all")
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="group")["ModelPackageSummaryList"]
    assert package["ModelApprovalStatus"] == "Approved"
    job = sagemaker.describe_transform_job(TransformJobName="job")
    assert (job["TransformJobStatus"], job["FailureReason"][:20]) == ("Failed", "InternalServerError:")
    until(lambda: sagemaker.describe_endpoint(EndpointName="endpoint")["EndpointStatus"] == "InService")
    session.client("sagemaker-runtime").invoke_endpoint(EndpointName="endpoint", Body=b"x")
    answer = session.client("lambda").invoke(FunctionName="sleeper", Payload=b"0")
    assert "FunctionError" not in answer
    mapped = sqs.get_queue_url(QueueName="mapped")["QueueUrl"]
    sqs.send_message(QueueUrl=mapped, MessageBody="x")

    def left():
        counts = sqs.get_queue_attributes(QueueUrl=mapped, AttributeNames=["All"])["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])

    until(lambda: left() == 0)


def announced(session):
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", [])
    details = [json.loads(message["Body"])["detail"] for message in messages]
    return [detail["TransformJobStatus"] for detail in details if "TransformJobStatus" in detail]


def test_a_killed_launcher_leaves_no_child_and_keeps_its_data(home, zipped, until):
    session = cloud.start(PROJECT).session()
    code = populate(session, zipped)
    pids = until(lambda: found if len(found := children(home)) >= 4 else None)
    until(lambda: all(status in saved(home, "sagemaker") for status in ("InProgress", "InService")))
    until(lambda: saved(home, "lambda"))
    until(lambda: "HMAC_256" in saved(home, "kms"))

    os.kill(process.running(home), signal.SIGKILL)

    until(lambda: not any(exists(pid) for pid in pids))
    assert cloud.current(PROJECT) is None
    session = cloud.start(PROJECT).session()
    check_survivors(session, code, until)
    assert "Failed" in announced(session)


def test_down_leaves_no_child_and_keeps_all_data(home, zipped, until):
    session = cloud.start(PROJECT).session()
    code = populate(session, zipped)
    pids = until(lambda: found if len(found := children(home)) >= 4 else None)

    cloud.down(PROJECT)

    until(lambda: not any(exists(pid) for pid in pids))
    session = cloud.start(PROJECT).session()
    check_survivors(session, code, until)
    assert sorted(announced(session)) == ["Failed", "InProgress"]


def test_snapshots_do_not_stop_while_everything_changes(home, until):
    """Requests continue while the state is copied, and a later snapshot has what they wrote."""
    session = cloud.start(PROJECT).session()
    sqs, ended = session.client("sqs"), threading.Event()
    url = sqs.create_queue(QueueName="busy")["QueueUrl"]

    def send():
        while not ended.is_set():
            sqs.send_message(QueueUrl=url, MessageBody="x")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        until(
            lambda: (home.services / "sqs.json").exists() and '"body": "x"' in (home.services / "sqs.json").read_text()
        )
    finally:
        ended.set()
        sender.join()
    sqs.send_message(QueueUrl=url, MessageBody="the last")
    until(lambda: "the last" in saved(home, "sqs"))


def exists(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")
