"""The express lane in the deployed template: a lone upload is read by the function, and by a job where that dies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.domain.lane import Lane, lane_of
from functions.domain.row import Status
from tests.e2e.conftest import Service, running
from wetread.demo.phantoms import phantom_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def express(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("home"), artifact, settings={"express": True, "express_max": 20}) as service:
        yield service


def slices(count: int, patient: int) -> dict[str, bytes]:
    return {f"{patient}/{n}.dcm": phantom_bytes("cap", patient, n, size=128, seed=11) for n in range(count)}


def test_a_lone_upload_is_answered_by_the_lane_and_named_so(express: Service) -> None:
    uploads = express.put_all(slices(1, patient=1))
    (row,) = express.rows(uploads).values()
    assert (row.status, row.lane) == (Status.COMPLETED, "express")
    assert express.jobs() == []
    shown = express.command("results", "--key", row.key, "--json")
    assert '"Lane": "express"' in shown.stdout, shown


def test_a_warm_run_and_a_job_give_one_slice_the_same_answer(express: Service) -> None:
    few, many = slices(1, patient=2), slices(30, patient=2)
    (lone,) = express.rows(express.put_all(few)).values()
    rows = express.rows(express.put_all(many))
    assert {lane_of(row) for row in rows.values()} == {Lane.TRANSFORM}
    (same,) = [row for key, row in rows.items() if key in few]
    assert (lone.lane, lone.probabilities) == ("express", same.probabilities)


def test_a_run_that_is_killed_leaves_its_uploads_to_a_job(express: Service) -> None:
    """The function's process is ended by its memory limit, as soon as it holds anything at all."""
    functions = express.connection.client("lambda")
    (name,) = [one["FunctionName"] for one in functions.list_functions()["Functions"] if one["PackageType"] == "Image"]
    memory = functions.get_function_configuration(FunctionName=name)["MemorySize"]
    functions.update_function_configuration(FunctionName=name, MemorySize=128, Timeout=2)
    try:
        rows = express.rows(express.put_all(slices(2, patient=3)))
    finally:
        functions.update_function_configuration(FunctionName=name, MemorySize=memory, Timeout=900)
    assert {(row.status, lane_of(row), row.attempt) for row in rows.values()} == {(Status.COMPLETED, Lane.TRANSFORM, 0)}


def test_status_names_the_lane_of_a_slot(express: Service) -> None:
    express.put_all(slices(1, patient=4))
    deadline = time.monotonic() + 60
    seen: set[str] = set()
    while "express" not in seen and time.monotonic() < deadline:
        slots = json.loads(express.command("status", "--json").stdout)["Slots"]
        seen |= {one["Lane"] for one in slots if one["BatchId"]}
    assert "express" in seen
