"""The report on a run's data: the slices that a refusal names side by side, as far as they may be shown."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from model_code.__main__ import main
from model_code.audit.report import page
from model_code.container import Container
from tests.model_code.evaluation.report.test_page import Page
from tests.snapshots import Labelled, phantom_slices, write_snapshot
from wetread.demo.phantoms import phantom


def copied(stated: str | None = "NO") -> list[Labelled]:
    """Phantoms, and of the first training slice a noisy copy in the test part, of another patient."""
    slices = phantom_slices(patients=9)
    made = phantom("normal", 0, 0, size=128)
    pixels = made.pixel_array.copy()
    pixels[::7] += 9
    made.PixelData = pixels.tobytes()
    made.PatientID, made.PatientName = "Doe-17", "Doe^Jane"
    if stated is None:
        del made.BurnedInAnnotation
    else:
        made.BurnedInAnnotation = stated
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return [*slices, Labelled(stream.getvalue(), "normal", "P-other", "test")]


def report(base: Path, slices: list[Labelled], monkeypatch: pytest.MonkeyPatch, *options: str) -> Page:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    paths = Container(base).processing
    write_snapshot(paths.base / "input", slices)
    assert main(["audit", *options]) == 0
    return Page(paths.audit.with_name("report.html").read_text())


def test_slices_that_are_nearly_the_same_are_side_by_side_with_their_lines_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = copied()
    found = report(tmp_path, slices, monkeypatch)
    assert "Nearly the same picture in two parts" in found.text
    shown = [values["alt"] for tag, values in found.elements if tag == "img"]
    assert shown[:2] == ["Slice of line 1", f"Slice of line {len(slices)}"]
    text = " ".join(found.text.split())
    assert "line 1 normal, train part" in text
    assert f"line {len(slices)} normal, test part" in text
    assert "Doe" not in found.html


def test_it_loads_nothing_and_runs_nothing_and_has_its_places_for_verdict_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(tmp_path, copied(), monkeypatch)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in found.elements}
    assert not re.search(r"url\(|@import|https?://|@font-face", found.html)
    assert "<!-- verdict -->" in found.html
    assert '<span class="file" data-line="1"></span>' in found.html


def test_a_slice_that_may_hold_text_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = copied(stated=None)
    found = report(tmp_path / "one", slices, monkeypatch)
    last = f"Slice of line {len(slices)}"
    assert last not in found.html
    assert "BurnedInAnnotation is absent (report_pictures is if_no)" in found.text
    assert last in report(tmp_path / "two", slices, monkeypatch, "--report-pictures", "unless_yes").html
    assert "<img" not in report(tmp_path / "three", slices, monkeypatch, "--report-pictures", "never").html


def test_sound_data_have_a_report_without_pictures_and_with_the_patients_of_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(tmp_path, phantom_slices(patients=9), monkeypatch)
    assert "<img" not in found.html
    assert "scanner and protocol" in found.text
    assert "Patients and slices by part" in found.text


def test_of_many_pairs_few_are_shown_and_the_number_of_all_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_SHOWN", 1)
    first = phantom_slices(patients=3, slices_per_patient=3)
    again = [Labelled(one.body, one.label, f"{one.patient}x", "test") for one in first]
    text = " ".join(report(tmp_path, [*first, *again], monkeypatch).text.split())
    assert "9 found; the 1 that are most alike are shown" in text
