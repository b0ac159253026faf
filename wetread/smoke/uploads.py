"""Upload a smoke test's objects, wait for their rows, and look at the transform job, or the run, that read them."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from functions.domain import layout
from functions.domain.lane import Lane, lane_of
from functions.domain.row import Row, Status, moment_of
from functions.names import OUTPUTS
from wetread.connection import Connection
from wetread.console import Bar
from wetread.problems import ConfigProblem
from wetread.smoke.phantoms import PART_BYTES, Marks, Upload, uploads
from wetread.smoke.table import Line, Verdict
from wetread.uploads.sending import Uploader
from wetread.uploads.submission import counted
from wetread.uploads.waiting import Waited, wait

WAIT_SECONDS = 3600
READ_BY_CONTAINER = frozenset({Status.COMPLETED, Status.FAILED})


class Uploading:
    """The uploads of one smoke test."""

    def __init__(self, connection: Connection, marks: Marks) -> None:
        self._connection = connection
        self._marks = marks
        self._outputs: set[str] = set()

    def lines(self) -> Iterator[Line]:
        """Upload, wait, and yield a line for each object and for the first job."""
        served = self._connection.deployment.served
        if served is None:
            raise ConfigProblem("The stack is older than this command.", "Deploy the version that you have here.")
        has_champion = self._connection.registry.champion() is not None
        sent = [(self._put(one), one) for one in uploads(self._marks, served.max_object_bytes)]
        rows = self._rows([upload_id for upload_id, _ in sent], has_champion=has_champion)
        for upload_id, one in sent:
            yield row_line(one, rows.get(upload_id), has_champion=has_champion)
        yield from self._of_batches(list(rows.values()))
        why = "stop a job by hand: its uploads are tried again, see `wetread results`"
        yield Line.later("stop", "the event of a stopped transform job", "TransformJobStatus Stopped", why)

    def _of_batches(self, rows: Sequence[Row]) -> Iterator[Line]:
        """Yield lines for what read the uploads: the first job, the first run of the express lane, the outputs."""
        lanes = {str(row.transform_job_name): lane_of(row) for row in rows if row.transform_job_name}
        jobs = sorted(name for name, lane in lanes.items() if lane is Lane.TRANSFORM)
        if jobs:
            yield timing_line(dict(self._connection.sagemaker.describe_transform_job(TransformJobName=jobs[0])))
        elif lanes:
            why = "no job: the express lane read all of them"
            yield Line.later("C2", "times of the first transform job", "three times", why)
        yield from run_lines([row for row in rows if lane_of(row) is Lane.EXPRESS and row.completed_at])
        if lanes:
            yield outputs_line(self._outputs, sorted(lanes))
            return
        why = "no job: there is no champion yet; run this again after the first promotion"
        yield Line.later("C2", "times of the first transform job", "three times", why)
        yield Line.later("outputs", "keys below outputs/", "one for each upload", why)

    def _put(self, one: Upload) -> str:
        """Upload one object; return its Upload's id."""
        key = f"smoke/{self._marks.token}/{one.name}"
        bucket = self._connection.deployment.uploads_bucket_name
        if one.in_parts:
            version = put_in_parts(self._connection.s3, bucket, key, one.body)
        else:
            version, _ = Uploader(self._connection.s3, bucket).put(key, io.BytesIO(one.body))
        return layout.upload_id(key, version)

    def _rows(self, upload_ids: Sequence[str], *, has_champion: bool) -> dict[str, Row]:
        with Bar("Waiting for rows", len(upload_ids)) as bar:

            def show(waited: Waited) -> None:
                bar.show(counted(waited), len(upload_ids) - len(waited.open))
                self._outputs |= self._keys({row.transform_job_name or "" for row in waited.rows.values()} - {""})

            def ended(row: Row) -> bool:
                return row.status.terminal or (row.status == Status.PENDING and not has_champion)

            return wait(self._connection.index, upload_ids, WAIT_SECONDS, show, ended=ended).rows

    def _keys(self, jobs: set[str]) -> set[str]:
        """Return the keys of outputs that are there now: collect deletes them when their rows have ended."""
        bucket = self._connection.deployment.work_bucket_name
        answers = (
            self._connection.s3.list_objects_v2(Bucket=bucket, Prefix=layout.output_prefix(job), MaxKeys=5)
            for job in jobs
        )
        return {one["Key"] for answer in answers for one in answer.get("Contents", [])}


def put_in_parts(s3: Any, bucket: str, key: str, body: bytes) -> str:
    """Upload an object in parts that each have a SHA-256 checksum; return its version."""
    started = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")
    name = {"Bucket": bucket, "Key": key, "UploadId": started["UploadId"]}
    try:
        parts = []
        for number, start in enumerate(range(0, len(body), PART_BYTES), start=1):
            part = body[start : start + PART_BYTES]
            checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
            answer = s3.upload_part(**name, PartNumber=number, Body=part, ChecksumSHA256=checksum)
            parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
        return str(s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})["VersionId"])
    except BaseException:
        s3.abort_multipart_upload(**name)
        raise


def row_line(upload: Upload, row: Row | None, *, has_champion: bool) -> Line:
    """Return the line of one upload. Without a champion, what the container would read waits, and is for later.

    A copy of an object in parts (R7) is made by ingest, so its hash is known without a champion.
    """
    what = f"row of {upload.name}"
    expected = f"{upload.status} {upload.code or ''}".rstrip()
    if row is None:
        return Line.judged(upload.number, what, expected, "no row", well=False)
    seen = f"{row.status} {row.code or ''}".rstrip()
    if row.status != Status.REFUSED and row.content_sha256 != hashlib.sha256(upload.body).hexdigest():
        return Line.judged(upload.number, what, expected, f"{seen}, with a hash of other bytes", well=False)
    if not has_champion and row.status == Status.PENDING and upload.status in READ_BY_CONTAINER:
        waits = f"{seen}: there is no champion yet"
        if upload.in_parts:
            return Line.judged(upload.number, what, "the hash of its bytes", f"it; {waits}", well=True)
        return Line.later(upload.number, what, expected, waits)
    return Line.judged(upload.number, what, expected, seen, well=(row.status, row.code) == (upload.status, upload.code))


def timing_line(job: dict[str, Any]) -> Line:
    """Return the line with the times of a transform job: what start-up costs."""
    times = {name: job.get(name) for name in ("CreationTime", "TransformStartTime", "TransformEndTime")}
    said = ", ".join(f"{name} {_clock(time)}" for name, time in times.items())
    created, started, ended = times.values()
    if created and started and ended:
        said += f": {(started - created).total_seconds():.0f} s and {(ended - started).total_seconds():.0f} s"
    well = job["TransformJobStatus"] == "Completed"
    return Line.judged("C2", f"times of transform job {job['TransformJobName']}", "three times", said, well=well)


def run_lines(rows: Sequence[Row]) -> Iterator[Line]:
    """Yield the line with how long the express lane took from an upload's event to its result, if it read any."""
    took = [(moment_of(str(row.completed_at)) - moment_of(row.received_at)).total_seconds() for row in rows]
    if took:
        said = f"{min(took):.0f} to {max(took):.0f} s, {len(took)} uploads"
        yield Line("C3", "from event to result in the express lane", "30 s cold, 10 s warm", said, Verdict.LOOK)


def outputs_line(keys: set[str], jobs: Sequence[str]) -> Line:
    """Return the line with the keys of outputs, if any was seen before it was collected."""
    what, expected = "keys below outputs/", f"{OUTPUTS}{jobs[0]}/….dcm.out"
    if not keys:
        return Line.later("outputs", what, expected, "collected before they could be seen")
    well = all(layout.upload_of_output(key) for key in keys)
    return Line.judged("outputs", what, expected, ", ".join(sorted(keys)), well=well)


def _clock(time: datetime | None) -> str:
    return f"{time:%H:%M:%S}" if time else "none"
