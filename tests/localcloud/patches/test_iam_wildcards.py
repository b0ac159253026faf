from __future__ import annotations

import pytest

from localcloud.patches import iam_wildcards

UPLOADS = "arn:aws:s3:::uploads/*"


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
    iam_wildcards.install()
    assert evaluator.fnmatch_iam_cs(value, pattern) is matches


def test_actions_match_in_any_case(module):
    evaluator = module("core.iam_evaluator")
    iam_wildcards.install()
    assert evaluator.fnmatch_iam("S3:getobject", "s3:Get*")
    assert not evaluator.fnmatch_iam("s3:PutObject", "s3:Get*")
