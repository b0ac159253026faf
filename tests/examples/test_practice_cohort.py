"""A cohort of phantoms to practise with: labelled files that the command line takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.scripts import run
from wetread.training import cohorts


def test_a_practice_cohort_is_one_that_a_training_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "practice"
    run(monkeypatch, "practice_cohort.py", str(folder), "--patients", "6", "--slices", "2", "--size", "64")
    assert "12 slices of 6 patients (2 of normal, 2 of cap, 2 of covid)" in capsys.readouterr().out
    found = cohorts.read(folder)
    assert len(found.files) == 12
    assert {one.label for one in found.entries} == {"normal", "cap", "covid"}


def test_a_folder_with_files_and_a_class_that_no_phantom_shows_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in ((["--labels", "normal,tb"], "not tb"), ([], "is not empty")):
        with pytest.raises(SystemExit):
            run(monkeypatch, "practice_cohort.py", str(tmp_path), *words)
        assert said in capsys.readouterr().err
        (tmp_path / "mine.dcm").touch()
