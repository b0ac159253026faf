"""Draw the heat picture of a phantom's slice, as a study's DICOM results have it: docs/heat.png is one.

    python -m assurance.heat_picture [MODEL.tar.gz] --to heat.png

Without a file it reads with the champion of the local cloud, which `make demo` leaves.
"""

from __future__ import annotations

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from assurance.demo_levels import FIRST_PATIENT, model_of
from functions.dicom_results.heat import Heated, drawn, heat_of, lines, strength_of
from functions.dicom_results.slice_pixels import grey, header_of_slice
from functions.dicom_results.study import Model, Series, Slice, StudyRead
from functions.domain.prediction import Prediction, parse
from model_code.inference import DICOM_TYPE, JSON_TYPE, input_fn, output_fn, predict_fn
from wetread.demo.phantoms import phantom_bytes
from wetread.demo.story import UPLOAD_SEED

LABEL, NUMBER, SIZE = "cap", 8, 256
SERIES = "1.2.840.99.1"


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model.tar.gz")
    parser.add_argument("--to", type=Path, required=True, help="the picture, .png")
    parser.add_argument("--patient", type=int, default=FIRST_PATIENT)
    asked = parser.parse_args()
    model = model_of(asked.model)
    body = phantom_bytes(LABEL, asked.patient, NUMBER, size=SIZE, seed=UPLOAD_SEED)
    answer = output_fn(predict_fn(input_fn(body, DICOM_TYPE), model), JSON_TYPE)
    read = parse(answer, hashlib.sha256(body).hexdigest())
    if not isinstance(read, Prediction) or read.grid is None or read.grid.over is None:
        raise SystemExit("The model gives no grid: train it again with this release.")
    heat = heat_of(read.grid, list(read.probabilities), LABEL, "normal")
    one = Slice(series_uid=SERIES, sop_uid=f"{SERIES}.1", sop_class_uid="", rows=SIZE, columns=SIZE, number=NUMBER)
    shown = Heated(slice=one, place=1, label=LABEL, heat=heat, over=read.grid.over)
    legend = list(lines(_study(model.identity, one), shown, strength_of([heat])))
    picture = drawn(grey(header_of_slice(body), read.grid.over), shown, strength_of([heat]), legend)
    Image.fromarray(picture).quantize(160).save(asked.to, optimize=True)
    print(f"{asked.to}: {read.predicted_class} {read.probabilities}")


def _study(identity: dict[str, str], one: Slice) -> StudyRead:
    """Return as much of a study's read as a legend needs."""
    return StudyRead(
        study_uid=SERIES,
        revision=1,
        predecessor=None,
        closed_at=datetime.now(UTC),
        forced=False,
        model=Model(
            name=identity["Name"],
            version=identity["Version"],
            package="",
            weights_sha256=identity["WeightsSHA256"],
            form=identity["Form"],
        ),
        aggregation="",
        predicted=LABEL,
        reference_label="normal",
        findings=(),
        series=(Series(uid=SERIES, number=2),),
        members=(one,),
        cautions=("Synthetic",),
    )


if __name__ == "__main__":
    main()
