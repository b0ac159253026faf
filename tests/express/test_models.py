"""Which artifacts the function express refuses, before any of their code could run."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from express.models import OURS, SCRIPT, Models
from express.order import Order
from express.run import NotRead
from model_code.errors import ModelCodeError
from model_code.serving.supervisor import Reply


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return stream.getvalue()


def fetched(folder: Path, body: bytes, sha256: str = "") -> None:
    s3: Any = SimpleNamespace(get_object=lambda **_request: {"Body": io.BytesIO(body)})
    fields = dict.fromkeys(("job", "invocation", "bucket", "manifest", "begun", "ended", "outputs"), "")
    sha256 = sha256 or hashlib.sha256(body).hexdigest()
    Models(s3, folder)._fetch(Order(**fields, artifact="s3://models/model.tar.gz", artifact_sha256=sha256))


def test_of_an_artifact_s_code_only_the_image_s_own_stays(tmp_path: Path) -> None:
    fetched(tmp_path, archive({SCRIPT: OURS.read_bytes(), "code/helper.py": b"evil", "model.pth": b"weights"}))
    assert {path.name for path in (tmp_path / "model/code").iterdir()} == {"inference.py", "requirements.txt"}
    assert (tmp_path / "model/model.pth").read_bytes() == b"weights"


@pytest.mark.parametrize("files", [{SCRIPT: b"import evil"}, {"model.pth": b""}], ids=["another", "none"])
def test_another_script_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(NotRead, match="another script"):
        fetched(tmp_path, archive(files))


def test_other_bytes_than_the_promoted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRead, match="another SHA-256"):
        fetched(tmp_path, archive({SCRIPT: OURS.read_bytes()}), sha256="00")
    assert not (tmp_path / "model").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRead, match="cannot be unpacked"):
        fetched(tmp_path, b"no archive")


def test_when_the_supervisor_gives_up_an_object_has_no_answer_at_once(tmp_path: Path) -> None:
    """Else the run would wait, with all that it has not read, until Lambda ends it."""
    models: Any = Models(None, tmp_path)

    async def gives_up() -> None:
        raise ModelCodeError("The model's process ends at a plain slice, too.")

    async def begin() -> None:
        models._watching = asyncio.create_task(gives_up())
        models._supervisor = SimpleNamespace(answer=lambda _request: asyncio.Event().wait())

    models._wait(begin())
    assert models._read(b"an object") is None


@pytest.mark.parametrize("code", ["KillsContainer", "HoldsContainer"])
def test_an_object_that_ended_or_held_the_model_s_process_here_has_no_answer(tmp_path: Path, code: str) -> None:
    """A host has more memory and more cores, so only a transform job may say that of an object."""
    assert read(tmp_path, {"Error": {"Code": code}}) is None


def test_an_object_that_ended_or_held_its_decoder_here_has_no_answer(tmp_path: Path) -> None:
    """Memory that is short ends a decoder too, also that of a sound neighbour, and a slow core is out of time."""
    assert read(tmp_path, {"Error": {"Code": "UndecodablePixelData", "OfThisMachine": True}}) is None


@pytest.mark.parametrize("document", [{"Class": "cap"}, {"Error": {"Code": "UndecodablePixelData"}}])
def test_every_other_answer_counts(tmp_path: Path, document: dict[str, Any]) -> None:
    assert read(tmp_path, document) == json.dumps(document).encode()


def test_a_model_whose_supervisor_gave_up_is_replaced_by_the_next_run(tmp_path: Path) -> None:
    models: Any = Models(None, tmp_path)
    replaced: list[Order] = []
    models._replace = replaced.append
    fields = dict.fromkeys(("job", "invocation", "bucket", "manifest", "begun", "ended", "outputs", "artifact"), "")
    order = Order(**fields, artifact_sha256="00")
    for is_over in (False, True):
        models._sha256, models._watching = "00", SimpleNamespace(done=lambda is_over=is_over: is_over)
        models.reader_of(order)
        assert replaced == [order] * is_over


def read(folder: Path, document: dict[str, Any]) -> bytes | None:
    """Return what is read where the supervisor gives a document."""
    models: Any = Models(None, folder)

    async def answer(_request: object) -> Reply:
        return Reply(200, json.dumps(document).encode())

    async def begin() -> None:
        models._watching = asyncio.create_task(asyncio.Event().wait())
        models._supervisor = SimpleNamespace(answer=answer)

    models._wait(begin())
    body: bytes | None = models._read(b"an object")
    return body
