from __future__ import annotations

import pytest

from wetread.local.mends import encryption_keys

KEY = "x-amz-server-side-encryption-aws-kms-key-id"


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
