"""Bring your own script: a model.tar.gz answers alike on our server and on AWS's toolkit with TorchServe."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from model_code.artifacts.packing import unpack
from tests.serving import serving
from tests.torchserve import INSTALL_SECONDS, START_SECONDS, Server, Unavailable, environment, torchserve
from wetread.demo.phantoms import LABELS, phantom_bytes

# The first test of all may install TorchServe.
pytestmark = [pytest.mark.check, pytest.mark.timeout(INSTALL_SECONDS + 2 * START_SECONDS)]

DICOM = "application/dicom"
TOLERANCE = 1e-4

SCRIPT = """
import io, json, os
import torch

def model_fn(model_dir):
    model = torch.nn.Linear(4, 2)
    model.load_state_dict(torch.load(os.path.join(model_dir, "weights.pt"), weights_only=True))
    return model.eval()

def input_fn(body, content_type):
    if content_type != "application/x-torch":
        raise ValueError(content_type)
    return torch.load(io.BytesIO(body), weights_only=True)

def predict_fn(data, model):
    with torch.no_grad():
        return model(data)

def output_fn(prediction, accept):
    return json.dumps({"Sum": prediction.sum().item(), "Rows": prediction.tolist()}).encode()
"""

Pair = tuple[httpx.Client, Server]


@pytest.fixture(scope="module")
def python() -> Path:
    """TorchServe's Python; skips where it cannot be."""
    try:
        return environment()
    except Unavailable as error:
        pytest.skip(str(error))


@contextmanager
def both(python: Path, base: Path) -> Iterator[Pair]:
    """The model in ``base``/model on our server and on AWS's."""
    with torchserve(python, base) as theirs, serving(base) as (_, ours):
        yield ours, theirs


@pytest.fixture(scope="module")
def pair(python: Path, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A trained model.tar.gz, unpacked as SageMaker does, on both servers."""
    base = tmp_path_factory.mktemp("served")
    unpack(artifact, base / "model")
    with both(python, base) as servers:
        yield servers


def compare(pair: Pair, body: bytes) -> None:
    """Post to both; what they answer may differ in timings and in the last digits of probabilities."""
    ours = pair[0].post("/invocations", content=body, headers={"Content-Type": DICOM})
    theirs = pair[1].post(body, DICOM)
    assert (theirs.status_code, theirs.headers["content-type"]) == (200, "application/json"), pair[1].log()
    assert (ours.status_code, ours.headers["content-type"]) == (200, "application/json"), ours.text
    mine, other = ours.json(), theirs.json()
    assert mine.keys() == other.keys()
    assert mine["ContentSHA256"] == hashlib.sha256(body).hexdigest()
    varying = {"TimingsMs", "Probabilities"}
    assert {name: mine[name] for name in mine.keys() - varying} == {
        name: other[name] for name in other.keys() - varying
    }
    if "Probabilities" in mine:
        assert list(mine["Probabilities"]) == list(other["Probabilities"])
        assert other["Probabilities"] == pytest.approx(mine["Probabilities"], abs=TOLERANCE)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("label", LABELS)
def test_a_phantom_is_answered_alike(pair: Pair, label: str, syntax: str) -> None:
    compare(pair, phantom_bytes(label, 3, 1, size=128, transfer_syntax=syntax))


@pytest.mark.parametrize(
    "broken", [b"no DICOM object", phantom_bytes("cap", 0, 0, size=128)[:-20_000]], ids=["text", "truncated"]
)
def test_a_broken_object_is_refused_alike(pair: Pair, broken: bytes) -> None:
    compare(pair, broken)


def test_the_real_slices_are_answered_alike(pair: Pair, real_slices: list[Path]) -> None:
    for path in real_slices:
        compare(pair, path.read_bytes())


def test_somebodys_own_script_is_answered_alike(python: Path, tmp_path: Path) -> None:
    model = torch.nn.Linear(4, 2)
    weights, tensor = io.BytesIO(), io.BytesIO()
    torch.save(model.state_dict(), weights)
    torch.save(torch.arange(8.0).reshape(2, 4), tensor)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        for name, content in (("weights.pt", weights.getvalue()), ("code/inference.py", SCRIPT.encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        tar.extractall(tmp_path / "model", filter="data")
    with both(python, tmp_path) as (ours, theirs):
        for kind, status in (("application/x-torch", 200), ("image/png", 500)):
            mine = ours.post("/invocations", content=tensor.getvalue(), headers={"Content-Type": kind})
            other = theirs.post(tensor.getvalue(), kind)
            assert (mine.status_code, other.status_code) == (status, status), theirs.log()
            if status == 200:
                assert mine.json() == other.json()
                assert mine.json()["Sum"] == pytest.approx(model(torch.arange(8.0).reshape(2, 4)).sum().item())
