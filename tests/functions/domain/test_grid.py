"""A Grid is read as the container writes it, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

import pytest

from functions.domain.errors import MalformedPrediction
from functions.domain.prediction import Prediction, parse
from tests.fakes.world import answer

SHA = hashlib.sha256(b"bytes").hexdigest()
VALUES = [number / 4 for number in range(12)]


def packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}e", *values)).decode()


GRID = {"Classes": 3, "Rows": 2, "Columns": 2, "Encoding": "float16-le-base64", "Data": packed(VALUES)}


def test_reads_the_values_of_each_class_by_row_and_column() -> None:
    found = parse(answer(b"bytes", Grid=GRID), SHA)
    assert isinstance(found, Prediction)
    assert found.grid is not None
    assert found.grid.values(0) == [[0.0, 0.25], [0.5, 0.75]]
    assert found.grid.values(2) == [[2.0, 2.25], [2.5, 2.75]]
    assert found.grid.as_dict() == GRID


def test_an_answer_of_an_older_container_has_none() -> None:
    found = parse(answer(b"bytes"), SHA)
    assert isinstance(found, Prediction)
    assert found.grid is None


@pytest.mark.parametrize(
    "changes",
    [
        {"Classes": 2, "Data": packed(VALUES[:8])},
        {"Classes": 3.0},
        {"Rows": True},
        {"Rows": 0},
        {"Rows": -2, "Columns": -2},
        {"Rows": 2**40, "Columns": 2**40},
        {"Encoding": "float32"},
        {"Data": packed(VALUES[:11])},
        {"Data": packed(VALUES) + "!"},
        {"Data": "é"},
        {"Data": 7},
        {"Data": None},
        {"Data": packed([*VALUES[:11], float("nan")])},
        {"Data": packed([*VALUES[:11], float("inf")])},
    ],
)
def test_anything_else_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedPrediction):
        parse(answer(b"bytes", Grid=GRID | changes), SHA)


OVER = {
    "Exchange": True,
    "ReverseRows": False,
    "ReverseColumns": True,
    "Top": 0,
    "Left": 8,
    "Rows": 64,
    "Columns": 48,
    "Side": 64,
    "LevelHU": -600.0,
    "WidthHU": 1500,
}


def test_reads_what_the_grid_lies_over() -> None:
    found = parse(answer(b"bytes", Grid=GRID | {"Over": OVER}), SHA)
    assert isinstance(found, Prediction)
    assert found.grid is not None
    assert found.grid.over is not None
    assert (found.grid.over.exchange, found.grid.over.left, found.grid.over.width_hu) == (True, 8, 1500)
    assert found.grid.as_dict() == GRID | {"Over": OVER}


@pytest.mark.parametrize(
    "changes",
    [
        {"Exchange": 1},
        {"Top": True},
        {"Top": -1},
        {"Rows": 0},
        {"Rows": 64.0},
        {"Left": 17},
        {"Top": 1},
        {"Side": 2**40},
        {"LevelHU": "-600"},
        {"LevelHU": True},
        {"WidthHU": 0},
        {"WidthHU": 1e300},
        {"WidthHU": None},
    ],
)
def test_a_grid_over_anything_else_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedPrediction):
        parse(answer(b"bytes", Grid=GRID | {"Over": OVER | changes}), SHA)


@pytest.mark.parametrize("over", [None, [], {}, {"Top": 0}])
def test_a_grid_over_no_object_with_its_fields_is_malformed(over: object) -> None:
    with pytest.raises(MalformedPrediction):
        parse(answer(b"bytes", Grid=GRID | {"Over": over}), SHA)


@pytest.mark.parametrize("grid", [None, [], "grid", {}, {"Data": "AAAA"}])
def test_a_grid_that_is_no_object_with_its_fields_is_malformed(grid: object) -> None:
    with pytest.raises(MalformedPrediction):
        parse(answer(b"bytes", Grid=grid), SHA)
