"""A snapshot's slices from their channel: verified, in order, named if unreadable, and small in memory."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from model_code.errors import InstanceCode, InstanceError, SnapshotError
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from model_code.snapshot import Case, Split
from model_code.training.dataset import Samples, load, quantised, read_cases
from model_code.transforms import Preprocessing
from tests.model_code.conftest import LABELS, SIZE, MakeSlice, chest
from untrusted.picture import Pictures, served_by

LUNG = Preprocessing(image_size=SIZE)


def cases(folder: Path, bodies: list[bytes], label: str = "cap") -> list[Case]:
    made = []
    for line, body in enumerate(bodies, start=1):
        name = f"{line:032x}.dcm"
        (folder / name).write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        made.append(
            Case(line=line, name=name, content_sha256=digest, label=label, split=Split.TRAIN, patient=f"p{line}")
        )
    return made


def test_what_is_kept_is_what_inference_sees_but_for_rounding(tmp_path: Path, make_slice: MakeSlice) -> None:
    bodies = [make_slice(chest(label, np.random.default_rng(3))) for label in LABELS]
    samples, problems = load(tmp_path, cases(tmp_path, bodies), LABELS, LUNG)
    assert not problems
    assert (samples.images.dtype, samples.images.shape) == (torch.uint8, (3, 1, SIZE, SIZE))
    assert samples.targets.tolist() == [1, 1, 1]
    for index, body in enumerate(bodies):
        exact = LUNG.prepare(read_slice(read_instance(body)))
        torch.testing.assert_close(samples.image(index), exact, atol=0.5 / 255 + 1e-6, rtol=0)


def test_the_planes_and_image_types_among_the_slices_are_known(tmp_path: Path, make_slice: MakeSlice) -> None:
    stored = chest("cap", np.random.default_rng(3))
    bodies = [
        make_slice(stored, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImageType=["DERIVED", "SECONDARY", "MPR"]),
        make_slice(stored, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]),
    ]
    samples, problems = load(tmp_path, cases(tmp_path, bodies), LABELS, LUNG)
    assert not problems
    assert samples.kinds == {("coronal", "reformat"), ("axial", "original")}
    assert samples.part(slice(1)).kinds == samples.kinds
    served = served_by(*zip(*samples.kinds, strict=True))
    assert served == Pictures(planes=("coronal", "axial"), image_types=("original", "derived", "reformat"))


def test_a_part_shares_the_memory() -> None:
    samples = Samples(quantised(torch.rand(4, 1, 8, 8)), torch.arange(4))
    part = samples.part(slice(1, 3))
    assert part.targets.tolist() == [1, 2]
    assert part.images.data_ptr() == samples.images[1].data_ptr()


def test_slices_are_read_side_by_side_and_given_out_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    together = threading.Barrier(2, timeout=60)

    def reader(body: bytes) -> bytes:
        together.wait()
        return body

    bodies = [str(number).encode() for number in range(40)]
    read = list(read_cases(tmp_path, cases(tmp_path, bodies), reader))
    assert [body for _, body in read] == bodies
    assert [case.line for case, _ in read] == list(range(1, 41))


def test_an_unreadable_slice_is_given_out_as_its_error(tmp_path: Path) -> None:
    refused = InstanceError(InstanceCode.MULTI_FRAME, "Two frames.")

    def reader(body: bytes) -> bytes:
        if body == b"2":
            raise refused
        return body

    assert [read for _, read in read_cases(tmp_path, cases(tmp_path, [b"1", b"2", b"3"]), reader)] == [
        b"1",
        refused,
        b"3",
    ]


def test_every_unreadable_slice_is_named_and_the_others_are_read(tmp_path: Path, make_slice: MakeSlice) -> None:
    sound = make_slice(chest("cap", np.random.default_rng(3)))
    samples, problems = load(tmp_path, cases(tmp_path, [b"?", sound, make_slice(Rows=0)]), LABELS, LUNG)
    assert [problem.split(":")[0] for problem in problems] == ["line 1", "line 3"]
    assert "NotDicom" in problems[0]
    assert samples.image(1).max() > 0.9


def test_a_slice_with_changed_bytes_ends_the_reading(tmp_path: Path) -> None:
    pinned = cases(tmp_path, [b"1", b"2"])
    (tmp_path / pinned[1].name).write_bytes(b"3")
    with pytest.raises(SnapshotError, match="line 2: "):
        list(read_cases(tmp_path, pinned, bytes))
