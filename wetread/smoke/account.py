"""What an account says of the deployed stack: image, functions, mail, the state machine, and rights to miss objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from wetread.connection import Connection
from wetread.smoke.table import Line, Verdict

ECR = re.compile(r"(?P<registry>\d{12})\.dkr\.ecr\..+?/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?")
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
NEW_ACCOUNT = 10
"""Lambda's concurrent executions in some new accounts: the fewest that the service is made for."""
MISSING = "artifacts/smoke-missing/model.tar.gz"
UNKNOWN = frozenset({"UnknownOperationException", "InvalidAction", "UnsupportedOperation", "NotImplemented"})
"""Error codes of a cloud that lacks an operation."""


def image(connection: Connection) -> Iterator[Line]:
    """Yield the kind of manifest that the image has: SageMaker makes no model of an OCI one."""
    what = "manifest of the image"
    found = ECR.fullmatch(connection.deployment.image_uri)
    if found is None:
        yield Line.later("B1", what, DOCKER_MANIFEST, f"{connection.deployment.image_uri} is not in ECR")
        return
    wanted = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"] or "latest"}
    answer = connection.client("ecr").describe_images(
        registryId=found["registry"], repositoryName=found["repository"], imageIds=[wanted]
    )
    kind = answer["imageDetails"][0].get("imageManifestMediaType", "not said")
    yield Line.judged("B1", what, DOCKER_MANIFEST, kind, well=kind == DOCKER_MANIFEST)


def functions(connection: Connection) -> Iterator[Line]:
    """Yield Lambda's room in this account, and the versions that the functions run with."""
    client = connection.client("lambda")
    room = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    yield Line.judged("W4", "Lambda's concurrent executions", f"{NEW_ACCOUNT} or more", room, well=room >= NEW_ACCOUNT)
    pages = client.get_paginator("list_functions").paginate()
    ours = [
        one for page in pages for one in page["Functions"] if one["FunctionName"].startswith(f"{connection.stack}-")
    ]
    seen = sorted({f"{one.get('Runtime')}, {len(one.get('Layers', []))} layer" for one in ours})
    yield Line.judged("W2", "runtime and layers of the functions", "one kind", "; ".join(seen), well=len(seen) == 1)


def mail(connection: Connection) -> Iterator[Line]:
    """Yield the state of the alarm topic's subscriptions, ring one alarm by hand, and let it return to OK."""
    topic = connection.deployment.alarm_topic_arn
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscribed = [one for page in pages for one in page["Subscriptions"]]
    waiting = sum(not one["SubscriptionArn"].startswith("arn:") for one in subscribed)
    yield Line.judged(
        "mail",
        "subscriptions of the alarm topic",
        "none unconfirmed",
        f"{len(subscribed) - waiting} confirmed, {waiting} unconfirmed",
        well=not waiting,
    )
    cloudwatch = connection.client("cloudwatch")
    alarms = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{connection.stack}-")
    ours = sorted(one["AlarmName"] for page in alarms for one in page["MetricAlarms"] if topic in one["AlarmActions"])
    name = next((one for one in ours if "UploadsFailed" in one), ours[0] if ours else "")
    if not name:
        yield Line.judged("mail", "an alarm with the topic as its action", "one", "none", well=False)
        return
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="wetread smoke: only a test")
    (state,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    seen = f"{name} is {state['StateValue']}. Did a mail arrive? Look"
    # CloudWatch takes it back to its measured state at its next evaluation.
    verdict = Verdict.LOOK if state["StateValue"] == "ALARM" else Verdict.FAILED
    yield Line("mail", "an alarm that was set by hand", "ALARM, and a mail", seen, verdict)


def state_machine(connection: Connection) -> Iterator[Line]:
    """Yield what Step Functions says of the deployed definition."""
    what, expected = "validate-state-machine-definition", "OK"
    arn = connection.deployment.training_state_machine_arn
    definition = connection.stepfunctions.describe_state_machine(stateMachineArn=arn)["definition"]
    try:
        answer = connection.stepfunctions.validate_state_machine_definition(definition=definition)
    except ClientError as error:
        if error_code(error) not in UNKNOWN:
            raise
        yield Line.later("R1", what, expected, f"this cloud does not have it ({error_code(error)})")
        return
    seen = "; ".join(f"{one['code']} at {one.get('location', '?')}" for one in answer["diagnostics"])
    yield Line.judged("R1", what, expected, f"{answer['result']} {seen}".rstrip(), well=answer["result"] == "OK")


def missing_artifact(connection: Connection) -> Iterator[Line]:
    """Yield what S3 answers you for an artifact that is not there; a caller without s3:ListBucket gets 403."""
    what, expected = "HeadObject on a missing artifact, as you", "404"
    try:
        connection.s3.head_object(Bucket=connection.deployment.models_bucket_name, Key=MISSING)
    except ClientError as error:
        seen = error_code(error)
        yield Line.judged("W1", what, expected, seen, well=seen in {"404", "NoSuchKey"})
        return
    yield Line.judged("W1", what, expected, "an object", well=False)


def key_line(connection: Connection, number: str, what: str, uri: str) -> Line:
    """Return the line of an object's encryption: by the stage's key, or not."""
    bucket, key = layout.parse_uri(uri)
    head: dict[str, Any] = dict(connection.s3.head_object(Bucket=bucket, Key=key))
    seen = f"{head.get('ServerSideEncryption')}, {head.get('SSEKMSKeyId')}"
    expected = connection.deployment.data_key_arn
    return Line.judged(number, what, f"aws:kms, {expected}", seen, well=head.get("SSEKMSKeyId") == expected)
