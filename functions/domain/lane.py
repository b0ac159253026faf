"""The two ways to run a batch: a transform job, or one invocation of the function *express*.

A transform job waits minutes for its hosts, and reads any number of uploads in any model's own code. The function
starts within seconds, reads few, and runs the code of its image only. Both read the same copies and leave the same
outputs. The express lane only adds answers: what it leaves unanswered goes to a transform job, at no cost of a try.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.row import Row

# An invocation waits this long for a free environment, at most; then Lambda drops it. A batch that Lambda does not even
# take waits as long.
START_SECONDS = 300
# Lambda's own limit, and what is allowed for clocks that differ and for Lambda to end a process.
RUN_SECONDS = 900
END_SECONDS = 120
LEAST = 32  # uploads of a run, where several runs share a study: fewer are not worth another start


class Lane(enum.StrEnum):
    """How a batch runs."""

    TRANSFORM = "transform"
    EXPRESS = "express"


@dataclass(frozen=True, kw_only=True)
class ExpressLimits:
    """What a stage's express lane takes, if ``express`` says that there is one.

    ``express_max`` bounds the uploads of a batch, ``express_concurrency`` the batches at once, ``express_per_day`` the
    batches of a day in UTC. ``express_script_sha256`` is the digest of the one script that the function runs.
    """

    express: bool = False
    express_concurrency: int = 0
    express_max: int = 0
    express_per_day: int = 0
    express_script_sha256: str = ""


def lane_of(row: Row) -> Lane | None:
    """Return the lane in which a row's batch runs or ran; None for one that no batch has claimed.

    Only the express lane is written: thirteen bytes more, and many rows have more than the KiB that one unit writes.
    """
    if not row.transform_job_name:
        return None
    return Lane(row.lane or Lane.TRANSFORM)


def is_new(row: Row) -> bool:
    """Return whether no batch has left an upload without an answer: only such an upload takes the express lane."""
    return row.retry_group is None and row.attempt == 0


def lane(new: Sequence[Row], limits: ExpressLimits, script_sha256: str, barren_jobs: int) -> Lane:
    """Return how the new uploads that wait should be read.

    The express lane is for few: where more wait, one job for all costs less than its start. A model with another
    script runs in transform jobs, isolated from the network. After a batch without any output, the next one runs
    there too, so a lane that is out of order costs every second batch some time, and no upload.
    """
    fits = limits.express and 0 < len(new) <= limits.express_max
    known = script_sha256 != "" and script_sha256 == limits.express_script_sha256
    return Lane.EXPRESS if fits and known and not barren_jobs else Lane.TRANSFORM


def share(new: int, places: int) -> int:
    """Return how many of the new uploads the next run takes, where so many runs may start at once."""
    return max(LEAST, -(-new // places))
