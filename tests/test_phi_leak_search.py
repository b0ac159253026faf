"""The search for markers finds them in every encoding, so that finding nothing means something."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import tarfile
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.phi_leak import IN_EVERY_OBJECT, MARKERS, Search, Trace, planted
from wetread.demo.phantoms import phantom_bytes

SEARCH = Search()


def packed(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda value: value.encode(),
    "in upper case": lambda value: value.upper().encode(),
    "Latin-1, as DICOM has it": lambda value: value.encode("latin-1"),
    "in a URL": lambda value: f"https://s3/bucket/{quote(value, safe='')}?x".encode(),
    "in JSON": lambda value: json.dumps({"Key": value}).encode(),
    "in JSON in JSON": lambda value: json.dumps({"Body": json.dumps({"Key": value})}).encode(),
    "in HTML": lambda value: f"<td>{html.escape(value)}</td>".encode(),
    "in base64": lambda value: base64.b64encode(f"{value} and on".encode()),
    "in base64, shifted by one": lambda value: base64.b64encode(f"1{value} and on".encode()),
    "in base64, shifted by two": lambda value: base64.b64encode(f"12{value}".encode()),
    "in a gzip stream": lambda value: gzip.compress(value.encode()),
    "in a member of a model.tar.gz": lambda value: packed("model.pth", value.encode()),
    "in the name of a member": lambda value: packed(value, b""),
    "in an archive in an archive": lambda value: packed("inner.tar.gz", packed("a", value.encode())),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", MARKERS)
def test_each_value_is_found_in_each_encoding(name: str, encoding: str) -> None:
    assert name in {trace.value for trace in SEARCH.traces(ENCODINGS[encoding](MARKERS[name]))}


def test_one_part_of_a_name_is_enough() -> None:
    assert {trace.value for trace in SEARCH.traces("Dear Mr Zwëlda".encode())} == {"PatientName"}


def test_a_planted_object_holds_every_value_that_belongs_inside_and_one_without_holds_none() -> None:
    plain = phantom_bytes("normal", 1, 0, size=16)
    assert SEARCH.traces(plain) == set()
    inside = {trace.value for trace in SEARCH.traces(planted(plain))}
    assert inside == {*MARKERS, *IN_EVERY_OBJECT} - {"key", "metadata", "label"}


def test_a_trace_and_the_name_of_its_place_reveal_nothing_of_the_value() -> None:
    (trace,) = SEARCH.traces(b"the id is QWXOTHER-0042, call 555-0100")
    assert trace == Trace("OtherPatientIDs", "plain")
    assert SEARCH.masked("uploads/QWXOTHER-0042.dcm") == "uploads/(a name with it)"
    assert SEARCH.masked("results/abc.json") == "results/abc.json"
