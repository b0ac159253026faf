"""Keys are built and parsed in one place, whatever people call their objects."""

from __future__ import annotations

import hashlib

import pytest

from functions.domain import layout


def test_the_same_version_has_one_id_and_any_other_another() -> None:
    ids = {
        layout.upload_id("a", "v1"),
        layout.upload_id("a", "v2"),
        layout.upload_id("b", "v1"),
        layout.upload_id("ä b+c/" * 100, "v1"),
    }
    assert len(ids) == 4
    assert all(len(one) == 32 for one in ids)
    assert layout.upload_id("a", "v1") in ids


def test_outputs_name_their_upload_whatever_precedes_the_basename() -> None:
    upload = layout.upload_id("a", "v1")
    for folder in ("outputs/job/", "outputs/job/instances/", "outputs/job/x/y/"):
        assert layout.upload_of_output(f"{folder}{layout.instance_name(upload)}.out") == upload
    assert layout.upload_of_output("outputs/job/_SUCCESS") is None
    assert layout.upload_of_instance(layout.instance_name(upload)) == upload


def test_an_upload_that_is_read_again_has_another_copy_and_the_same_id() -> None:
    upload = layout.upload_id("a", "v1")
    first, again = layout.instance_name(upload), layout.instance_name(upload, "2026-11-23T07:00:00.123Z")
    assert (first, again) == (f"{upload}.dcm", f"{upload}-20261123070000123.dcm")
    assert layout.upload_of_instance(again) == layout.upload_of_output(f"outputs/j/{again}.out") == upload


def test_a_run_is_named_by_its_execution() -> None:
    assert layout.run_id("b1946ac9-a") == hashlib.sha256(b"b1946ac9-a").hexdigest()[:12]
    assert layout.snapshot_key("0a1b") == "runs/0a1b/snapshot.json"


def test_a_uri_is_bucket_and_key() -> None:
    assert layout.parse_uri(layout.uri("bucket", "a/b c.json")) == ("bucket", "a/b c.json")
    for text in ("", "bucket/key", "s3://", "s3://bucket", "s3:///key", "https://bucket/key"):
        with pytest.raises(ValueError, match="not of the form"):
            layout.parse_uri(text)


def test_job_names_carry_their_batch() -> None:
    name = layout.job_name("wetread", "20261123000000-0a1b2c3d")
    assert layout.batch_of_job("wetread", name) == "20261123000000-0a1b2c3d"
    assert layout.batch_of_job("wetread-prod", name) is None
    assert len(name) <= 63


def test_an_output_prefix_is_not_a_prefix_of_another_jobs() -> None:
    assert not layout.output_prefix("job-10").startswith(layout.output_prefix("job-1"))
