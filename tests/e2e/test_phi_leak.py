"""No patient data in the wrong place: markers go through every path, good and bad, and are searched for everywhere.

The rule that the product keeps (docs/reliability.md describes it):

- An object's key is in its row's ``Key``, for queries, in answers to them, and in S3's own events.
- UIDs are in rows and snapshots, invalid ones mapped; the PatientID only as a keyed hash.
- What a person put stays with the person's own object: the upload, the cohort's file, and pinned copies of the bytes.
- DICOM results below ``dicom/`` of the results bucket have the patient's attributes, and their keys have none.
- Of an object's texts, answers, rows and documents repeat a valid UID or a value that DICOM defines.
- Nothing else of an object, its key, its metadata, or a file of labels is anywhere: not in other attributes
  of rows, in results, reports, logs, metrics, histories or notices, in the names and tags of what the service makes, or
  in its scratch folders.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.domain.lane import Lane, lane_of
from functions.domain.row import Status
from functions.names import DICOM_RESULTS, IndexName
from localcloud.home import Home
from tests.e2e import places
from tests.e2e.conftest import running
from tests.e2e.places import Place
from tests.e2e.story import (
    Story,
    ask,
    ask_an_endpoint,
    experiment,
    labelled,
    listening_queue,
    submit,
    train,
    train_on_bad_labels,
    train_on_spoilt_slices,
    upload,
)
from tests.phi_leak import Search
from tests.training import with_thresholds
from wetread.demo.defects import DEFECTS
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Story]:
    """The whole story, in a separate local cloud with a separate folder for temporary files."""
    scratch, home = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("home")
    # What is uploaded first is too much for the express lane, what is submitted then is not.
    settings = {"dicom_results": ["sr", "card", "keys", "heat"], "express": True, "express_max": 3}
    # By these thresholds the hardly trained model of the tests finds lesions: heat pictures are made.
    alarmed = with_thresholds(artifact, tmp_path_factory.mktemp("alarmed"), cap=0.01, covid=0.01)
    with running(home, alarmed, settings=settings, TMPDIR=str(scratch)) as service:
        story = Story(service, scratch, listening_queue(service))
        upload(story)
        submit(story, tmp_path_factory.mktemp("leak"))
        cohort = labelled(tmp_path_factory.mktemp("leak"))
        train(story, cohort)
        ask_an_endpoint(story, experiment(story, cohort), tmp_path_factory.mktemp("leak"))
        train_on_spoilt_slices(story, cohort)
        train_on_bad_labels(story, cohort)
        ask(story)
        yield story


def test_the_markers_went_through_every_path(story: Story) -> None:
    by_name = {Path(row.key).stem: (row.status, row.code) for row in story.rows.values()}
    assert {one.name: by_name[one.name] for one in DEFECTS} == {one.name: (one.status, one.code) for one in DEFECTS}
    assert by_name["gone"] == (Status.REFUSED, "ObjectGone")
    assert [by_name[f"good-{n}"][0] for n in range(3)] == [Status.COMPLETED] * 3
    assert by_name["good.complete"][0] == Status.MARKER
    assert by_name["bad.complete"] == (Status.REFUSED, "MalformedMarker")
    completed = story.service.connection.index.find(IndexName.BY_STATUS, Status.COMPLETED)
    assert set(map(lane_of, completed)) == set(Lane)
    studies = story.service.connection.studies
    assert [one for one in studies.closed() if one.revision], "studies were closed, so documents were looked at"
    outcomes = Counter(run.outcome for run in story.service.connection.runs.newest(10))
    assert outcomes == {"Rejected": 5}, "one by the model gate, two for their slices, two for their labels"


def test_dicom_results_were_made_of_the_markers(story: Story) -> None:
    """They are the one place besides the person's own objects that may have them, so they are seen to be there."""
    s3, bucket = story.service.connection.s3, story.service.connection.deployment.results_bucket_name
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=DICOM_RESULTS).get("Contents", [])]
    assert {Path(key).stem.split("-")[1] for key in keys} == {"sr", "card", "keys", "heat"}
    found = {
        trace.value for key in keys for trace in Search().traces(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    }
    assert {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDescription"} <= found


def everything(story: Story) -> Iterator[Place]:
    """Yield all that the service, its cloud and its command line left."""
    connection = story.service.connection
    yield from places.everywhere(connection)
    yield from (Place("notice", text.encode()) for text in places.messages(connection, story.notices))
    yield from story.printed
    yield from story.endpoint
    home = Home(Path(story.service.environment["WETREAD_HOME"]), PROJECT)
    yield Place("launcher's log", home.log_file.read_bytes())
    yield from places.files("scratch", home.scratch)
    yield from places.files("temporary", story.scratch)


KINDS = (
    "table",
    "object",
    "object's name, metadata and tags",
    "log line",
    "metric",
    "execution",
    "execution's event",
    "transform_job",
    "training_job",
    "processing_job",
    "model_package",
    "endpoint",
    "notice",
    "printed",
)
"""Places that the story must have filled."""


def test_no_trace_of_a_marker_is_where_it_must_not_be(story: Story) -> None:
    search, looked_at, wrong = Search(), Counter[str](), set[str]()
    keys_in_rows = 0
    for place in everything(story):
        looked_at[place.kind] += 1
        found = search.traces(place.content)
        keys_in_rows += place.kind == "table" and any(trace.value in place.allowed for trace in found)
        wrong |= {
            f"{trace.value} ({trace.encoding}) in {search.masked(place.name)}"
            for trace in found
            if trace.value not in place.allowed
        }
    logging.getLogger(__name__).info("looked at %s", json.dumps(looked_at))
    assert not wrong, "\n".join(sorted(wrong))
    assert keys_in_rows >= len(story.rows), "the search finds the key where it is allowed, so the search works"
    assert not [kind for kind in KINDS if not looked_at[kind]], "every kind of place was there to be looked at"
