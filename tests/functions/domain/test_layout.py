"""Keys are built and parsed in one place, whatever people call their objects."""

from __future__ import annotations

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


def test_outputs_name_their_upload_whatever_stands_before_the_basename() -> None:
    upload = layout.upload_id("a", "v1")
    for folder in ("outputs/job/", "outputs/job/instances/", "outputs/job/x/y/"):
        assert layout.upload_of_output(f"{folder}{layout.instance_name(upload)}.out") == upload
    assert layout.upload_of_output("outputs/job/_SUCCESS") is None
    assert layout.upload_of_instance(layout.instance_name(upload)) == upload


def test_job_names_carry_their_batch() -> None:
    name = layout.job_name("wetread", "20261123000000-0a1b2c3d")
    assert layout.batch_of_job("wetread", name) == "20261123000000-0a1b2c3d"
    assert layout.batch_of_job("wetread-prod", name) is None
    assert len(name) <= 63


def test_an_output_prefix_is_no_prefix_of_another_jobs() -> None:
    assert not layout.output_prefix("job-10").startswith(layout.output_prefix("job-1"))
