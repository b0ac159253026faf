"""A new account has no hosts: every command says so with the remedy, and what was sent is answered when it has some."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from functions.domain.row import Status
from tests.e2e.conftest import Service, running
from wetread.demo.phantoms import phantom_bytes, write_cohort

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NONE = "ml.m5.xlarge for transform job usage=0, ml.m5.2xlarge for training job usage=0"
REMEDY = "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code L-"


def doctor(service: Service) -> dict[str, dict[str, str]]:
    """Return what doctor finds, by the names of its checks."""
    return {one["Name"]: one for one in json.loads(service.command("doctor", "--json").stdout)}


def shown_within(service: Service, words: str, seconds: float) -> None:
    """Wait until `wetread status` shows these words."""
    deadline = time.monotonic() + seconds
    while words not in (shown := " ".join(service.command("status").stderr.split())):
        assert time.monotonic() < deadline, shown
        time.sleep(1)


def test_a_quota_of_0_is_said_by_every_command_and_what_waited_is_answered_when_it_is_raised(
    tmp_path: Path, artifact: Path
) -> None:
    home, slice_, labels = tmp_path / "home", tmp_path / "slice.dcm", tmp_path / "labels"
    slice_.write_bytes(phantom_bytes("cap", 1, 0, size=128, seed=1))
    write_cohort(labels, patients=3, slices_per_patient=1, size=128)

    with running(home, artifact, WETREAD_SAGEMAKER_QUOTAS=NONE) as service:
        found = doctor(service)
        for name in ("Quota of transform jobs", "Quota of training jobs"):
            assert found[name]["Well"] is False, found[name]
            assert found[name]["Found"].endswith("No job can start.")
            assert REMEDY in found[name]["Remedy"]
        assert found["Quota of processing jobs"]["Well"] is True, found

        refused = service.command("train", "--labels", str(labels))
        assert refused.returncode == 2
        assert "'ml.m5.2xlarge for training job usage' is 0" in refused.stderr
        assert REMEDY in refused.stderr
        bucket = service.connection.deployment.training_bucket_name
        assert service.connection.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        assert service.connection.runs.newest(1) == []

        sent = service.command("submit", "--json", str(slice_))
        assert sent.returncode == 0
        assert "'ml.m5.xlarge for transform job usage' is 0" in sent.stderr
        assert REMEDY in sent.stderr
        (upload,) = json.loads(sent.stdout)
        shown_within(service, "has had no host for", seconds=240)
        row = service.connection.index.get_many([upload["UploadId"]])[upload["UploadId"]]
        assert row.status == Status.BATCHED, row
        assert service.jobs() == []

    with running(home, artifact, champion=False) as service:
        rows = service.rows({"slice": upload["UploadId"]})
        assert rows["slice"].status == Status.COMPLETED, rows
        assert doctor(service)["Quota of transform jobs"]["Well"] is True
        assert "no host" not in service.command("status").stderr
