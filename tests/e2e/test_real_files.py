"""Objects as people have them go through the whole service, and `wetread predict` says what the service says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from functions.domain.row import Row, Status
from tests.e2e.conftest import Service
from tests.real_files import FILES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
MOST_ROUNDING = 1e-3


@pytest.fixture(scope="module")
def rows(service: Service) -> dict[str, Row]:
    """The rows of all real files, by name."""
    uploads = service.put_all({f"real/{name}.dcm": make() for name, (make, _) in FILES.items()})
    return {Path(key).stem: row for key, row in service.rows(uploads, seconds=600).items()}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_ends_as_it_should(rows: dict[str, Row], name: str) -> None:
    row, expected = rows[name], FILES[name][1]
    assert (row.status, row.code) == (expected.status, expected.code), row.reason
    sentences = " ".join([*row.repairs, *row.notes, *row.prediction_notes, row.reason or ""])
    assert expected.note in sentences
    if expected.status == Status.COMPLETED:
        assert row.probabilities == pytest.approx(rows["as it is"].probabilities, abs=MOST_ROUNDING)


def test_predict_says_what_the_service_says(service: Service, rows: dict[str, Row], tmp_path: Path) -> None:
    files = {name: tmp_path / f"{number}.dcm" for number, name in enumerate(FILES)}
    for name, file in files.items():
        file.write_bytes(FILES[name][0]())
    done = service.command("predict", *map(str, files.values()), "--json")
    answers = dict(zip(files, json.loads(done.stdout), strict=True))
    for name, row in rows.items():
        assert answers[name].get("Error", {}).get("Code") == row.code, name
        assert answers[name].get("Class") == row.predicted_class, name
