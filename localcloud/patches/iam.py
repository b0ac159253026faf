"""IAM: condition keys of S3 and EventBridge, wildcards, secret sessions of functions, loopback as secure transport."""

from __future__ import annotations

import functools
import json
import re
import secrets
import threading
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

Credentials = dict[str, str]
_WILDCARDS = {"*": ".*", "?": "."}
_IF_NONE_MATCH = "if-none-match"
_LAMBDA_READS = {
    "GetFunctionConcurrency": re.compile(r"/[\d-]+/functions/[^/]+/concurrency/?"),
    "GetEventSourceMapping": re.compile(r"/[\d-]+/event-source-mappings/[^/]+/?"),
    "GetAccountSettings": re.compile(r"/[\d-]+/account-settings/?"),
}
_PUT_HEADERS = (
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
)


def install() -> None:
    """Install the patches of this service."""
    install_secure_transport()
    install_function_sessions()
    install_wildcards()
    install_condition_keys()
    install_lambda_actions()
    install_event_sources()


def install_secure_transport() -> None:
    """Report every request as encrypted, since the emulator listens on the loopback interface only.

    Bucket policies made by `enforce_ssl` deny everything else.
    """
    replace("app", "pin_request_origin", ("source_ip", "secure_transport"), _always_secure)


def _always_secure(original: Callable[..., Any]) -> Callable[..., Any]:
    def pin_request_origin(source_ip: str, _secure_transport: bool) -> Any:
        return original(source_ip, True)

    return pin_request_origin


def install_function_sessions() -> None:
    """Give each function one random session with its role for as long as this process lives.

    The emulator makes key, secret and token from the names of function and role. Those names are in the template, so
    that every reader of it could sign as any function.
    """
    emulator("services.sts", "register_session")
    replace("core.lambda_runtime", "execution_credentials", ("config",), lambda _original: _by_function())


def _by_function() -> Callable[[dict[str, Any]], Credentials]:
    given: dict[tuple[str, str], Credentials] = {}
    giving = threading.Lock()

    def execution_credentials(config: dict[str, Any]) -> Credentials:
        with giving:
            function = (config["FunctionArn"], config["Role"])
            if function not in given:
                given[function] = _session(config["Role"], config["FunctionName"])
            return given[function]

    return execution_credentials


def _session(role_arn: str, name: str) -> Credentials:
    """Register a session of the role with random credentials and return them."""
    account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
    emulator("services.sts").register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name[:64]}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def install_wildcards() -> None:
    """Let IAM's wildcards match any character, a line break too.

    The emulator's wildcards stop at a line break, and match before a last one. Keys of objects may have line breaks: a
    role that may read `uploads/*` may read them on AWS.
    """
    replace("core.iam_evaluator", "_fnmatch_compile", ("pattern", "ignore_case"), _any_character)


def _any_character(_original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.lru_cache(maxsize=4096)
    def fnmatch_compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        expression = "".join(_WILDCARDS.get(letter) or re.escape(letter) for letter in pattern)
        return re.compile(rf"{expression}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))

    return fnmatch_compile


def install_condition_keys() -> None:
    """Add the condition keys by which bucket policies bind puts: encryption, storage class, and creation.

    The emulator knows which encryption a put asks for, but not with which KMS key, whether with a key of the caller,
    and for which storage class. It obeys `if-none-match`, but does not pass it on to policies. A multipart upload
    creates its object when it is completed; its start and its parts carry no such header.
    """
    replace("core.iam_actions", "_s3_object_context", ("iam_action", "query_params", "path", "headers"), _with_keys)


def _with_keys(original: Callable[..., Any]) -> Callable[..., Any]:
    def object_context(iam_action: str, query_params: dict[str, Any], path: str, headers: dict[str, Any]) -> Any:
        context = original(iam_action, query_params, path, headers)
        if iam_action != "s3:PutObject":
            return context
        creates = "uploads" not in query_params and "partNumber" not in query_params
        given = {f"s3:{name}": headers[name] for name in (*_PUT_HEADERS, _IF_NONE_MATCH) if headers.get(name)}
        return {**context, **given, "s3:ObjectCreationOperation": str(creates).lower()}

    return object_context


def install_lambda_actions() -> None:
    """Name the requests that read Lambda's settings as AWS does; the emulator takes some for writes, or for lists."""
    replace("core.iam_actions", "_lambda_action", ("method", "path"), _reads)


def _reads(original: Callable[..., Any]) -> Callable[..., Any]:
    def lambda_action(method: str, path: str) -> str | None:
        for action, pattern in _LAMBDA_READS.items():
            if method == "GET" and pattern.fullmatch(path):
                return action
        other: str | None = original(method, path)
        return other

    return lambda_action


def install_event_sources() -> None:
    """Add the condition key `events:source`: the sources of all events that a PutEvents brings."""
    replace("core.iam_actions", "request_tag_context", ("service", "iam_action", "body", "params"), _with_sources)


def _with_sources(original: Callable[..., Any]) -> Callable[..., Any]:
    def request_context(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = original(service, iam_action, body, params)
        if iam_action != "events:PutEvents":
            return context
        return {**context, "events:source": [entry.get("Source", "") for entry in json.loads(body)["Entries"]]}

    return request_context
