"""Every upload has a row that is terminal or moves, whatever reading its object does; it costs no neighbour a try."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore import exceptions

from functions import ingest
from functions.domain.errors import RefusalCode
from functions.domain.row import Row, Status
from functions.flow.ingesting import MOST_TRIES
from tests.fakes.aws_errors import UNKNOWN
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import UPLOADS, WORK, World
from tests.simulation.actors import Crash

OWN_KEY = "arn:aws:kms:eu-west-1:111111111111:key/11111111-own"
OTHER_KEY = "arn:aws:kms:eu-west-1:222222222222:key/22222222-other"
AT_ONCE = {
    "NoSuchKey": RefusalCode.OBJECT_GONE,
    "NoSuchVersion": RefusalCode.OBJECT_GONE,
    "InvalidObjectState": RefusalCode.ARCHIVED,
    "ObjectNotInActiveTierError": RefusalCode.ARCHIVED,
    "InvalidRequest": RefusalCode.CUSTOMER_KEY,
}
TROUBLE = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "ExpiredToken", "AccessDenied")


def failing(operation: str, error: BaseException) -> World:
    def interfere(asked: str, when: str) -> None:
        if (asked, when) == (operation, "before"):
            raise error

    return World(interfere=interfere)


def redelivered(world: World, event: Any) -> Row:
    """Return the row after as many deliveries as SQS makes in ten minutes: one at once, and one every two minutes."""
    for delivery in range(1, 6):
        try:
            row = world.ingesting.take(event, delivery=delivery)
        except (Exception, Crash):
            world.wait(120)
        else:
            if row.status.terminal:
                return row
    return world.row(event)


@pytest.mark.parametrize("operation", ["get_object", "copy_object"])
@pytest.mark.parametrize("code", sorted(AT_ONCE))
def test_what_s3_refuses_for_good_is_refused_at_once(operation: str, code: str) -> None:
    world = failing(operation, client_error(code, "says S3 of DOE^JOHN.dcm"))
    row = world.ingesting.take(world.upload("DOE^JOHN.dcm", ct()))
    assert (row.status, row.code) == (Status.REFUSED, AT_ONCE[code])
    assert row.reason
    assert row.reason.endswith(".")
    assert "DOE" not in row.reason


def test_an_unknown_error_is_named_on_the_row() -> None:
    world = failing("copy_object", client_error(UNKNOWN, "of DOE^JOHN.dcm"))
    event = world.upload("DOE^JOHN.dcm", ct())
    row = redelivered(world, event)
    assert (row.status, row.code) == (Status.REFUSED, RefusalCode.INGEST_FAILED)
    assert UNKNOWN in str(row.reason)
    assert world.ingesting.take(event, delivery=6) == row


def test_a_bug_of_the_service_is_named_only_by_its_class() -> None:
    world = failing("generate_mac", LookupError("DOE^JOHN"))
    row = redelivered(world, world.upload("a.dcm", ct()))
    assert row.code == RefusalCode.INGEST_FAILED
    assert "LookupError" in str(row.reason)
    assert "DOE" not in str(row.reason)


@pytest.mark.parametrize("code", [*TROUBLE, "KMS.ThrottlingException"])
@pytest.mark.parametrize("operation", ["get_object", "copy_object", "generate_mac"])
def test_aws_trouble_never_ends_as_a_refusal(operation: str, code: str) -> None:
    world = failing(operation, client_error(code))
    row = redelivered(world, world.upload("a.dcm", ct()))
    assert (row.status, row.code) == (Status.RECEIVED, code)


NO_WAY = {"endpoint_url": "https://s3", "error": "no route", "request": None, "name": "x", "msg": "x"}


@pytest.mark.parametrize(
    "error",
    [
        exceptions.EndpointConnectionError(**NO_WAY),
        exceptions.ConnectTimeoutError(**NO_WAY),
        exceptions.ReadTimeoutError(**NO_WAY),
        exceptions.SSLError(**NO_WAY),
        exceptions.ConnectionClosedError(**NO_WAY),
        exceptions.ResponseStreamingError(**NO_WAY),
        exceptions.NoCredentialsError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_request_that_never_reached_aws_refuses_no_upload(error: Exception) -> None:
    world = failing("get_object", error)
    row = redelivered(world, world.upload("a.dcm", ct()))
    assert (row.status, row.code) == (Status.RECEIVED, type(error).__name__)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_of_a_server_in_trouble_is_trouble_whatever_its_name(status: int) -> None:
    error = client_error(UNKNOWN, ResponseMetadata={"HTTPStatusCode": status})
    world = failing("get_object", error)
    assert redelivered(world, world.upload("a.dcm", ct())).status == Status.RECEIVED


def test_a_throttled_index_refuses_no_upload() -> None:
    world = failing("put_item", client_error("ProvisionedThroughputExceededException"))
    event = world.upload("a.dcm", ct())
    for delivery in range(1, 40):
        with pytest.raises(Exception, match="ProvisionedThroughputExceeded"):
            world.ingesting.take(event, delivery=delivery)
    world.clients["dynamodb"].interfere = lambda _operation, _when: None
    assert world.ingesting.take(event, delivery=40).status == Status.PENDING


@pytest.mark.parametrize(
    ("message", "key", "code"),
    [
        (f"not authorized to perform: kms:Decrypt on resource: {OTHER_KEY} because", "", RefusalCode.FOREIGN_KEY),
        ("Access Denied", OTHER_KEY, RefusalCode.FOREIGN_KEY),
        (f"not authorized to perform: kms:Decrypt on resource: {OWN_KEY} because", "", None),
        ("Access Denied", OWN_KEY, None),
        ("Access Denied", "", None),
    ],
)
def test_an_object_under_another_key_is_refused_and_the_loss_of_our_own_is_trouble(
    message: str, key: str, code: RefusalCode | None
) -> None:
    world = failing("get_object", client_error("AccessDenied", message))
    world.ingesting.uploads._data_key_arn = OWN_KEY
    world.s3.head_object = lambda **_request: {"SSEKMSKeyId": key} if key else {}  # type: ignore[method-assign]
    row = redelivered(world, world.upload("a.dcm", ct()))
    assert (row.status, row.code) == ((Status.REFUSED, code) if code else (Status.RECEIVED, "AccessDenied"))


@pytest.mark.parametrize("operation", ["get_object", "copy_object"])
@pytest.mark.parametrize(
    ("refused", "seen", "code"),
    [
        ("403", {"StorageClass": "GLACIER"}, RefusalCode.ARCHIVED),
        ("403", {"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'}, RefusalCode.ARCHIVED),
        ("403", {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"}, RefusalCode.ARCHIVED),
        ("403", {"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="x"'}, None),
        ("403", {"StorageClass": "GLACIER_IR"}, None),
        ("403", {"SSEKMSKeyId": OTHER_KEY}, RefusalCode.FOREIGN_KEY),
        ("403", "404", RefusalCode.OBJECT_GONE),
        ("403", "405", RefusalCode.OBJECT_GONE),
        ("403", "403", None),
        ("403", "503", None),
        ("400", "400", RefusalCode.CUSTOMER_KEY),
        ("KMS.NotFoundException", "404", RefusalCode.OBJECT_GONE),
        ("KMS.DisabledException", {"SSEKMSKeyId": OTHER_KEY}, RefusalCode.FOREIGN_KEY),
        ("KMS.DisabledException", {"SSEKMSKeyId": OWN_KEY}, None),
        ("405", {}, RefusalCode.OBJECT_GONE),
    ],
)
def test_what_s3_s_code_leaves_open_the_object_s_attributes_decide(
    operation: str, refused: str, seen: dict[str, str] | str, code: RefusalCode | None
) -> None:
    """An answer without a body has no code but its status, and "denied" has many causes."""

    def head_object(**_request: object) -> dict[str, str]:
        if isinstance(seen, str):
            raise client_error(seen)
        return seen

    world = failing(operation, client_error(refused))
    world.ingesting.uploads._data_key_arn = OWN_KEY
    world.s3.head_object = head_object  # type: ignore[method-assign]
    event = world.upload("a.dcm", ct())
    if code is None:
        with pytest.raises(exceptions.ClientError):
            world.ingesting.take(event)
        assert world.row(event).code == refused
    else:
        assert world.ingesting.take(event).code == code


@pytest.mark.parametrize("operation", ["get_object", "copy_object", "generate_mac"])
def test_an_object_that_kills_every_function_is_refused_unread(operation: str) -> None:
    world = failing(operation, Crash())
    event = world.upload("a.dcm", ct())
    for delivery in range(1, 2 + MOST_TRIES):
        with pytest.raises(Crash):
            world.ingesting.take(event, delivery=delivery)
        assert delivery == 1 or world.row(event).status == Status.RECEIVED, "people see that it is tried"
    reads, copies = world.s3.reads, world.s3.copies
    row = world.ingesting.take(event, delivery=2 + MOST_TRIES)
    assert (row.status, row.code) == (Status.REFUSED, RefusalCode.INGEST_FAILED)
    assert "cut off" in str(row.reason)
    assert (world.s3.reads, world.s3.copies) == (reads, copies), "it was touched again"


def test_a_function_that_was_not_run_in_time_costs_an_upload_no_try() -> None:
    """Lambda without capacity returns messages unread, and SQS counts each delivery."""
    world = World()
    assert world.ingesting.take(world.upload("a.dcm", ct()), delivery=49).status == Status.PENDING


def test_a_try_that_was_cut_off_is_forgiven_when_the_next_one_ends() -> None:
    killed = [True, True]

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("copy_object", "before") and killed:
            killed.pop()
            raise Crash

    world = World(interfere=interfere)
    event = world.upload("a.dcm", ct())
    row = redelivered(world, event)
    assert row.status == Status.PENDING
    assert world.s3.objects[WORK, f"instances/{row.upload_id}.dcm"] == ct()


def test_a_late_delivery_leaves_a_row_that_has_moved_on() -> None:
    world = World()
    event = world.upload("a.dcm", ct())
    first = world.ingesting.take(event)
    assert world.ingesting.take(event, delivery=9) == first


class Context:
    """Lambda's context: so many milliseconds left, each question a second later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        self.seconds -= 1
        return int(1000 * self.seconds)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(ingest, "_parts", lambda: (world.ingesting, world.ticks))
    monkeypatch.setattr(ingest, "WORKERS", 1)
    monkeypatch.setattr("functions.wiring.now", world.clock)
    return world


def record(world: World, number: int, delivery: int = 1, **changes: Any) -> dict[str, Any]:
    event = world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}"))
    s3_object = {"key": event.key, "size": event.size, "version-id": "v1", "sequencer": "01"} | changes
    detail = {"bucket": {"name": UPLOADS}, "object": s3_object}
    body = json.dumps({"time": event.time, "detail": detail})
    return {"messageId": str(number), "body": body, "attributes": {"ApproximateReceiveCount": str(delivery)}}


def test_no_message_is_begun_when_time_is_short_and_those_that_were_are_answered_for(world: World) -> None:
    event = {"Records": [record(world, number) for number in range(10)]}
    response = ingest.handler(event, Context(ingest.SECONDS_NEEDED + 4))
    failed = [one["itemIdentifier"] for one in response["batchItemFailures"]]
    assert len(world.rows()) == 10 - len(failed)
    assert 0 < len(failed) < 10
    assert ingest.handler({"Records": [one for one in event["Records"] if one["messageId"] in failed]}, None) == {
        "batchItemFailures": []
    }
    assert len(world.rows()) == 10


def metric(capsys: pytest.CaptureFixture[str]) -> float:
    """Return what the handler added to UploadsNotTaken."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "UploadsNotTaken" in line]
    return sum(line["UploadsNotTaken"][0] for line in lines)


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "7", '"text"', "{}", "[" * 100_000, '{"detail": null}', '{"detail": {"object": []}}'),
        '{"Records": [{"eventSource": "aws:s3"}]}',
    ],
)
def test_a_message_that_is_not_an_event_fails_alone_and_raises_an_alarm(
    world: World, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = record(world, 1)
    response = ingest.handler({"Records": [{"messageId": "bad", "body": body}, good]}, None)
    assert response == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert [row.key for row in world.rows()] == ["1.dcm"]
    assert metric(capsys) == 1


@pytest.mark.parametrize(
    "changes",
    [{"key": 7}, {"key": "\ud800"}, {"size": "12"}, {"size": -1}, {"size": 10**60}, {"size": True}, {"version-id": {}}],
)
def test_a_field_of_another_type_is_a_malformed_event(world: World, changes: Any) -> None:
    response = ingest.handler({"Records": [record(world, 1, **changes)]}, None)
    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert world.rows() == []


def test_an_event_of_another_bucket_is_refused(world: World) -> None:
    message = record(world, 1)
    message["body"] = message["body"].replace(UPLOADS, "another-bucket")
    assert ingest.handler({"Records": [message]}, None)["batchItemFailures"]
    assert world.rows() == []


def test_failed_ingests_and_long_aws_trouble_raise_an_alarm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, deliveries, heard in ((UNKNOWN, 3, 1), ("SlowDown", ingest.HELD_UP, 1), ("SlowDown", 3, 0)):
        world = failing("get_object", client_error(error))
        monkeypatch.setattr(ingest, "_parts", lambda world=world: (world.ingesting, world.ticks))
        for delivery in range(1, deliveries + 1):
            ingest.handler({"Records": [record(world, 1, delivery)]}, None)
        assert metric(capsys) == heard, error
