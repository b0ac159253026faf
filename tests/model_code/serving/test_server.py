"""The HTTP contract of the real command in a separate process."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from localcloud.containers.container import Container as LocalContainer
from model_code.container import Container
from tests.model_code.conftest import SOP_INSTANCE_UID, MakeSlice
from tests.serving import ATTEMPTS, serving
from wetread.project import PROJECT

DICOM = {"Content-Type": "application/dicom"}


@pytest.fixture(scope="module")
def client(container: Container) -> Iterator[httpx.Client]:
    with serving(container.base, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as (_, client):
        yield client


def test_ping_is_200_and_empty(client: httpx.Client) -> None:
    response = client.get("/ping")
    assert (response.status_code, response.content) == (200, b"")


def test_execution_parameters_keep_batch_transforms_rule(client: httpx.Client) -> None:
    parameters = client.get("/execution-parameters").json()
    assert parameters["BatchStrategy"] == "SINGLE_RECORD"
    assert parameters["MaxPayloadInMB"] == 1
    assert 1 <= parameters["MaxConcurrentTransforms"] * parameters["MaxPayloadInMB"] <= 100


def test_a_prediction(client: httpx.Client, body: bytes) -> None:
    response = client.post("/invocations", content=body, headers=DICOM)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document["Class"] == "covid"
    assert document["SOPInstanceUID"] == SOP_INSTANCE_UID
    assert document["ContentSHA256"] == hashlib.sha256(body).hexdigest()


def test_a_unix_socket_takes_the_place_of_a_port(container: Container, body: bytes) -> None:
    with LocalContainer(PROJECT, container.model_dir) as local:
        assert local.socket.is_socket()
        assert json.loads(local.invoke(body))["ContentSHA256"] == hashlib.sha256(body).hexdigest()


def test_bad_objects_are_answered_200_and_harm_no_other(
    client: httpx.Client, make_slice: MakeSlice, body: bytes
) -> None:
    bodies = {
        b"": "NotDicom",
        b"x" * 5000: "NotDicom",
        body[:-100]: "UndecodablePixelData",
        make_slice(PixelData=None): "NoPixelData",
        make_slice(Rows=65535, Columns=65535): "TooManyPixels",
        make_slice(np.zeros((64, 64), np.uint16), RescaleSlope=None): "NotHounsfield",
        body: None,
    }

    def post(content: bytes) -> tuple[int, str | None]:
        response = client.post("/invocations", content=content, headers=DICOM)
        return response.status_code, response.json().get("Error", {}).get("Code")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(post, [*bodies] * 2)) == [(200, code) for code in bodies.values()] * 2


def test_no_patient_is_in_an_answer(client: httpx.Client, make_slice: MakeSlice, body: bytes) -> None:
    for content in (body, make_slice(NumberOfFrames=3), make_slice(Modality="MR"), body[:300]):
        text = client.post("/invocations", content=content, headers=DICOM).text
        assert "Jane" not in text
        assert "SECRET" not in text


def test_the_same_bytes_get_the_same_answer_under_load(client: httpx.Client, body: bytes) -> None:
    def probabilities(_: int) -> Any:
        return client.post("/invocations", content=body, headers=DICOM).json()["Probabilities"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(probabilities, range(24)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({}, b"x", 415),
        (DICOM | {"Accept": "text/csv"}, b"x", 406),
        (DICOM, bytes(1024 * 1024 + 1), 413),
        (DICOM, bytes(1024 * 1024), 200),
    ],
)
def test_what_is_wrong_with_the_request_itself(
    client: httpx.Client, headers: dict[str, str], content: bytes, status: int
) -> None:
    response = client.post("/invocations", content=content, headers=headers)
    assert response.status_code == status
    assert response.json()["Error"]["Code"]


def test_a_connection_that_idles_for_some_seconds_stays_open(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as idle:
        for seconds in (0, 6):  # uvicorn closes after 5 by itself
            time.sleep(seconds)
            idle.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")


def test_other_paths_and_methods(client: httpx.Client) -> None:
    assert client.get("/invocations").status_code == 405
    assert client.get("/").status_code == 404


def script(tmp_path: Path, **functions: str) -> Path:
    """A model folder with only a custom script."""
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    bodies = {
        "model_fn": "(model_dir): return 'a model'",
        "input_fn": "(body, content_type): return body.decode()",
        "predict_fn": "(data, model): return f'{model} read {data} once'",
        "output_fn": "(prediction, accept): return prediction.encode()",
    } | functions
    (code / "inference.py").write_text("\n".join(f"def {name}{rest}" for name, rest in bodies.items()))
    return tmp_path


def test_sigterm_answers_what_is_in_flight_and_ends_with_success(tmp_path: Path) -> None:
    waiting = """(data, model):
    import pathlib, time
    pathlib.Path(data).write_text("begun")
    time.sleep(2)
    return "finished\""""
    begun = tmp_path / "begun"
    with serving(script(tmp_path, predict_fn=waiting)) as (process, client), ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client.post, "/invocations", content=str(begun).encode())
        for _ in range(ATTEMPTS):
            if begun.exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert sent.result().text == "finished"
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "Traceback" not in output


def test_a_custom_script_is_served(tmp_path: Path) -> None:
    failing = "(data, model): return {'ok': 'fine'}[data]"
    with serving(script(tmp_path, predict_fn=failing)) as (process, client):
        answer = client.post("/invocations", content=b"ok", headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.text) == (200, "fine")
        broken = client.post("/invocations", content=b"other", headers={"Content-Type": "text/plain"})
        assert broken.status_code == 500
        assert broken.json()["Error"]["Code"] == "InternalError"
        assert client.get("/ping").status_code == 200
        process.terminate()
        output, _ = process.communicate(timeout=60)
    digits = hashlib.sha256(b"other").hexdigest()[:12]
    assert f"[content {digits}] a request failed: KeyError at " in output
    assert "inference.py:" in output, "the script's own line is named"
    assert "other" not in output, "an error's text may quote the object, and with it a patient"


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    process.terminate()
    output, _ = process.communicate(timeout=60)
    return output.splitlines()


def test_every_line_about_a_request_names_it_whichever_module_logs_it(tmp_path: Path) -> None:
    logging_script = script(
        tmp_path,
        input_fn="(body, content_type):\n import logging\n logging.warning('first\\nsecond')\n return body.decode()",
        predict_fn="(data, model):\n import logging\n logging.getLogger('theirs').error('third')\n return data",
        output_fn="(prediction, accept): return {'ok': b'fine'}[prediction]",
    )
    inference_id = "0F9bb6f1-2a5d-4d5b-9b1e-0c8f9f6a7e11"
    with serving(logging_script) as (process, client):
        for body in (b"ok", b"bad"):
            client.post("/invocations", content=body, headers={"X-Amzn-SageMaker-Inference-Id": inference_id})
        lines = lines_of(process)
    for body, last in ((b"ok", "third"), (b"bad", "a request failed: KeyError at ")):
        mark = f"[content {hashlib.sha256(body).hexdigest()[:12]}, request {inference_id}] "
        named = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        assert named[:3] == ["first", "second", "third"]
        assert named[-1].startswith(last)
    assert [line for line in lines if not line.startswith("[content ")] == lines[:2], "two of the start"
    assert lines[0].startswith("predictions are computed on ")
    assert lines[1].startswith("listening on ")


def test_a_refused_or_unread_request_is_named_as_far_as_it_is_known(tmp_path: Path) -> None:
    refusing = script(
        tmp_path,
        input_fn="""(body, content_type):
    from model_code.errors import UnsupportedMediaType
    raise UnsupportedMediaType("Jane")""",
    )
    with serving(refusing, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as (process, client):
        assert client.post("/invocations", content=b"x").status_code == 415
        headers = {"X-Amzn-SageMaker-Inference-Id": "Jane^Doe"}
        assert client.post("/invocations", content=bytes(2 * 1024**2), headers=headers).status_code == 413
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as cut_off:
            cut_off.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort")
        assert client.get("/ping").status_code == 200
        lines = lines_of(process)
    digits = hashlib.sha256(b"x").hexdigest()[:12]
    assert lines[2:] == [
        f"[content {digits}] a request is refused: HTTP 415 UnsupportedMediaType",
        "[content not read] a request is refused: HTTP 413 PayloadTooLarge",
        "[content not read] the sender left before its request was read",
    ]


DEADLY = """(data, model):
    import os, signal
    if data == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == "leave":
        raise SystemExit
    return str(os.getpid())"""


def test_an_object_that_kills_the_models_process_is_answered_and_its_neighbours_too(tmp_path: Path) -> None:
    with serving(script(tmp_path, predict_fn=DEADLY)) as (process, client), ThreadPoolExecutor(4) as pool:
        bodies = [b"kill", b"one", b"two", b"three"]
        answers = [pool.submit(client.post, "/invocations", content=body, headers=DICOM) for body in bodies]
        while not all(answer.done() for answer in answers):
            assert client.get("/ping").status_code == 200, "the container is well while it waits for a new process"
            time.sleep(0.1)
        killer, *neighbours = [answer.result() for answer in answers]
        assert (killer.status_code, killer.json()["Error"]["Code"]) == (200, "KillsContainer")
        assert all(answer.text.isdecimal() for answer in neighbours)
        assert client.post("/invocations", content=b"leave", headers=DICOM).status_code == 500
        process.terminate()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "the model's process was ended by SIGKILL" in output
    digest = hashlib.sha256(b"kill").hexdigest()
    assert f"[content {digest[:12]}] the model's process ended before it answered this request" in output
    assert f"[content {digest[:12]}] the object with the SHA-256 {digest} is answered with KillsContainer" in output


LOSING = """(data, model):
    import pathlib, torch
    lost = pathlib.Path(__file__).with_name("lost")
    if data == "lose" and not lost.exists():
        lost.touch()
        def fail():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        torch.cuda.is_initialized, torch.cuda.synchronize = (lambda: True), fail
        fail()
    return data"""


def test_a_process_that_lost_its_gpu_is_replaced_and_its_request_answered(tmp_path: Path) -> None:
    # The plain slice that each new process reads is no text.
    latin = "(body, content_type): return body.decode('latin-1')"
    answers = "(prediction, accept): return prediction.encode('latin-1')"
    folder = script(tmp_path, predict_fn=LOSING, input_fn=latin, output_fn=answers)
    with serving(folder) as (process, client):
        answered = [client.post("/invocations", content=body, headers=DICOM) for body in (b"lose", b"next")]
        assert [(answer.status_code, answer.text) for answer in answered] == [(200, "lose"), (200, "next")]
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert "the model's process ended with status 1 with 1 requests in flight" in output
    assert "the GPU fails at every further call" in output


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it next reads a request")
def test_a_serve_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with serving(script(tmp_path, predict_fn=DEADLY)) as (process, client):
        model = int(client.post("/invocations", content=b"one", headers=DICOM).text)
        process.kill()
        process.communicate(timeout=60)
        for _ in range(ATTEMPTS):
            if _is_gone(model):
                break
            time.sleep(0.05)
        assert _is_gone(model)


def _is_gone(pid: int) -> bool:
    """Return whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: script(path, output_fn="x(): ...") and None, "lacks output_fn"),
        (lambda path: script(path, model_fn="(model_dir): raise ValueError('no weights')") and None, "no weights"),
        (lambda _: None, "no code/inference.py"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_command_with_one_clear_line(
    tmp_path: Path, prepare: Callable[[Path], None], message: str
) -> None:
    prepare(tmp_path)
    with serving(tmp_path) as (process, _):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
    assert message in output
    assert "Traceback" not in output


def test_the_real_slices_are_answered_in_silence(container: Container, real_slices: list[Path]) -> None:
    with serving(container.base, PYTHONWARNINGS="error") as (process, client):
        for path in real_slices:
            document = client.post("/invocations", content=path.read_bytes(), headers=DICOM).json()
            assert "Error" not in document
            assert document["SOPInstanceUID"] == ""
            assert json.dumps(document)
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert "arning" not in output
