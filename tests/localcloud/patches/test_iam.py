from __future__ import annotations

import pytest

from localcloud.patches import iam

UPLOADS = "arn:aws:s3:::uploads/*"
KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@pytest.mark.parametrize(
    ("value", "pattern", "matches"),
    [
        ("arn:aws:s3:::uploads/a\nb.dcm", UPLOADS, True),
        ("arn:aws:s3:::uploads/\n", UPLOADS, True),
        ("arn:aws:s3:::uploads/a\r\u2028b", UPLOADS, True),
        ("arn:aws:s3:::others/a\nb", UPLOADS, False),
        ("arn:aws:s3:::uploads/a\nb", "arn:aws:s3:::uploads/a?b", True),
        ("arn:aws:s3:::uploads/a\n", "arn:aws:s3:::uploads/a", False),
        ("arn:aws:s3:::uploads/aXb", "arn:aws:s3:::uploads/a.b", False),
        ("arn:aws:s3:::Uploads/a", UPLOADS, False),
    ],
)
def test_a_wildcard_matches_any_character_and_nothing_beyond_the_pattern(module, value, pattern, matches):
    evaluator = module("core.iam_evaluator")
    iam.install_wildcards()
    assert evaluator.fnmatch_iam_cs(value, pattern) is matches


def test_actions_match_in_any_case(module):
    evaluator = module("core.iam_evaluator")
    iam.install_wildcards()
    assert evaluator.fnmatch_iam("S3:getobject", "s3:Get*")
    assert not evaluator.fnmatch_iam("s3:PutObject", "s3:Get*")


@pytest.mark.parametrize("header", [KEY, "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class"])
def test_a_policy_knows_what_a_put_asks_for(module, header):
    actions = module("core.iam_actions")
    iam.install_condition_keys()
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
    iam.install_condition_keys()
    context = actions._s3_object_context(action, {}, "/bucket/key", headers)
    assert context.get(f"s3:{KEY}") == known


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/2019-09-30/functions/Ingest/concurrency", "GetFunctionConcurrency"),
        ("PUT", "/2017-10-31/functions/Ingest/concurrency", "PutFunctionConcurrency"),
        ("GET", "/2016-08-19/account-settings/", "GetAccountSettings"),
        ("GET", "/2015-03-31/event-source-mappings/7f2b", "GetEventSourceMapping"),
        ("GET", "/2015-03-31/event-source-mappings/", "ListEventSourceMappings"),
        ("GET", "/2015-03-31/functions/account-settings", "GetFunction"),
        ("POST", "/2015-03-31/functions/Ingest/invocations", "InvokeFunction"),
    ],
)
def test_a_request_that_reads_lambda_s_settings_is_no_write(module, method, path, action):
    actions = module("core.iam_actions")
    iam.install_lambda_actions()
    assert actions._lambda_action(method, path) == action


def test_a_policy_knows_the_sources_of_all_events_of_a_request(module):
    actions = module("core.iam_actions")
    iam.install_event_sources()
    body = b'{"Entries": [{"Source": "a"}, {"Source": "b"}, {}]}'
    assert actions.request_tag_context("events", "events:PutEvents", body, {})["events:source"] == ["a", "b", ""]
    assert "events:source" not in actions.request_tag_context("events", "events:PutRule", b"{}", {})
