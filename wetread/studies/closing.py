"""A person says that a study is whole: the marker that its sender could have written."""

from __future__ import annotations

from collections import defaultdict

from functions.domain.study import Study
from wetread.connection import Connection
from wetread.problems import ConfigProblem, Problem
from wetread.uploads.markers import Whole, complete, send_markers
from wetread.uploads.sending import Uploader


def close_now(connection: Connection, study: Study) -> int:
    """Send a marker that names what is there of a study now; return how many objects it names."""
    by_series: dict[str, set[str]] = defaultdict(set)
    for page in connection.studies.members(study.study_instance_uid):
        for row in connection.index.get_many(one.upload_id for one in page).values():
            by_series[row.series_instance_uid or ""].add(row.sop_instance_uid or row.upload_id)
    by_series.pop("", None)  # refused objects, which a marker cannot name
    if not by_series:
        raise ConfigProblem(
            f"Study {study.study_instance_uid} has no object with a series.", "It is closed when it is quiet."
        )
    series = ((uid, len(names), ()) for uid, names in sorted(by_series.items()))
    whole = Whole(study.study_instance_uid, complete(study.study_instance_uid, series), is_new=True)
    uploader = Uploader(connection.s3, connection.deployment.uploads_bucket_name, again=True)
    marked = send_markers(uploader, [whole], "", lambda: None)
    if marked.failed:
        raise Problem(f"The marker of study {study.study_instance_uid} was not sent.", marked.failed[0])
    return sum(map(len, by_series.values()))
