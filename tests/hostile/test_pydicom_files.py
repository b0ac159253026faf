"""All test files inside pydicom's package, many of them strange on purpose: none is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import data, dcmread, uid

from tests.hostile.outcome import READ, outcome

PACKAGE = Path(data.__file__).resolve().parent
ROOT = PACKAGE / "test_files"
FILES = sorted(
    {
        path.resolve()
        for path in map(Path, [*data.get_testdata_files(), *data.get_charset_files()])
        if path.is_file() and path.resolve().is_relative_to(PACKAGE)
    }
)


def test_there_are_as_many_as_the_package_ships() -> None:
    assert len(FILES) > 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_each_ends_in_a_reading_or_a_named_refusal(path: Path) -> None:
    found = outcome(path.read_bytes())
    assert found.ingest
    assert found.container


def test_the_small_ct_slice_is_read() -> None:
    path = ROOT / "CT_small.dcm"
    assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert outcome(path.read_bytes()).container == READ
