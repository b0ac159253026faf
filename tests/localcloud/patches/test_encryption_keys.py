from __future__ import annotations

import pytest

from localcloud.patches import encryption_keys

KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@pytest.mark.parametrize("header", [KEY, "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class"])
def test_a_policy_knows_what_a_put_asks_for(module, header):
    actions = module("core.iam_actions")
    encryption_keys.install()
    for action, known in (("s3:PutObject", "asked"), ("s3:GetObject", None)):
        assert actions._s3_object_context(action, {}, "/bucket/key", {header: "asked"}).get(f"s3:{header}") == known


@pytest.mark.parametrize(
    ("action", "headers", "known"),
    [
        ("s3:PutObject", {KEY: "arn:key"}, "arn:key"),
        ("s3:PutObject", {}, None),
        ("s3:GetObject", {KEY: "arn:key"}, None),
    ],
)
def test_a_policy_knows_with_which_key_a_put_asks_to_be_encrypted(module, action, headers, known):
    actions = module("core.iam_actions")
    encryption_keys.install()
    context = actions._s3_object_context(action, {}, "/bucket/key", headers)
    assert context.get(f"s3:{KEY}") == known
