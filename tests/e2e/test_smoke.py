"""`wetread smoke` in the local cloud: every line that a cloud without an account can answer is well."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ANSWERED = {
    "B2",
    "C2",
    "R2",
    "R3",
    "R4",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "R14",
    "W1",
    "W2",
    "W4",
    "doctor",
    "rows",
    "train",
    "mail",
}


def test_a_smoke_test_sees_every_line_changes_no_champion_and_leaves_what_one_command_erases(service: Service) -> None:
    before = service.connection.registry.champion()
    done = service.command("smoke", "--yes")
    cells = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    lines = cells[2:]
    assert [line for line in lines if line[-1] == "FAILED"] == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert {line[0] for line in lines if line[-1] in {"ok", "look"}} >= ANSWERED
    witnesses = {line[1] for line in lines if line[0] in {"W1", "W2"} and line[-1] == "ok"}
    assert len(witnesses) == 4, witnesses
    assert service.connection.registry.champion() == before
    assert service.connection.client("sagemaker").list_endpoints()["Endpoints"] == []
    study = done.stderr.split("erase --study ")[1].split()[0]
    found = service.command("erase", "--study", study)
    assert "Nothing was changed" in found.stderr, found.stderr
    assert "5" in found.stdout, found.stdout
    bucket = service.connection.deployment.uploads_bucket_name
    assert len(service.connection.s3.list_objects_v2(Bucket=bucket, Prefix="smoke/")["Contents"]) == 5
