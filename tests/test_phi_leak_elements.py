"""The leak test knows every element that a reader reads, and no reader repeats what it finds in any of them."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from functions.dicom_results import reference, slice_pixels
from functions.domain import header
from functions.domain.header import WANTED, read_header
from model_code.audit.acquisition import KEYWORDS as ACQUISITION
from model_code.audit.acquisition import read_tags
from model_code.audit.confounding import Unit, confounding
from model_code.audit.document import SUBJECTS
from model_code.audit.person import read_person
from model_code.audit.position import KEYWORDS as POSITION
from model_code.audit.position import read_position
from model_code.backends.backend import Outputs
from model_code.evaluation.attributes import KEYWORDS as SUBGROUPS
from model_code.evaluation.attributes import read_attributes
from model_code.evaluation.pictures import KEYWORD, burned_in
from model_code.inference import input_fn, output_fn, predict_fn
from model_code.reading.ct_slice import CTSlice
from model_code.reading.elements import read_elements
from model_code.reading.notes import Note
from tests.fakes.world import World
from tests.phi_leak import AS, IN_AN_OBJECT_EACH, IN_EVERY_OBJECT, KNOWN, Search, number_of, planted, spoilt
from untrusted.attributes import META
from untrusted.header import NO_VALUE
from untrusted.picture import PLAIN
from wetread.demo.phantoms import phantom_bytes

ROOT = Path(header.__file__).parents[2]
PIXEL_GROUP = 0x7FE0
READERS = {"untrusted/header.py"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("functions", "model_code", "untrusted"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.with_suffix("").parts))


def asked_for() -> set[str]:
    """Return the keywords passed to ``read_elements``, by each module's own tables."""
    found: set[str] = set()
    for path, tree in sources():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "read_elements":
                table = compile(ast.Expression(call.args[1]), str(path), "eval")
                found |= set(eval(table, vars(module_of(path))))
    return found


def read() -> set[str]:
    """Return every element that any reader reads."""
    return {*META, *header.WANTED, *reference.WANTED, *slice_pixels.WANTED, *asked_for()}


def test_the_leak_test_knows_every_element_that_a_reader_reads() -> None:
    assert read() - KNOWN == set(), "add these to tests/phi_leak.py, then see that no reader repeats them"


def test_the_readers_are_found_by_their_own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"TransferSyntaxUID", "SOPInstanceUID", "PatientBirthDate", "KVP", "HighBit", KEYWORD} <= read()
    monkeypatch.setattr(header, "WANTED", {**WANTED, "AdmissionID": 0x00380010})
    monkeypatch.setattr("model_code.evaluation.predictions.KEYWORDS", (*SUBGROUPS, "ProtocolName"))
    assert read() - KNOWN == {"AdmissionID", "ProtocolName"}


def test_nothing_but_the_one_reader_takes_elements_out_of_bytes() -> None:
    taking = {"untrusted.walker.elements"}
    walking = {str(path) for path, tree in sources() if imports(tree) & taking}
    assert walking == READERS
    reading = {str(path) for path, tree in sources() if imports(tree) & {"pydicom.dcmread", "pydicom.filereader"}}
    assert not reading


def imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{one.name}" for one in node.names)}
    return found


@cache
def objects() -> dict[str, bytes]:
    sound = planted(phantom_bytes("covid", 1, 0, size=64), "-1")
    return {"sound": sound} | {f"{keyword} as {form}": body for keyword, form, body in spoilt(sound)}


NAMES = ("sound", *(f"{keyword} as {form}" for keyword in IN_AN_OBJECT_EACH for form in AS))


def test_what_is_planted_is_what_the_readers_see() -> None:
    for name in NAMES[1:]:
        keyword, _, form = name.partition(" as ")
        if keyword in META | WANTED and keyword != "TransferSyntaxUID":
            found = read_header(objects()[name], len(objects()[name]))
            assert found.text(keyword) == (NO_VALUE if form == "long" else AS[form](number_of(keyword)))
    tags = read_elements(objects()["sound"], ACQUISITION)
    assert all(number_of(one) in tags.text(one) for one in set(ACQUISITION) & set(IN_EVERY_OBJECT))


class StubModel:
    """Gives the same answer to every readable slice."""

    identity: dict[str, str] = {"Name": "stub", "Version": "1", "WeightsSHA256": "0" * 64}  # noqa: RUF012
    labels = ("covid", "normal")
    pictures = PLAIN
    synthetic = False
    typicality = None

    def prepare(self, _ct_slice: CTSlice) -> torch.Tensor:
        return torch.zeros(1, 1, 1)

    def notes(self, _ct_slice: CTSlice) -> tuple[Note, ...]:
        return ()

    def outputs(self, _images: torch.Tensor) -> Outputs:
        return Outputs(torch.zeros(1, 2))

    def scores(self, _outputs: Outputs) -> None:
        return None

    def probabilities(self, _logits: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.5, 0.5]])


SEARCH = Search()


@pytest.mark.parametrize("name", NAMES)
def test_no_row_no_answer_and_no_subgroup_repeats_a_text_of_an_object(name: str) -> None:
    body = objects()[name]
    world = World()
    row = world.ingesting.take(world.upload("a.dcm", body))
    answer = output_fn(predict_fn(input_fn(body, "application/dicom"), StubModel()), "")  # type: ignore[arg-type]
    subgroups: Any = {}
    if name == "sound":
        read = read_elements(body, {*SUBGROUPS, *ACQUISITION, *POSITION, KEYWORD})
        tags = {**read_tags(read), **read_person(read), **read_position(read)}
        units = [Unit(tags, label) for label in ("a", "a", "b", "b")]
        found = [confounding(units, list("1234"), ["a", "b"], 0, keywords) for keywords in SUBJECTS.values()]
        subgroups = [dict(read_attributes(read)), *found, burned_in(read)]
    for document in (json.dumps(asdict(row), default=str).encode(), answer, json.dumps(subgroups).encode()):
        assert SEARCH.traces(document) == set(), document[:300]
        assert len(document) < 4000
