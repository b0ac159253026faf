"""The command ``audit``: reads every slice of a snapshot once and writes audit/2 for the data gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_code import snapshot
from model_code.audit import person, position
from model_code.audit.acquisition import KEYWORDS, read_tags
from model_code.audit.background import read_background
from model_code.audit.document import SUBJECTS, Reading, Unreadable, build
from model_code.audit.likeness import body_of, framed
from model_code.audit.perceptual_hash import fingerprint, pixel_digest
from model_code.audit.report.page import render
from model_code.container import Processing
from model_code.errors import InstanceError
from model_code.evaluation.pictures import ReportPictures
from model_code.reading import decoder_process
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import KEYWORDS as PIXEL_KEYWORDS
from model_code.reading.elements import read_elements
from model_code.snapshot import Case

# One thread reads and hashes a slice while the decoder's process decodes the slice of the other.
THREADS = 2
# Slices that are in memory at once, with their pixels.
WINDOW = 32
SLICES_PER_LINE = 500
REPORT = "report.html"

log = logging.getLogger("model_code.audit")


def audit(paths: Processing, pictures: ReportPictures = ReportPictures.IF_NO) -> None:
    """Audit the snapshot and write audit/2, and the report on the data beside it.

    Raises SnapshotError if the slices are not the snapshot's.
    """
    taken = snapshot.read(paths.snapshot)
    document = build(taken, readings(taken.cases, paths.slices))
    paths.audit.parent.mkdir(parents=True, exist_ok=True)
    paths.audit.write_text(json.dumps(document, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    page = render(document, taken, paths.slices, pictures)
    paths.audit.with_name(REPORT).write_text(page, encoding="utf-8")
    counts = ("Unreadable", "Identical", "NearIdentical", "SamePatient")
    log.info(
        "audited_slices=%s unreadable=%s identical=%s near_identical=%s same_patient=%s",
        document["Slices"],
        *(document[name]["Count"] for name in counts),
    )
    for subject in SUBJECTS:
        found = document[subject]
        log.info("subject=%s balanced_accuracy=%s p_value=%s", subject, found["BalancedAccuracy"], found["PValue"])


def readings(cases: Sequence[Case], folder: Path) -> Iterator[Reading | Unreadable]:
    """Yield what the audit reads of each case, in order, or why it is unreadable."""
    decoder_process.SHARED.start()
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, len(cases), WINDOW):
            yield from threads.map(lambda case: _read(case, folder), cases[start : start + WINDOW])
            if (start + WINDOW) // SLICES_PER_LINE > start // SLICES_PER_LINE:
                log.info("audited=%s of %s", min(start + WINDOW, len(cases)), len(cases))


def _read(case: Case, folder: Path) -> Reading | Unreadable:
    body = case.read(folder)
    try:
        elements = read_elements(body, {*PIXEL_KEYWORDS, *KEYWORDS, *person.KEYWORDS, *position.KEYWORDS})
        ct_slice = read_slice(elements)
    except InstanceError as error:
        return Unreadable(str(error.code), error.message)
    tags = {**read_tags(elements), **person.read_person(elements), **position.read_position(elements)}
    upright = ct_slice.upright()
    shown = body_of(upright)
    if shown is not None:
        tags |= read_background(upright, shown)
    return Reading(
        pixel_digest(ct_slice.hounsfield),
        fingerprint(upright),
        tags,
        None if shown is None else framed(upright, shown),
    )
