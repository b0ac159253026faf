"""Waiting for studies to be closed, after a sender has said that they are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.aws.studies import Studies
from functions.domain.study import State, Study
from wetread.studies.answers import seen

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Waited:
    """The studies that are closed and have been read, and the UIDs of the others."""

    closed: list[Study]
    open: list[str]


def wait(
    studies: Studies,
    uids: Sequence[str],
    timeout_seconds: float,
    show: Callable[[Waited], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Poll until every study is closed or ``timeout_seconds`` have passed; ``show`` is called after each poll."""
    deadline = clock() + timeout_seconds
    while True:
        closed = [one for one in seen(studies, uids) if one.state == State.CLOSED and one.revision]
        done = {one.study_instance_uid for one in closed}
        waited = Waited(closed, [uid for uid in uids if uid not in done])
        show(waited)
        if not waited.open or clock() + POLL_SECONDS > deadline:
            return waited
        sleep(POLL_SECONDS)
