"""One run over S3 in memory: what it reads, what it leaves, and that it is the only one of its order."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from express.order import Order
from express.run import LEFT_SECONDS, NotRead, Reader, Running
from tests.fakes.s3 import FakeS3
from tests.fakes.wire import client_error

WORK = "work"
ORDER = Order.of(
    {
        "Job": "wetread-1",
        "Bucket": WORK,
        "Manifest": "batches/1/manifest.json",
        "Begun": "express/wetread-1/begun.json",
        "Ended": "express/wetread-1/ended.json",
        "Outputs": "outputs/wetread-1/",
        "Artifact": "s3://models/model.tar.gz",
        "ArtifactSHA256": "00",
    },
    "a1",
)


class World:
    def __init__(self, names: list[str]) -> None:
        self.s3, self.reported = FakeS3(), list[str]()
        manifest = [{"prefix": f"s3://{WORK}/instances/"}, *names]
        self.s3.objects[WORK, ORDER.manifest] = json.dumps(manifest).encode()
        for name in names:
            self.s3.objects[WORK, f"instances/{name}"] = name.encode()

    def run(
        self,
        read: Reader = lambda body: body.upper(),
        seconds_left: Callable[[], float] = lambda: 900.0,
        reader_of: Callable[[Order], Reader] | None = None,
    ) -> bool:
        running = Running(
            s3=self.s3,
            reader_of=reader_of or (lambda _order: read),
            report=self.reported.append,
            clock=lambda: datetime(2026, 11, 29, tzinfo=UTC),
        )
        return running.run(ORDER, seconds_left)

    def outputs(self) -> dict[str, bytes]:
        return {key: body for (_, key), body in self.s3.objects.items() if key.startswith("outputs/")}

    def ended(self) -> dict[str, str]:
        document: dict[str, str] = json.loads(self.s3.objects[WORK, ORDER.ended])
        return document


def test_each_object_of_the_manifest_has_its_output_and_the_end_is_reported() -> None:
    world = World(["a.dcm", "b.dcm"])
    assert world.run()
    assert world.outputs() == {"outputs/wetread-1/a.dcm.out": b"A.DCM", "outputs/wetread-1/b.dcm.out": b"B.DCM"}
    assert (world.ended()["Status"], world.reported) == ("Completed", ["wetread-1"])


def test_an_object_without_an_answer_keeps_no_other_from_its_own() -> None:
    world = World(["a.dcm", "b.dcm", "c.dcm"])

    def read(body: bytes) -> bytes | None:
        if body == b"b.dcm":
            raise ValueError("a text of the object")
        return body if body == b"a.dcm" else None

    world.run(read)
    assert list(world.outputs()) == ["outputs/wetread-1/a.dcm.out"]
    assert (world.ended()["Status"], world.ended()["Reason"]) == ("Failed", "It left 2 objects without an answer.")


def test_no_object_is_begun_shortly_before_lambda_ends_the_run() -> None:
    world = World(["a.dcm"])
    world.run(seconds_left=lambda: LEFT_SECONDS - 1)
    assert world.outputs() == {}
    assert world.ended()["Status"] == "Failed"


def test_a_second_invocation_reads_nothing_and_reports_nothing() -> None:
    world = World(["a.dcm"])
    world.run()
    world.s3.objects.pop((WORK, "outputs/wetread-1/a.dcm.out"))
    assert not world.run()
    assert world.outputs() == {}
    assert world.reported == ["wetread-1"]


def test_a_beginning_that_was_sent_twice_is_found_to_be_its_own() -> None:
    """The SDK sends a request again whose answer was lost, and then S3 says that the key exists."""
    world = World(["a.dcm"])
    put = world.s3.put_object

    def put_object(**request: Any) -> Any:
        put(**request)
        return put(**request)

    world.s3.put_object = put_object  # type: ignore[method-assign]
    assert world.run()
    assert len(world.outputs()) == 1


def test_a_model_that_is_not_what_it_must_be_reads_nothing() -> None:
    world = World(["a.dcm"])

    def reader_of(_order: Order) -> Reader:
        raise NotRead("Its artifact has another script.")

    world.run(reader_of=reader_of)
    assert world.ended()["Reason"] == "Its artifact has another script."


def test_the_record_quotes_no_error_s_text() -> None:
    world = World(["a.dcm"])

    def reader_of(_order: Order) -> Reader:
        raise ValueError("Doe^Jane")

    world.run(reader_of=reader_of)
    assert world.ended()["Reason"] == "It ended in ValueError."


def test_trouble_at_the_beginning_ends_the_invocation_which_lambda_then_reports() -> None:
    world = World(["a.dcm"])

    def put_object(**_request: object) -> None:
        raise client_error("SlowDown")

    world.s3.put_object = put_object  # type: ignore[method-assign,assignment]
    with pytest.raises(Exception, match="SlowDown"):
        world.run()
    assert world.reported == []
