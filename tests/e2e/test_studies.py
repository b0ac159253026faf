"""Studies in a running service: closed by quiet and by marker, revised by a late slice, read again, and erased."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from functions.domain.row import Row, Status, timestamp
from functions.domain.study import Revision, State
from functions.flow.sharing import DUE_EACH
from tests.e2e.conftest import Service, running
from tests.e2e.controls import function, log
from wetread.demo.phantoms import phantom_bytes
from wetread.demo.studies import write_studies
from wetread.erasure.erasure import Erasing
from wetread.erasure.subjects import Study

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
SLICES = 6


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("home"), artifact) as service:
        yield service


def changed(body: bytes, **attributes: Any) -> bytes:
    """Return a DICOM file with some attributes changed."""
    dataset = dcmread(io.BytesIO(body))
    for name, value in attributes.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def slices(patient: int) -> dict[str, bytes]:
    return {f"study-{patient}/{n}.dcm": phantom_bytes("covid", patient, n, size=128, seed=5) for n in range(SLICES)}


def sweep(service: Service) -> None:
    answer = service.connection.client("lambda").invoke(FunctionName=function(service, "Sweep"))
    assert "FunctionError" not in answer, answer["Payload"].read()


def announce_again(service: Service, key: str) -> None:
    """Send S3's event of an object once more, as SQS may."""
    bucket = service.connection.deployment.uploads_bucket_name
    seen = service.connection.s3.head_object(Bucket=bucket, Key=key)
    about = {"key": key, "size": seen["ContentLength"], "version-id": seen["VersionId"], "sequencer": "01"}
    event = {"time": timestamp(seen["LastModified"]), "detail": {"bucket": {"name": bucket}, "object": about}}
    service.connection.sqs.send_message(QueueUrl=service.queue_url("Uploads"), MessageBody=json.dumps(event))


def wait_for(service: Service, study: str, number: int, seconds: float = 240) -> Revision:
    """Sweep until the study has so many revisions; return the last one."""
    found: Revision = until(lambda: _numbered(service, study, number), service, seconds)
    return found


def _numbered(service: Service, study: str, number: int) -> Revision | None:
    revisions = service.connection.studies.revisions(study)
    return revisions[number - 1] if len(revisions) >= number else None


def is_closed_after(service: Service, study: str, touches: int) -> bool:
    """Return whether the study was touched since, and is closed again."""
    found = service.connection.studies.get(study)
    return found is not None and found.touches > touches and found.state == State.CLOSED


def until(look: Callable[[], Any], service: Service, seconds: float = 300) -> Any:
    """Sweep until ``look`` returns something true; return that."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        sweep(service)
        time.sleep(2)
    return found


def document(service: Service, revision: Revision) -> dict[str, Any]:
    bucket = service.connection.deployment.results_bucket_name
    body = service.connection.s3.get_object(Bucket=bucket, Key=revision.result_key)["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


def study_of(rows: dict[str, Row]) -> str:
    (study,) = {row.study_instance_uid for row in rows.values()}
    assert study
    return study


def test_many_studies_that_are_due_are_closed_by_several_invocations(service: Service) -> None:
    """Studies that nothing was written of but that they are open: a closing drops them."""
    studies, long_ago = service.connection.studies, datetime.now(UTC) - timedelta(hours=1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: studies.arrived(f"1.2.840.7.{number}", long_ago, 1), range(3 * DUE_EACH)))
    until(lambda: not list(studies.open()), service)
    assert "studies closed" in log(service, "Sweep"), "no invocation has closed a share"


def test_a_study_is_read_when_it_is_quiet_and_again_with_a_late_slice(service: Service) -> None:
    bodies = slices(801)
    first = next(iter(bodies.values()))
    bodies["study-801/scout.dcm"] = changed(
        first,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        SOPInstanceUID="1.2.840.801.1",
        SeriesInstanceUID="1.2.8.2",
    )
    late = {"study-801/late.dcm": phantom_bytes("covid", 801, SLICES, size=128, seed=5)}
    study = study_of(service.rows(service.put_all(bodies)))
    found = document(service, wait_for(service, study, 1))
    assert (found["CloseReason"], found["Counts"]) == ("Quiet", {"Members": SLICES + 1, "Read": SLICES, "Refused": 1})
    assert found["Class"] in {"covid", "cap", "normal"}
    assert {one["SOPClassUID"] for several in found["Evidence"].values() for one in several}
    (row,) = service.rows(service.put_all(late)).values()
    second = document(service, wait_for(service, study, 2))
    assert second["Changes"] == {"Added": [row.upload_id]}
    assert second["Previous"]
    touches = (service.connection.studies.get(study) or pytest.fail("not known")).touches
    announce_again(service, next(iter(bodies)))
    until(lambda: is_closed_after(service, study, touches), service)
    assert len(service.connection.studies.revisions(study)) == 2, "an event that comes twice makes no revision"


def test_a_marker_closes_its_study_at_once_and_an_erasure_leaves_nothing_of_it(service: Service) -> None:
    bodies = slices(802)
    rows = service.rows(service.put_all(bodies))
    study = study_of(rows)
    (series,) = {row.series_instance_uid for row in rows.values()}
    named = {"SeriesInstanceUID": series, "NumberOfInstances": SLICES}
    marker = {"Schema": "complete/1", "StudyInstanceUID": study, "Series": [named]}
    (row,) = service.rows(service.put_all({"study-802/done.complete.json": json.dumps(marker).encode()})).values()
    assert row.status == Status.MARKER
    revision = wait_for(service, study, 1)
    found = document(service, revision)
    assert (found["CloseReason"], found["Coverage"]) in {("Marker", "Complete"), ("Quiet", "Unknown")}
    connection = service.connection
    erasing = Erasing(connection, Study(study, connection.patients), settled_seconds=0)
    assert erasing.erase(lambda _rows: None).whole
    assert not list(connection.studies.items(study))
    listed = connection.s3.list_object_versions(Bucket=connection.deployment.results_bucket_name, Prefix="studies/")
    assert revision.result_key not in {one["Key"] for one in listed.get("Versions", [])}


def test_what_two_versions_have_read_is_read_again_by_the_champion(service: Service, tmp_path: Path) -> None:
    bodies = slices(803)
    half = dict(list(bodies.items())[: SLICES // 2])
    rows = service.rows(service.put_all(half))
    study = study_of(rows)
    registry = service.connection.registry
    packed_again = tmp_path / "model.tar.gz"
    packed_again.write_bytes(gzip.compress(gzip.decompress(service.artifact.read_bytes())))
    version = registry.register(packed_again).model_package
    assert {row.model_package for row in rows.values()} != {version}
    registry.promote(version)
    service.rows(service.put_all({key: body for key, body in bodies.items() if key not in half}))
    last = until(lambda: _read_by(service, study, version), service)
    assert document(service, last)["Counts"] == {"Members": SLICES, "Read": SLICES}


def _read_by(service: Service, study: str, version: str) -> Revision | None:
    revisions = service.connection.studies.revisions(study)
    whole = [one for one in revisions if one.model_package == version and one.counts["Read"] == SLICES]
    return whole[-1] if whole else None


def test_a_submission_is_read_at_once_and_a_late_slice_makes_a_revision_that_names_it(
    service: Service, tmp_path: Path
) -> None:
    """At the command line; the study's own objects are sent in any order, a localizer apart from them."""
    folder, size = tmp_path / "scans", 128
    folder.mkdir()
    written = write_studies(tmp_path / "all", size, seed=8)[-1]
    slices_of_it = sorted((tmp_path / "all").glob(f"study-{written.label}-[12]-*.dcm"))
    for path in slices_of_it[:-1]:
        shutil.copy(path, folder)
    done = service.command("submit", str(folder), "--wait")
    assert done.returncode == 0, done.stderr
    assert "1 study marked as whole" in done.stderr
    assert written.study_instance_uid in done.stdout.split("Studies")[1]
    first = json.loads(service.command("studies", written.study_instance_uid, "--json").stdout)
    assert (first["CloseReason"], first["Coverage"], first["Counts"]["Members"]) == ("Marker", "Complete", 15)
    assert first["Counts"]["Read"] == 15
    late = service.rows(
        service.put_all(
            {
                f"late/{path.name}": path.read_bytes()
                for path in (slices_of_it[-1], tmp_path / "all" / written.localizer)
            }
        )
    )
    wait_for(service, written.study_instance_uid, 2)
    second = json.loads(service.command("studies", written.study_instance_uid, "--json").stdout)
    assert second["Changes"] == {"Added": sorted(row.upload_id for row in late.values())}
    assert second["Counts"] == {"Members": 17, "Read": 16, "Refused": 1}
    (refused,) = [one for one in second["Series"] if one["Why"]]
    assert (refused["Included"], refused["Why"]) == (False, {"LocalizerNotServed": 1})
    listed = json.loads(service.command("studies", "--class", second["Class"], "--since", "1h", "--json").stdout)
    assert written.study_instance_uid in {one["StudyInstanceUID"] for one in listed}
    shown = service.command("studies", written.study_instance_uid, "--revision", "1", "--save", str(tmp_path / "kept"))
    assert "1 of 2" in shown.stdout
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [f"study-{written.study_instance_uid}-000001.json"]
    assert "The study" in service.command("results", "--study", written.study_instance_uid).stdout


def test_a_person_closes_a_study_and_status_says_which_are_open(service: Service) -> None:
    rows = service.rows(service.put_all(slices(804)))
    study = study_of(rows)
    assert "Studies that are open" in service.command("status").stderr
    assert "6 objects are all of study" in service.command("studies", study, "--close").stderr
    assert document(service, wait_for(service, study, 1))["CloseReason"] in {"Marker", "Quiet"}
