"""The slices to validate backends on: spread over classes and patients, prepared as for serving, bad ones named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from model_code import snapshot
from model_code.errors import OptimisationError
from model_code.optimisation.slices import prepare, spread
from model_code.snapshot import Case, Split
from model_code.transforms import Preprocessing
from tests.model_code.conftest import MakeSlice, chest
from tests.snapshots import Labelled, write_snapshot


def case(line: int, label: str, patient: str) -> Case:
    return Case(line=line, name=f"{line:032x}.dcm", content_sha256="", label=label, split=Split.TEST, patient=patient)


def test_every_class_and_patient_has_its_share() -> None:
    cases = [case(n, "ab"[n % 2], f"p{n % 2}{n % 10 // 2}") for n in range(100)]
    chosen = spread(cases, 20)
    assert Counter(one.label for one in chosen) == {"a": 10, "b": 10}
    assert set(Counter(one.patient for one in chosen).values()) == {2}
    assert spread(cases[::-1], 20) == chosen


def test_fewer_than_asked_for_are_all() -> None:
    cases = [case(n, "a", "p") for n in range(3)]
    assert spread(cases, 20) == cases
    assert spread([], 20) == []


def test_slices_are_prepared_and_unreadable_ones_named(tmp_path: Path, make_slice: MakeSlice) -> None:
    bodies = [make_slice(chest("cap", np.random.default_rng(1))), make_slice(NumberOfFrames=2), b"no DICOM"]
    path = write_snapshot(tmp_path, [Labelled(body, "cap", "p", "test") for body in bodies])
    cases = snapshot.read(path).cases
    preprocessing = Preprocessing(image_size=8)
    (image,) = prepare(tmp_path / "slices", cases[:1], preprocessing)
    assert (image.shape, image.dtype) == ((1, 8, 8), torch.float32)
    with pytest.raises(OptimisationError, match=r"2 slices cannot be decoded: line 2: MultiFrame.*line 3: NotDicom"):
        prepare(tmp_path / "slices", cases, preprocessing)
