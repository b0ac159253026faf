"""Save a study's read: its document, and its FHIR bundle and DICOM results where the stage makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from wetread.connection import Connection
from wetread.problems import FORBIDDEN, of_aws
from wetread.studies.answers import documents_of


@dataclass(frozen=True)
class Saved:
    """The names of the files; ``dicom`` of them are DICOM results. ``refused`` says why AWS did not show these."""

    names: list[str]
    dicom: int = 0
    refused: str = ""


def save(connection: Connection, document: Mapping[str, Any], number: int | None, folder: Path) -> Saved:
    """Save a revision's document, its FHIR bundle, and the study's DICOM results: of revision ``number``, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = document["StudyInstanceUID"]
    name = f"study-{uid}-{document['Revision']:06d}.json"  # of each study another one: a folder may have several
    (folder / name).write_text(json.dumps(document, indent=2) + "\n")
    prefix = layout.dicom_prefix(uid) + (f"{number:06d}-" if number else "")
    results = documents_of(connection)
    names = [name]
    revision = connection.studies.revision(uid, document["Revision"])
    bundle = results.find(revision.fhir_key) if revision and revision.fhir_key else None
    if bundle is not None:
        names.append(layout.fhir_key(name))
        (folder / names[-1]).write_bytes(bundle)
    saved = len(names)
    try:
        for key in results.keys(prefix):
            names.append(f"study-{uid}-{key.rpartition('/')[2]}")
            results.download(key, folder / names[-1])
    except ClientError as error:
        if error_code(error) not in FORBIDDEN:
            raise
        return Saved(names[:saved], refused=of_aws(error).message)
    return Saved(names, dicom=len(names) - saved)
