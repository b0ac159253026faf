"""What an account says of the deployed stack: what doctor asks, an alarm, the state machine, rights to miss objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from wetread.connection import Connection
from wetread.operations.account import checks
from wetread.operations.check import CheckResult
from wetread.problems import FORBIDDEN
from wetread.smoke.table import Line, Verdict

NUMBERS = {
    "Image": "B1",
    "Quota": "B2",
    "Functions": "W4",
    "Lambda": "W4",
    "Alarm mail": "mail",
    "Key mail": "mail",
    "boto3 of the functions": "W2",
}
"""First words of the names of doctor's results -> the number of the question; the others have "doctor"."""
ACT_ON_ARTIFACTS = ("Approve", "Dispatch", "Promote", "Sweep")
"""Parts of the names of the functions that take a missing artifact for a missing one only if S3 answers 404."""
MISSING = "artifacts/smoke-missing/model.tar.gz"
UNKNOWN = frozenset({"UnknownOperationException", "InvalidAction", "UnsupportedOperation", "NotImplemented"})
"""Error codes of a cloud that lacks an operation."""


def examined(connection: Connection) -> Iterator[Line]:
    """Yield a line for each result of the checks that `wetread doctor` makes of the account."""
    for check in checks(connection):
        yield from map(line_of, check.results())


def line_of(result: CheckResult) -> Line:
    """Return the line of one of doctor's results; without an answer it is for later."""
    number = next((one for words, one in NUMBERS.items() if result.name.startswith(words)), "doctor")
    expected = "what `wetread doctor` calls well"
    if not result.is_known:
        return Line.later(number, result.name, expected, f"{result.found}. {result.remedy}")
    return Line.judged(number, result.name, expected, result.found, well=result.well)


def packages(connection: Connection) -> Iterator[Line]:
    """Yield the versions in the layers of the functions, compared with those that the stack was made with."""
    what, stated = "packages in the functions' layer", connection.deployment.function_packages
    if not stated:
        yield Line.later("W2", what, "versions", "the stack does not say them: deploy this version")
        return
    client = connection.client("lambda")
    layers = [{layer["Arn"] for layer in one.get("Layers", ())} for one in _functions(connection)]
    said = {arn: client.get_layer_version_by_arn(Arn=arn).get("Description", "") for arn in set().union(*layers)}
    well = bool(layers) and all(stated in {said[arn] for arn in arns} for arns in layers)
    yield Line.judged("W2", what, stated, "; ".join(sorted(set(said.values()))) or "no layer", well=well)


def _functions(connection: Connection) -> list[Any]:
    """Return the configurations of the stack's functions."""
    pages = connection.client("lambda").get_paginator("list_functions").paginate()
    return [
        one for page in pages for one in page["Functions"] if one["FunctionName"].startswith(f"{connection.stack}-")
    ]


def alarm(connection: Connection) -> Iterator[Line]:
    """Yield an alarm that is set by hand: it rings the topic once, and returns to its measured state."""
    topic = connection.deployment.alarm_topic_arn
    cloudwatch = connection.client("cloudwatch")
    alarms = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{connection.stack}-")
    ours = sorted(one["AlarmName"] for page in alarms for one in page["MetricAlarms"] if topic in one["AlarmActions"])
    name = next((one for one in ours if "UploadsFailed" in one), ours[0] if ours else "")
    if not name:
        yield Line.judged("mail", "an alarm with the topic as its action", "one", "none", well=False)
        return
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="wetread smoke: only a test")
    (state,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    seen = f"{name} is {state['StateValue']}. Look whether each subscriber of the topic gets a mail"
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
    """Yield what S3 answers you for an artifact that is not there, and whether functions may get the same answer.

    A caller without s3:ListBucket gets 403. You may list more than a function, so IAM is asked about their roles.
    """
    yield _missed_by_you(connection)
    yield _may_be_missed_by_functions(connection)


def _missed_by_you(connection: Connection) -> Line:
    what, expected = "HeadObject on a missing artifact, asked as you and not as a function", "404"
    try:
        connection.s3.head_object(Bucket=connection.deployment.models_bucket_name, Key=MISSING)
    except ClientError as error:
        seen = error_code(error)
        return Line.judged("W1", what, expected, seen, well=seen in {"404", "NoSuchKey"})
    return Line.judged("W1", what, expected, "an object", well=False)


def _may_be_missed_by_functions(connection: Connection) -> Line:
    what = "s3:ListBucket on the models bucket, simulated by IAM for the functions' roles"
    expected = ", ".join(f"{part} allowed" for part in ACT_ON_ARTIFACTS)
    functions, iam = _functions(connection), connection.client("iam")
    decisions = dict.fromkeys(ACT_ON_ARTIFACTS, "not found")
    try:
        for part in ACT_ON_ARTIFACTS:
            for one in (one for one in functions if part in one["FunctionName"]):
                decisions[part] = _decision(iam, one["Role"], connection.deployment.models_bucket_name)
    except ClientError as error:
        if error_code(error) not in FORBIDDEN | UNKNOWN:
            raise
        return Line.later("W1", what, expected, f"it may not be asked here ({error_code(error)})")
    seen = ", ".join(f"{part} {decision}" for part, decision in decisions.items())
    return Line.judged("W1", what, expected, seen, well=seen == expected)


def _decision(iam: Any, role: str, bucket: str) -> str:
    """Return IAM's decision on a role's wish to list a bucket. A request for an object has no prefix to allow."""
    partition = role.split(":")[1]
    answer = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["s3:ListBucket"], ResourceArns=[f"arn:{partition}:s3:::{bucket}"]
    )
    return str(answer["EvaluationResults"][0]["EvalDecision"])


def key_line(connection: Connection, number: str, what: str, uri: str) -> Line:
    """Return the line of an object's encryption: by the stage's key, or not."""
    bucket, key = layout.parse_uri(uri)
    head: dict[str, Any] = dict(connection.s3.head_object(Bucket=bucket, Key=key))
    seen = f"{head.get('ServerSideEncryption')}, {head.get('SSEKMSKeyId')}"
    expected = connection.deployment.data_key_arn
    return Line.judged(number, what, f"aws:kms, {expected}", seen, well=head.get("SSEKMSKeyId") == expected)
