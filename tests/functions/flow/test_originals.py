"""The objects of rows, by their keys: as a row has it, or as it is hidden."""

from __future__ import annotations

import dataclasses

import pytest

from functions.aws.keys import HIDDEN
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.row import Row
from functions.flow.originals import Originals
from tests.fakes.reading_room import ReadingRoom


class Hidden:
    """The table of hidden keys."""

    def __init__(self, **keys: str) -> None:
        self.keys = keys

    def reveal(self, upload_ids: list[str]) -> dict[str, str]:
        return {one: self.keys[one] for one in upload_ids if one in self.keys}


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def row_of(room: ReadingRoom) -> Row:
    (row,) = room.deliver(room.send(1))
    return row


def test_an_object_is_read_by_its_key(room: ReadingRoom) -> None:
    row = row_of(room)
    originals = Originals(uploads=room.uploads, keys=Hidden())  # type: ignore[arg-type]
    assert len(originals.start(row, 100)) == 100


def test_an_object_is_read_by_its_hidden_key(room: ReadingRoom) -> None:
    row = row_of(room)
    hidden = dataclasses.replace(row, key=f"{HIDDEN}0123")
    originals = Originals(uploads=room.uploads, keys=Hidden(**{row.upload_id: row.key}))  # type: ignore[arg-type]
    assert originals.start(hidden, 100) == Originals(uploads=room.uploads, keys=None).start(row, 100)


@pytest.mark.parametrize("keys", [Hidden(), None])
def test_an_object_whose_hidden_key_is_erased_is_gone(room: ReadingRoom, keys: Hidden | None) -> None:
    hidden = dataclasses.replace(row_of(room), key=f"{HIDDEN}0123")
    with pytest.raises(Refusal) as refused:
        Originals(uploads=room.uploads, keys=keys).start(hidden, 100)  # type: ignore[arg-type]
    assert refused.value.code == RefusalCode.OBJECT_GONE
    assert "key was erased" in refused.value.reason
