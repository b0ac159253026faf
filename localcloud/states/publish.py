"""The task `sns:publish`, which needs the use of the topic's key as well."""

from __future__ import annotations

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.patches.seam import emulator
from localcloud.states.calls import Document, Service, as_text, failure
from localcloud.states.execution import Execution

_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


def publish(execution: Execution, arguments: Document, endpoint: str) -> Document:
    """Publish a Message, a document as its JSON; answer `{"MessageId"}`."""
    message = arguments.get("Message", "")
    request = {**arguments, "Message": message if isinstance(message, str) else as_text(message)}
    with Service("sns", execution, endpoint) as topics:
        _check_key(execution, str(arguments.get("TopicArn", "")))
        return topics.call("publish", request)


def _check_key(execution: Execution, topic_arn: str) -> None:
    """Raise the error of a role that may not use the key that the topic's messages are encrypted with."""
    topic = emulator("services.sns", "_topics")._topics.get(topic_arn)
    key = topic["attributes"].get("KmsMasterKeyId") if topic else None
    if not key or str(key).startswith("alias/aws/"):
        return
    arn = key if str(key).startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT_ID}:key/{key}"
    enforce = emulator("core.iam_evaluator", "enforce").enforce
    for action in _KEY_ACTIONS:
        denied = enforce(execution.session.access_key, action, "kms", REGION, resource_arn=arn)
        if denied is not None:
            role = getattr(denied, "principal_arn", "The role")
            cause = f"{role} is not authorized to perform: {action} on resource: {arn} (Service: AmazonSNS)"
            raise failure("SNS.KMSAccessDeniedException", cause)
