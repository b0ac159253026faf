"""At which rate of uploads an index partition is full, and what an upload's study costs.

DynamoDB writes at most 1,000 units a second to one partition key, for an index too; when one is full, writes to its
table are throttled. Every upload has the same answer here, and of the studies with one slice each batch of ingest has
as many studies as uploads: the worst of both.
"""

from __future__ import annotations

from collections import defaultdict

from benchmarks.plane import SLICES_PER_STUDY, Plane, quiet
from functions.aws.shards import SHARDS, plain

PARTITION_UNITS = 1_000  # of writes a second; DynamoDB's documentation, "Partition throughput limits"


def rates(uploads: int) -> None:
    """Print the units an upload writes to each index's fullest value, and the uploads a second at which it is full."""
    for slices in (SLICES_PER_STUDY, 1):
        with quiet():
            plane = Plane(uploads, slices)
            plane.read()
            assert plane.close_studies() == max(1, uploads // slices)
        print(f"index partitions, {uploads} uploads, {slices} slices a study; full at {PARTITION_UNITS} units a second")
        print("  index               fullest value     units an upload   uploads/s unsharded   in shards")
        ends = []
        for (table, index, value), by_key in sorted(_by_value(plane).items()):
            units, fullest = sum(by_key.values()) / uploads, max(by_key.values()) / uploads
            if len(by_key) == 1:
                continue
            ends.append((PARTITION_UNITS / units, SHARDS * PARTITION_UNITS / units, index))
            print(
                f"  {table + '/' + index:18s}  {value:16.16s}  {units:15.2f}   {PARTITION_UNITS / units:19,.0f}"
                f"   {SHARDS * PARTITION_UNITS / units:12,.0f}   (seen: {PARTITION_UNITS / fullest:,.0f})"
            )
        before, after, index = min(ends)
        print(f"  the first is {index}: the design ends at {after:,.0f} uploads/s, at {before:,.0f} without shards")
        units = plane.meter.written["studies"] / uploads
        print(f"  the table of studies: {units:.2f} write units an upload, indexes and closing included")


def _by_value(plane: Plane) -> dict[tuple[str, str, str], dict[str, int]]:
    """Return the units of each index's values, by partition key; of each index the fullest value alone."""
    values: dict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for (table, index, key), units in plane.meter.partitions.items():
        values[table, index][plain(key)][key] = units
    return {
        (table, index, value): by_key
        for (table, index), found in values.items()
        for value, by_key in [max(found.items(), key=lambda one: sum(one[1].values()))]
    }
