"""A failed message fails alone."""

from __future__ import annotations

from functions.messages import process


def test_only_failed_messages_come_again() -> None:
    event = {"Records": [{"messageId": str(number), "body": str(number)} for number in range(6)]}
    seen: list[str] = []

    def handle(body: str) -> None:
        seen.append(body)
        if int(body) % 2:
            raise OSError(body)

    for workers in (1, 4):
        answer = process(event, handle, workers)
        assert answer == {"batchItemFailures": [{"itemIdentifier": number} for number in ("1", "3", "5")]}
    assert sorted(seen) == sorted("012345" * 2)
