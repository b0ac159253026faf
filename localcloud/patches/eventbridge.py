"""EventBridge: queue policies are checked, Lambda targets get retries, failures go to the target's dead letters.

The emulator checks no queue policy, tries a Lambda target once, and drops what it cannot deliver.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

_log = logging.getLogger(__name__)


def install() -> None:
    """Wrap the delivery to one target, and replace the delivery to Lambda."""
    emulator("services.sqs", "_queue_by_arn", "queue_policy_allows")
    emulator("services.lambda_svc", "_get_func_record_for_ref", "_execution_record_for_config")
    emulator("services.lambda_svc", "invoke_async_with_retry")
    emulator("services.eventbridge", "_dispatch_to_sqs", "_pattern_event_view", "parse_arn")
    replace("services.eventbridge", "_invoke_target", ("target", "event", "rule", "view"), _with_dead_letters)
    replace("services.eventbridge", "_dispatch_to_lambda", ("arn", "payload"), _asynchronously)


def _with_dead_letters(original: Callable[..., Any]) -> Callable[..., Any]:
    events = emulator("services.eventbridge")

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        refusal = _refusal(target["Arn"], rule)
        if refusal is None:
            original(target, event, rule, view)
            return
        _log.error("EventBridge rule %s: %s", rule["Name"], refusal)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue and _refusal(queue, rule) is None:
            document = (view or events._pattern_event_view(event)).event_with_detail()
            events._dispatch_to_sqs(events.parse_arn(queue), json.dumps(document))

    return invoke_target


def _refusal(arn: str, rule: dict[str, Any]) -> str | None:
    """Return why EventBridge cannot deliver to this target, or None."""
    service, account = arn.split(":")[2], arn.split(":")[4]
    if service == "sqs":
        sqs = emulator("services.sqs")
        if sqs._queue_by_arn(arn) is None:
            return f"the target queue {arn} does not exist"
        if not sqs.queue_policy_allows(arn, "events.amazonaws.com", rule["Arn"], account):
            return f"the policy of {arn} does not let events.amazonaws.com send messages for {rule['Arn']}"
    if service == "lambda" and emulator("services.lambda_svc")._get_func_record_for_ref(arn)[0] is None:
        return f"the target function {arn} does not exist"
    return None


def _asynchronously(_original: Callable[..., Any]) -> Callable[..., Any]:
    functions = emulator("services.lambda_svc")

    def dispatch_to_lambda(arn: str, payload: str) -> None:
        function, configuration, _name = functions._get_func_record_for_ref(arn)
        record = functions._execution_record_for_config(function, configuration)
        functions.invoke_async_with_retry(record, json.loads(payload))

    return dispatch_to_lambda
