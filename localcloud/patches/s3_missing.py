"""S3: a missing object is 403 to a caller who may not list its bucket.

botocore 1.43.106's model of S3, HeadObject (read on 2026-11-29): "If you have the s3:ListBucket permission on the
bucket, Amazon S3 returns an HTTP status code 404 Not Found error. If you don't have the s3:ListBucket permission,
Amazon S3 returns an HTTP status code 403 Forbidden error." GetObject says the same with "403 Access Denied". A request
for an object has no s3:prefix, so a permission under a condition on that key does not count: that is inferred from how
IAM compares a key that is absent; no source says it of this case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

Answer = tuple[int, dict[str, str], bytes]
_PARAMETERS = ("bucket_name", "key", "headers", "query_params")


def install() -> None:
    """Wrap the two reads of an object; the emulator answers 404 to everyone."""
    emulator("services.s3", "_error", "_buckets")
    for name in ("_get_object", "_head_object"):
        replace("services.s3", name, _PARAMETERS, _denied_without_list_bucket)


def _denied_without_list_bucket(original: Callable[..., Answer]) -> Callable[..., Answer]:
    s3 = emulator("services.s3")

    def read(bucket_name: str, key: str, headers: dict[str, str], query_params: dict[str, Any] | None = None) -> Answer:
        answer = original(bucket_name, key, headers, query_params)
        if answer[0] != 404 or bucket_name not in s3._buckets or _may_list(bucket_name, headers, query_params or {}):
            return answer
        denied: Answer = s3._error("AccessDenied", "Access Denied", 403, f"/{bucket_name}/{key}")
        return denied

    return read


def _may_list(bucket_name: str, headers: dict[str, str], query_params: dict[str, Any]) -> bool:
    caller = emulator("core.router", "extract_access_key_id").extract_access_key_id(headers, query_params)
    enforce = emulator("core.iam_evaluator", "enforce").enforce
    region = emulator("core.responses", "get_region").get_region()
    return enforce(caller, "s3:ListBucket", "s3", region, resource_arn=f"arn:aws:s3:::{bucket_name}") is None
