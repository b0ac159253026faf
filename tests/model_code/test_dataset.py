"""The training channel: tolerant in finding files, complete in naming what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_code.dataset import read_manifest, read_slices
from model_code.errors import TrainingError
from tests.model_code.conftest import LABELS, MakeSlice


def entry(filename: str, label: str = "cap", study: str = "s1", **changes: Any) -> dict[str, Any]:
    content = {"type": "classification", "label": label}
    return {"studyId": study, "seriesId": "r1", "filename": filename, "content": content} | changes


def write(channel: Path, entries: Any, files: dict[str, bytes]) -> None:
    for name, body in files.items():
        (channel / name).parent.mkdir(parents=True, exist_ok=True)
        (channel / name).write_bytes(body)
    (channel / "manifest.json").write_text(json.dumps(entries))


def test_files_are_found_by_name_at_any_depth(tmp_path: Path, make_slice: MakeSlice) -> None:
    write(tmp_path, [entry("a.dcm", "covid"), entry("x/b.dcm")], {"deep/er/a.dcm": make_slice(), "b.dcm": make_slice()})
    slices = list(read_slices(read_manifest(tmp_path, LABELS)))
    assert [(one.label, one.patient, one.hounsfield.shape) for one in slices] == [
        ("covid", "SECRET-42", (6, 8)),
        ("cap", "SECRET-42", (6, 8)),
    ]


def test_a_repeated_file_name_is_told_apart_by_its_study(tmp_path: Path) -> None:
    write(tmp_path, [entry("a.dcm", study="s2")], {"s1/a.dcm": b"1", "s2/a.dcm": b"2"})
    assert read_manifest(tmp_path, LABELS)[0].path.read_bytes() == b"2"


def test_without_a_patient_id_the_study_stands_for_the_patient(tmp_path: Path, make_slice: MakeSlice) -> None:
    write(tmp_path, [entry("a.dcm", study="s9")], {"a.dcm": make_slice(PatientID="")})
    assert next(read_slices(read_manifest(tmp_path, LABELS))).patient == "s9"


def test_every_bad_entry_is_named(tmp_path: Path) -> None:
    entries = [
        entry("absent.dcm"),
        entry("a.dcm", "pneumonia"),
        {"studyId": "s1"},
        "a.dcm",
        entry("a.dcm", content={"type": "segmentation", "label": "cap"}),
        entry("twice.dcm", study="elsewhere", seriesId="elsewhere"),
    ]
    write(tmp_path, entries, {"a.dcm": b"", "1/twice.dcm": b"", "2/twice.dcm": b""})
    with pytest.raises(TrainingError) as caught:
        read_manifest(tmp_path, LABELS)
    message = str(caught.value)
    assert all(f"entry {line}: " in message for line in range(1, len(entries) + 1))
    assert "'absent.dcm' is not in the channel" in message
    assert "'twice.dcm' is there 2 times" in message


def test_every_unreadable_file_is_named(tmp_path: Path, make_slice: MakeSlice) -> None:
    names = ("a.dcm", "b.dcm", "c.dcm")
    write(
        tmp_path, [entry(name) for name in names], {"a.dcm": b"?", "b.dcm": make_slice(), "c.dcm": make_slice(Rows=0)}
    )
    with pytest.raises(TrainingError) as caught:
        list(read_slices(read_manifest(tmp_path, LABELS)))
    assert "entry 1 (a.dcm): NotDicom" in str(caught.value)
    assert "entry 3 (c.dcm): TooManyPixels" in str(caught.value)
    assert "b.dcm" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1,"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(TrainingError, match=r"manifest\.json is not"):
        read_manifest(tmp_path, LABELS)


def test_the_sample_manifest_names_the_real_slices(real_slices: list[Path]) -> None:
    cases = read_manifest(real_slices[0].parent, LABELS)
    assert {case.path for case in cases} == set(real_slices)
