"""`make image-check`, as far as it needs no image: how checks are judged, and what they read."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assurance.image import contents, network, serving, training
from assurance.image.__main__ import CHECKS, run
from assurance.image.bench import Bench, NotJudged, Verdict, in_time, judge, status_of
from assurance.image.engine import Engine, _network, unable
from assurance.image.network import Reply
from tests.locks import ROOT

DOCKERFILE = (ROOT / "model_code/Dockerfile").read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Engine(tmp_path / "images"), "image", tmp_path)


def fails(_: Bench) -> str:
    raise AssertionError("5.6 GB")


def cannot(_: Bench) -> str:
    raise NotJudged("it needs two processors")


def passes(_: Bench) -> str:
    return "1.1 GB"


def test_a_check_passes_fails_or_says_why_it_cannot_be_run(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = run(bench, {"one": passes, "other": fails, "third": cannot})
    assert verdicts == {Verdict.PASSED: 1, Verdict.FAILED: 1, Verdict.NOT_JUDGED: 1}
    assert capsys.readouterr().out.splitlines() == [
        "ok    one: 1.1 GB",
        "FAIL  other: 5.6 GB",
        "skip  third: it needs two processors",
    ]


@pytest.mark.parametrize(
    "raised", [RuntimeError(), KeyError("Size"), OSError("no space"), json.JSONDecodeError("", "", 0)]
)
def test_what_a_check_trips_over_is_its_failure_and_the_next_ones_run(raised: Exception, bench: Bench) -> None:
    def trips(_: Bench) -> str:
        raise raised

    verdict, seen = judge(trips, bench)
    assert verdict is Verdict.FAILED
    assert seen


@pytest.mark.parametrize("name", ["resume", "optimise", "evaluate", "answers", "stop-train", "stop-optimise"])
def test_a_check_whose_model_was_not_made_names_the_check_that_makes_it(name: str, bench: Bench) -> None:
    verdict, seen = judge(CHECKS[name], bench)
    assert verdict is Verdict.NOT_JUDGED
    assert "it needs what the check" in seen


def test_an_exit_status_is_asserted_with_the_end_of_the_log() -> None:
    assert status_of(143, 143, "") == "status 143"
    with pytest.raises(AssertionError, match="status None, not 143: it still trains"):
        status_of(143, None, "it still trains\n")


def test_a_training_job_finds_its_channels_and_its_cluster(bench: Bench) -> None:
    base = bench.training("job", 2, training.HOSTS, "algo-2")
    assert json.loads((base / "input/config/hyperparameters.json").read_text())["epochs"] == "2"
    assert json.loads((base / "input/config/resourceconfig.json").read_text())["current_host"] == "algo-2"
    assert len(list((base / "input/data/slices").iterdir())) == 18


def test_each_fault_changes_what_a_training_reads(bench: Bench) -> None:
    for name, (spoil, _) in training.FAULTS.items():
        base = bench.training(name, 1)
        before = {path: path.read_bytes() for path in (base / "input").rglob("*") if path.is_file()}
        spoil(base)
        assert before != {path: path.read_bytes() for path in (base / "input").rglob("*") if path.is_file()}, name


def test_the_commands_that_compile_are_those_of_the_dockerfile() -> None:
    commands = contents.compilations(DOCKERFILE)
    assert len(commands) == DOCKERFILE.count("compileall") == 2
    assert all(one.startswith("PYTHONHASHSEED=0 python -m compileall ") for one in commands)


def test_a_port_that_is_listened_on_is_seen_in_the_kernels_table() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        table = Path("/proc/self/net/tcp").read_text()
        assert network.listens(table, port)
    assert not network.listens(Path("/proc/self/net/tcp").read_text(), port)


def test_without_its_programs_or_root_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program in {"buildah", "strip"} else program)
    assert unable() == "Not installed: buildah, binutils. On Debian: apt-get install buildah binutils"
    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "by root alone" in unable()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert unable() == ""


def test_a_busy_machine_is_no_judge_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    assert in_time(1.0, 2.0) == "after 1.0 s"
    with pytest.raises(AssertionError, match="at most"):
        in_time(3.0, 2.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 0.0, 0.0))
    assert in_time(1.0, 2.0) == "after 1.0 s"
    with pytest.raises(NotJudged, match="load average 9"):
        in_time(3.0, 2.0)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_the_image_is_built_and_passes_its_checks() -> None:
    if reason := unable():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-m", "assurance.image"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


ISOLATED = ["unshare", "--net", "sh", "-c", f"ip link set lo up && exec {sys.executable} -m http.server {network.PORT}"]


def _can_isolate() -> bool:
    tools = shutil.which("unshare") and shutil.which("ip")
    return bool(tools) and subprocess.run([*ISOLATED[:2], "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_isolate(), reason="no network namespace can be made here")
def test_http_reaches_a_server_in_another_network_and_leaves_this_one_as_it_was(tmp_path: Path) -> None:
    ours = Path("/proc/self/ns/net").readlink()
    with subprocess.Popen(ISOLATED, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while not network.listens(Path(f"/proc/{server.pid}/net/tcp").read_text(), network.PORT):
                assert server.poll() is None
                time.sleep(0.05)
            assert network.ask(server.pid, "GET", "/").status == 200
            assert network.ask(server.pid, "POST", "/", b"body", Content_Type="text/plain").status == 501
        finally:
            server.kill()
    assert Path("/proc/self/ns/net").readlink() == ours


def test_a_container_has_no_network_unless_one_is_named() -> None:
    assert _network(["--user=0"]) == ["--network", "none"]
    assert _network(["--network", "a"]) == _network(["--network=a"]) == []


def test_two_answers_are_compared_without_their_timings_and_errors_are_none() -> None:
    answer = {"Class": "cap", "Probabilities": {"cap": 1.0}}
    found = serving.documents(
        [Reply(200, json.dumps(answer | {"TimingsMs": {"Decode": took}}).encode()) for took in (1, 2)]
    )
    assert found == [answer, answer]
    with pytest.raises(AssertionError, match="status 500"):
        serving.documents([Reply(500, b"")])
    with pytest.raises(AssertionError, match="KillsContainer"):
        serving.documents([Reply(200, b'{"Error": {"Code": "KillsContainer"}, "TimingsMs": {}}')])
