"""The command ``audit``: reads every slice of a snapshot once and writes audit/1 for the data gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_code import snapshot
from model_code.audit.acquisition import KEYWORDS, read_tags
from model_code.audit.document import Reading, Unreadable, build
from model_code.audit.perceptual_hash import fingerprint, pixel_digest
from model_code.container import Processing
from model_code.errors import InstanceError
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

log = logging.getLogger("model_code.audit")


def audit(paths: Processing) -> None:
    """Audit the snapshot and write audit/1; raises SnapshotError if the slices are not the snapshot's."""
    taken = snapshot.read(paths.snapshot)
    document = build(taken, readings(taken.cases, paths.slices))
    paths.audit.parent.mkdir(parents=True, exist_ok=True)
    paths.audit.write_text(json.dumps(document, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    acquisition = document["Acquisition"]
    log.info(
        "audited_slices=%s unreadable=%s identical=%s near_identical=%s acquisition_balanced_accuracy=%s p_value=%s",
        document["Slices"],
        *(document[name]["Count"] for name in ("Unreadable", "Identical", "NearIdentical")),
        acquisition["BalancedAccuracy"],
        acquisition["PValue"],
    )


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
        elements = read_elements(body, {*PIXEL_KEYWORDS, *KEYWORDS})
        ct_slice = read_slice(elements)
    except InstanceError as error:
        return Unreadable(str(error.code), error.message)
    return Reading(pixel_digest(ct_slice.hounsfield), fingerprint(ct_slice.upright()), read_tags(elements))
