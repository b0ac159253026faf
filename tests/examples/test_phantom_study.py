"""A study of phantoms to try the service with: several slices of one StudyInstanceUID, which the service takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.examples.scripts import run
from wetread.uploads.planning import plan


def test_a_study_has_two_series_of_one_patient_and_is_sent_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    run(monkeypatch, "phantom_study.py", str(folder), "--class", "covid", "--size", "64")
    said = capsys.readouterr().out
    objects = [dcmread(one) for one in sorted(folder.glob("*.dcm"))]
    (study,) = {str(one.StudyInstanceUID) for one in objects}
    assert f"Study {study}, made as covid: 18 files in {folder}." in said
    slices = [one for one in objects if "Rows" in one and "LOCALIZER" not in one.ImageType]
    assert len({one.SeriesInstanceUID for one in slices}) == 2
    assert len({one.PatientID for one in objects}) == 1
    assert len(plan([folder], "").candidates) == len(objects)


def test_another_seed_is_another_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in ("7", "8", "8"):
        folder = tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}"
        run(monkeypatch, "phantom_study.py", str(folder), "--seed", seed, "--size", "64")
    first, second, again = (line.split(",")[0] for line in capsys.readouterr().out.splitlines() if "made as" in line)
    assert first != second == again


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").write_text("x")
    with pytest.raises(SystemExit):
        run(monkeypatch, "phantom_study.py", str(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["theirs"]
