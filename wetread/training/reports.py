"""A run's report as a person saves it: the page that its job wrote, with the verdict and the names of the files.

File names may be names of persons. So no page in the cloud has them: they are read here from the labels file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.verdict import Places
from wetread.connection import Connection
from wetread.problems import FORBIDDEN
from wetread.training import cohorts, documents, verdict_page
from wetread.training.run_report import Reason
from wetread.training.runs import Run

PLACE = re.compile(r"<!-- verdict -->.*?<!-- /verdict -->", re.DOTALL)
FILE = re.compile(r'(<(?:td|span) class="file" data-line="(\d{1,9})">)(?=</)')


def save(connection: Connection, run: Run, reasons: Sequence[Reason], path: Path, called: str) -> list[str] | None:
    """Write a run's report to a file that only its owner can read; return what is missing in it, in sentences.

    None if the run has no report. Raises OSError if the file cannot be written.
    """
    body = _page(connection, run)
    if body is None:
        return None
    text = body.decode(errors="surrogateescape")
    names, missing = _names(connection, run)
    places = Places.of(str(run.input.get("LabelsUri", "")), names)
    shown = [Reason(one.code, places.naming(one.message), one.accepted) for one in reasons]
    text = with_verdict(text, verdict_page.section(run, checks_of(connection, run), shown, called))
    documents.write(path, with_names(text, names).encode(errors="surrogateescape"))
    return missing


def with_verdict(page: str, verdict: str) -> str:
    """Return a page with the verdict at its place; in the page of an earlier release that is after its heading."""
    if PLACE.search(page):
        return PLACE.sub(lambda _: verdict, page, count=1)
    head, heading, rest = page.partition("</header>")
    return f"{head}{heading}\n{verdict}{rest}" if heading else page


def with_names(page: str, names: Mapping[int, str]) -> str:
    """Return a page with the names of files, by their lines in the labels."""
    return FILE.sub(lambda found: found[1] + escape(names.get(int(found[2]), "")), page)


def checks_of(connection: Connection, run: Run) -> list[Mapping[str, Any]]:
    """Return the thresholds that the model gate asked; [] for a run that did not reach it, or of an earlier release."""
    key = layout.model_gate_key(run.run_id)
    verdict = documents.read(connection, layout.uri(connection.deployment.training_bucket_name, key))
    return list(verdict.get("Checks", [])) if isinstance(verdict, dict) else []


def _page(connection: Connection, run: Run) -> bytes | None:
    """Return the report of the evaluation or, if there is none, of the data."""
    bucket = connection.deployment.training_bucket_name
    keys = (layout.report_key(run.run_id), layout.audit_report_key(run.run_id))
    uris = [str(run.output.get("ReportUri", "")), *(layout.uri(bucket, key) for key in keys)]
    found = (documents.find(connection, uri) for uri in uris)
    return next((body for body in found if body is not None), None)


def _names(connection: Connection, run: Run) -> tuple[dict[int, str], list[str]]:
    """Return the names of a run's files, by line, and what is missing.

    They are those of the labels that the snapshot was made of, and no others.
    """
    bucket = connection.deployment.training_bucket_name
    try:
        snapshot = documents.read(connection, layout.uri(bucket, layout.snapshot_key(run.run_id)))
        source = snapshot["Source"] if snapshot else {"Uri": "", "SHA256": ""}
        labels = documents.find(connection, str(source["Uri"]))
    except ClientError as error:
        if error_code(error) not in FORBIDDEN:
            raise
        return {}, ["It is without the names of files: you may not read the labels."]
    if labels is None or hashlib.sha256(labels).hexdigest() != source["SHA256"]:
        return {}, ["It is without the names of files: the labels that the run was started with are not there."]
    return cohorts.names_in(labels, is_csv=str(source["Uri"]).lower().endswith(".csv")), []
