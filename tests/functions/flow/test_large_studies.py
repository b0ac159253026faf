"""Twenty thousand members: closed in bounded memory, with a document of bounded length; one more, and it says so."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from functions.domain.study_document import MOST_BYTES, MOST_MEMBERS
from functions.flow.concluding import AT_ONCE
from infra.transform import COLLECT_MEMORY_MB

FUNCTION_MIB, STUDY_MIB = 150, 200

CHILD = """
import json, resource, sys
from functions.aws.items import to_item
from functions.domain.row import Row, Status
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import NORMAL, ReadingRoom
from tests.fakes.world import RESULTS

def row(n):
    now = "2026-11-23T00:00:00.000Z"
    return Row(
        upload_id=f"{n:032x}", key=f"study/{n}.dcm", version_id="v", size=1, received_at=now, updated_at=now,
        status=Status.COMPLETED, study_instance_uid=STUDY, series_instance_uid=f"1.2.840.99.{n % series}",
        sop_instance_uid=f"1.2.840.113619.2.55.3.604688119.{n}", sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        content_sha256=f"{n:064x}", instance_number=n, slice_position=n / 4, patient_hash="a" * 32,
        model_package="wetread/1", predicted_class="normal", prediction_key=f"predictions/{n:040x}.json",
        probabilities={name: p + n / 1e7 for name, p in NORMAL.items()},
    )

room, members, series = ReadingRoom(), int(sys.argv[1]), int(sys.argv[2])
for one in map(row, range(members)):
    room.dynamodb.tables["index"][one.upload_id] = to_item(one.to_json())
    room.studies.add_member(one, room.time)
room.studies.arrived(STUDY, room.time, 300)
room.wait(300)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
concluded = room.concluding.run()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(revision,) = room.revisions()
document = room.document()
print(json.dumps({
    "mib": (peak - before) // 1024, "bytes": len(room.s3.objects[RESULTS, revision.result_key]),
    "code": document["Code"], "members": document["Counts"]["Members"], "failures": concluded.failures,
}))
"""


def closed(members: int, series: int) -> dict[str, object]:
    """Close a study of so many members in a separate process; return its report."""
    command = [sys.executable, "-c", CHILD, str(members), str(series)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("series", [4, MOST_MEMBERS])
def test_the_largest_study_that_is_read_fits_the_sweep(series: int) -> None:
    found = closed(MOST_MEMBERS, series)
    assert (found["failures"], found["code"], found["members"]) == (0, None, MOST_MEMBERS)
    assert found["mib"] <= STUDY_MIB  # type: ignore[operator]
    assert FUNCTION_MIB + AT_ONCE * STUDY_MIB < COLLECT_MEMORY_MB
    assert found["bytes"] < MOST_BYTES  # type: ignore[operator]


def test_a_study_of_more_members_has_no_class_and_says_why() -> None:
    found = closed(MOST_MEMBERS + 1, 1)
    assert (found["failures"], found["code"], found["members"]) == (0, "TooManyMembers", MOST_MEMBERS)
