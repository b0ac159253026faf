"""From a study/1 document and the rows of its uploads to what is delivered of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from functions.dicom_results.refused import NoResultsCode, no_results
from functions.dicom_results.study import Finding, Model, Series, Slice, StudyRead
from functions.domain.instance import identity_was_repaired
from functions.domain.row import Row, Status, moment_of

FORCED = "Forced"
UNKNOWN = "unknown"


def read_uploads(document: Mapping[str, Any]) -> Sequence[str]:
    """Return the uploads that count."""
    uploads: Sequence[str] = document["Uploads"].get("Read", [])
    return uploads


def uploads(document: Mapping[str, Any]) -> list[str]:
    """Return all uploads of the study, whether they count or not."""
    return [one for several in document["Uploads"].values() for one in several]


def is_erased(rows: Mapping[str, Row]) -> bool:
    """Return whether one of the study's uploads is erased, or about to be."""
    return any(row.status == Status.ERASED for row in rows.values())


def reference_row(rows: Mapping[str, Row]) -> Row:
    """Return the row whose object results copy: the first slice of the largest series."""
    of_series: dict[str, list[Row]] = {}
    for row in rows.values():
        of_series.setdefault(row.series_instance_uid or "", []).append(row)
    largest = min(of_series.items(), key=lambda one: (-len(one[1]), one[0]))[1]
    return min(largest, key=lambda row: (row.instance_number is None, row.instance_number or 0, row.upload_id))


def check(document: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
    """Raise NoResults for a revision that no archive may get results of, before any header is read."""
    if not document["Model"] or not document["Scores"]:
        raise no_results(NoResultsCode.NO_SCORES)
    if is_erased(rows) or not rows.keys() >= set(read_uploads(document)):
        raise no_results(NoResultsCode.ROWS_GONE)
    if any(identity_was_repaired(row.repairs) for row in rows.values()):
        raise no_results(NoResultsCode.REPAIRED_IDENTITY)
    if len({row.patient_hash for row in rows.values()}) > 1:
        raise no_results(NoResultsCode.SEVERAL_PATIENTS)


def read_of(
    document: Mapping[str, Any], rows: Mapping[str, Row], numbers: Mapping[str, int], predecessor: int | None
) -> StudyRead:
    """Return what is delivered of a document that ``check`` has passed.

    ``rows`` are those of ``read_uploads`` by id, ``numbers`` the SeriesNumbers that are known, by series, and
    ``predecessor`` the last revision with delivered results.
    """
    slices = {upload: _slice(row) for upload, row in rows.items()}
    findings = list(_findings(document["Scores"], document["Evidence"], slices))
    for one in document["Series"]:
        uid = one["SeriesInstanceUID"]
        findings += _findings(one.get("Scores", {}), one.get("Evidence", {}), slices, uid)
    uids = dict.fromkeys(slices[upload].series_uid for upload in read_uploads(document))
    rule, code = document["Aggregation"], document["Code"]
    return StudyRead(
        study_uid=document["StudyInstanceUID"],
        revision=document["Revision"],
        predecessor=predecessor,
        closed_at=moment_of(document["ClosedAt"]),
        forced=document["CloseReason"] == FORCED,
        model=_model(document["Model"]),
        aggregation=f"{rule['Rule']} k={rule['K']}, {'fitted' if rule['Fitted'] else 'not fitted'}",
        predicted=document["Class"],
        reference_label=rule["Reference"],
        findings=tuple(findings),
        series=tuple(sorted((Series(uid=uid, number=numbers.get(uid)) for uid in uids), key=_place)),
        members=tuple(slices[upload] for upload in read_uploads(document)),
        cautions=(*([code] if code else []), *document["Cautions"]),
    )


def _findings(
    scores: Mapping[str, float], evidence: Mapping[str, Any], slices: Mapping[str, Slice], series_uid: str = ""
) -> Iterator[Finding]:
    """Yield the findings of the study or of a series, the highest score first.

    The reference class has no evidence, since its score is what the others leave: it rests on that of the highest.
    """
    falling = sorted(scores, key=lambda label: (-scores[label], label))
    highest: Sequence[Any] = next((evidence[label] for label in falling if evidence.get(label)), [])
    for label in falling:
        chosen = tuple(slices[one["UploadId"]] for one in evidence.get(label) or highest)
        yield Finding(label=label, score=scores[label], evidence=chosen, series_uid=series_uid)


def _slice(row: Row) -> Slice:
    return Slice(
        series_uid=row.series_instance_uid or "",
        sop_uid=row.sop_instance_uid or "",
        sop_class_uid=row.sop_class_uid or "",
        rows=row.rows or 0,
        columns=row.columns or 0,
        number=row.instance_number,
    )


def _model(model: Mapping[str, Any]) -> Model:
    """Return the version that read the study. Its package's ARN ends with the group's name and the version's number."""
    name, _, version = model["Package"].rpartition(":model-package/")[2].rpartition("/")
    return Model(
        name=name or UNKNOWN,
        version=version or UNKNOWN,
        package=model["Package"],
        weights_sha256=model.get("WeightsSHA256", UNKNOWN),
        form=model.get("Form", UNKNOWN),
    )


def _place(series: Series) -> tuple[bool, int, str]:
    return series.number is None, series.number or 0, series.uid
