"""Removes the protocol's guards one at a time and sees these tests fail: each guard is needed, and watched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
Verdicts = dict[str, Future[subprocess.CompletedProcess[str]]]

GUARDS = {
    "claims are fenced by the batch's status": (
        "functions/aws/batches.py",
        '"ConditionExpression": "#Status = :claiming"',
        '"ConditionExpression": "#Status = :claiming OR attribute_exists(Id)"',
    ),
    "only pending rows are claimed": (
        "functions/aws/batches.py",
        '"#Status = :pending OR (#Status = :batched AND BatchId = :batch)"',
        '"#Status IN (:pending, :batched) OR BatchId = :batch"',
    ),
    "a taken slot is not taken again": (
        "functions/aws/batches.py",
        'NEW = "attribute_not_exists(Id)"',
        'NEW = "attribute_not_exists(Nothing)"',
    ),
    "a row leaves only the batch that holds it": (
        "functions/aws/index.py",
        '"#Status = :batched AND BatchId = :batch"',
        '"attribute_exists(UploadId) OR #Status = :batched AND BatchId = :batch"',
    ),
    "a new row overwrites none": (
        "functions/aws/index.py",
        '"attribute_not_exists(UploadId)"',
        '"attribute_not_exists(Nothing)"',
    ),
    "a batch's row is not erased": (
        "functions/aws/index.py",
        "if row.status == Status.BATCHED:",
        "if False:",
    ),
    "a row is erased only as it was seen": (
        "functions/aws/index.py",
        '"#Status = :status AND #UpdatedAt = :seen"',
        '"#Status = :status OR #UpdatedAt = :seen OR attribute_exists(UploadId)"',
    ),
    "a living row is not buried": (
        "functions/aws/index.py",
        '"attribute_not_exists(UploadId) OR #Status = :erased"',
        '"attribute_not_exists(UploadId) OR #Status = :erased OR attribute_exists(UploadId)"',
    ),
    "the copy of an object that was erased meanwhile goes too": (
        "functions/flow/intake.py",
        "if known.status == Status.ERASED:",
        "if False:",
    ),
    "an output must answer for the row's bytes": (
        "functions/domain/prediction.py",
        "if sha256 != expected_sha256:",
        "if False:",
    ),
    "a batch submits only what it owns": (
        "functions/flow/dispatching.py",
        "return row.status == Status.BATCHED and row.batch_id == batch_id",
        "return bool(row and batch_id)",
    ),
    "a slot is freed only by its holder": (
        "functions/aws/batches.py",
        'ConditionExpression="BatchId = :batch"',
        'ConditionExpression="BatchId = :batch OR attribute_exists(Id)"',
    ),
    "retries never share a job with new uploads": (
        "functions/domain/batch.py",
        "[row for row in oldest_first if row.retry_group == group]",
        "[row for row in oldest_first if row.retry_group == group or group]",
    ),
    "an upload that is read again has a copy of its own": (
        "functions/domain/layout.py",
        'if requeued_at else ""',
        'if requeued_at == "" else ""',
    ),
    "whoever collects marks the results of a withdrawn model": (
        "functions/flow/collecting.py",
        "self._mark_if_withdrawn(batch)",
        "self._manifest(batch)",
    ),
    "the sweep marks what the index had not shown": (
        "functions/flow/sweeping.py",
        "(not self._try_to_mark())",
        "0",
    ),
    "the champion is moved only from who it was": (
        "functions/aws/champion.py",
        '"PromotedAt = :current"',
        '"attribute_exists(Id) OR PromotedAt = :current"',
    ),
    "a changed artifact reads nothing": (
        "functions/flow/dispatching.py",
        "if not self.artifacts.is_intact(champion.artifact_sha256):",
        "if False:",
    ),
    "written rows are followed by a tick": (
        "functions/ingest.py",
        "if any(row.status == Status.PENDING for row in rows):",
        "if not rows:",
    ),
    "a batch moves on only from where it stands": (
        "functions/aws/batches.py",
        """f"#Status IN ({', '.join(among)})\"""",
        """f"#Status IN ({', '.join(among)}) OR attribute_exists(Id)\"""",
    ),
    "a document that is written once stays": (
        "functions/aws/objects.py",
        ', IfNoneMatch="*"',
        "",
    ),
    "only the withdrawn version's results are marked": (
        "functions/aws/index.py",
        '"#Status = :completed AND ModelPackage = :package AND attribute_not_exists(#WithdrawnAt)"',
        '"attribute_exists(UploadId) OR #Status = :completed AND ModelPackage = :package"',
    ),
    "only what the version completed is read again": (
        "functions/aws/index.py",
        '"#Status = :completed AND #ModelPackage = :package"',
        '"attribute_exists(UploadId) OR #Status = :completed AND #ModelPackage = :package"',
    ),
    "the first champion follows nobody": (
        "functions/aws/champion.py",
        '"attribute_not_exists(Id)"',
        '"attribute_not_exists(Nothing)"',
    ),
    "a job that runs is not collected": (
        "functions/flow/collecting.py",
        "if job is None or not job.status.ended:",
        "if job is None:",
    ),
    "copies are kept until their upload has ended": (
        "functions/flow/collecting.py",
        "over = [position for position, row in held if row.status.terminal]",
        "over = [position for position, row in held]",
    ),
    "a batch with an unsettled upload stays open": (
        "functions/flow/collecting.py",
        "if errors:  #",
        "if False:  #",
    ),
    "a batch whose job exists is left to its collector": (
        "functions/flow/dispatching.py",
        "if self.jobs.describe(name):",
        "if False:",
    ),
    "candidates are written before the batch is open": (
        "functions/flow/dispatching.py",
        "        self.work.write_once(layout.candidates_key(batch.batch_id), chosen)\n"
        "        return batch if self.batches.open(batch) else None",
        "        opened = self.batches.open(batch)\n"
        "        self.work.write_once(layout.candidates_key(batch.batch_id), chosen)\n"
        "        return batch if opened else None",
    ),
}


WATCHING = ("tests/functions/flow", "tests/functions/test_handlers.py")


def copied(folder: Path) -> Path:
    """The functions and these tests, where they can be changed; the rest of the house stays where it is."""
    for name in ("functions", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def watched(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the tests say of the functions in ``folder``, until the first that fails."""
    options = ("-x", "-p", "no:cacheprovider", "--ignore", "tests/functions/flow/test_guards.py")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *WATCHING],
        cwd=folder,
        env={**os.environ, "WETREAD_SCHEDULES": "60", "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def without(guard: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the tests say of the functions without this guard."""
    file, kept, removed = GUARDS[guard]
    changed = copied(folder) / file
    source = changed.read_text()
    assert source.count(kept) == 1, f"{file} has changed: the guard {kept!r} is not there once"
    changed.write_text(source.replace(kept, removed))
    return watched(folder)


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """The guards that are asked about, as many at once as there are cores."""
    asked = [item.callspec.params["guard"] for item in request.session.items if _asks(item)]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {guard: pool.submit(without, guard, tmp_path_factory.mktemp("guard")) for guard in asked}


def _asks(item: pytest.Item) -> bool:
    return "guard" in getattr(getattr(item, "callspec", None), "params", {})


def test_with_every_guard_in_its_place_the_same_tests_pass(tmp_path: Path) -> None:
    done = watched(copied(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("guard", GUARDS)
def test_a_protocol_without_this_guard_fails(guard: str, verdicts: Verdicts) -> None:
    done = verdicts[guard].result()
    assert done.returncode == 1, f"no test misses the guard: {guard}\n{done.stdout[-2000:]}"
    assert re.search(r"^1 failed, |, 1 failed, ", done.stdout.splitlines()[-1]), (
        f"not a failure:\n{done.stdout[-2000:]}"
    )
