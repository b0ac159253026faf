"""Many small requests in parallel: a failure stops no other request, Ctrl-C stops all."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from wetread.problems import of_aws

S = TypeVar("S")
T = TypeVar("T")

WORKERS = 32


def each(
    work: Callable[[S], T], items: Sequence[S], advance: Callable[[], None]
) -> tuple[list[tuple[S, T]], list[tuple[S, str]]]:
    """Do ``work`` on every item, ``advance`` after each; return (item, answer) pairs and (item, error) pairs.

    Both are in the order of ``items``. What boto3 or the file system raises is a failure of that item.
    """
    done: dict[int, T] = {}
    failed: dict[int, str] = {}
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        waiting = {pool.submit(work, item): number for number, item in enumerate(items)}
        try:
            for future in concurrent.futures.as_completed(waiting):
                number = waiting[future]
                try:
                    done[number] = future.result()
                except (BotoCoreError, ClientError) as error:
                    failed[number] = of_aws(error).message
                except OSError as error:
                    failed[number] = f"The file cannot be read: {error.strerror}."
                advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [(items[one], done[one]) for one in sorted(done)], [(items[one], failed[one]) for one in sorted(failed)]
