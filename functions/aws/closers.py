"""Invocations of the sweep that only close studies: those of some shards. The order has no name of a study."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from functions.aws.shards import SHARDS
from functions.domain.errors import MalformedEvent

ORDER = "Shards"


class Closers:
    """The function ``function``, which takes such orders."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def start(self, shards: Collection[int]) -> None:
        """Have the open studies of some shards closed, by one invocation; it may come late, twice or never."""
        order = json.dumps({ORDER: sorted(shards)}).encode()
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=order)


def shards_in(event: Mapping[str, Any]) -> frozenset[int] | None:
    """Return the shards that an invocation is to close; None if it is to sweep."""
    if ORDER not in event:
        return None
    shards = event[ORDER]
    if not isinstance(shards, list) or not all(type(one) is int and 0 <= one < SHARDS for one in shards):
        raise MalformedEvent(f"{ORDER} must be a list of whole numbers from 0 to {SHARDS - 1}.")
    return frozenset(shards)
