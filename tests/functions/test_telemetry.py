"""Only a handler configures logging; each of its lines has the invocation's request id, wherever it is logged."""

from __future__ import annotations

import importlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from functions import telemetry
from functions.domain.row import Row, Status

HANDLERS = ("approve", "collect", "dispatch", "gate", "ingest", "promote", "snapshot", "sweep")
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Yield the JSON lines that Lambda would write to CloudWatch."""
    stream = io.StringIO()
    handler = telemetry.logger.logger_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    handler.setStream(before)


def context(request_id: str) -> Any:
    return SimpleNamespace(aws_request_id=request_id)


QUIET = """
import importlib, logging, pkgutil, warnings
import boto3, pydicom

def configured():
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {one.name: one.handlers for one in loggers if getattr(one, "handlers", [])}
    return handlers, logging.root.level, logging.getLogger("pydicom").level, list(warnings.filters)

before = configured()
for package in ("functions.aws", "functions.flow", "functions.domain"):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
assert logging.getLogger("functions").handlers == []
assert configured() == before, (configured(), before)
"""


def test_importing_the_library_configures_no_logger_and_leaves_pydicoms_alone() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_line_of_a_library_module_is_json_with_its_fields(lines: Lines) -> None:
    row = Row(upload_id="ab" * 16, updated_at="2026", status=Status.BATCHED, content_sha256="cd" * 32)
    logging.getLogger("functions.flow.collecting").error("row not settled", extra={**row.log_fields, "tries": 2})
    (line,) = lines()
    assert line["name"] == "functions.flow.collecting"
    assert (line["level"], line["message"], line["tries"]) == ("ERROR", "row not settled", 2)
    assert (line["upload_id"], line["content_sha256"]) == ("ab" * 16, "cdcdcdcdcdcd")


def test_no_line_is_written_twice(lines: Lines) -> None:
    heard: list[logging.LogRecord] = []
    root = logging.Handler()
    root.emit = heard.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(root)  # as Lambda's own is
    try:
        logging.getLogger("functions.aws.jobs").warning("no room for a transform job")
    finally:
        logging.getLogger().removeHandler(root)
    assert (len(lines()), heard) == (1, [])


def test_each_line_has_the_request_id_and_whether_the_process_is_new(lines: Lines) -> None:
    @telemetry.traced
    def handler(_event: dict[str, Any], _context: Any) -> str:
        log = logging.getLogger("functions.flow.sweeping").info
        log("begun")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(log, ("in a thread", "in another")))
        return "answer"

    for request_id in ("first", "second"):
        assert handler({"Records": [{"body": "DOE^JANE.dcm"}]}, context(request_id)) == "answer"
    found = [(line["function_request_id"], line["cold_start"]) for line in lines()]
    assert found == [("first", True)] * 3 + [("second", False)] * 3
    assert "DOE" not in str(lines())


def test_a_failed_invocation_leaves_its_request_id_to_no_other(lines: Lines) -> None:
    @telemetry.traced
    def handler(event: dict[str, Any], _context: Any) -> None:
        logging.getLogger("functions.ingest").info("begun")
        event["absent"]

    for request_id in ("first", "second"):
        with pytest.raises(KeyError):
            handler({}, context(request_id))
    assert [line["function_request_id"] for line in lines()] == ["first", "second"]


@pytest.mark.parametrize("name", HANDLERS)
def test_every_handler_is_traced(name: str) -> None:
    handler = importlib.import_module(f"functions.{name}").handler
    wrapper = telemetry.traced(lambda _event, _context: None)
    assert handler.__code__ is wrapper.__code__, "traced is the outermost decorator"


def test_a_row_whose_content_is_not_known_yet_is_named_by_its_id_alone() -> None:
    row = Row(upload_id="ab" * 16, updated_at="2026", status=Status.RECEIVED)
    assert row.log_fields == {"upload_id": "ab" * 16}
