"""Several workers: two hosts on this machine train one network, and both report what fails on one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model_code.artifacts.artifact import describe, load_network
from model_code.container import Container
from model_code.errors import TrainingError
from model_code.training.cluster import Cluster
from tests.model_code.conftest import SIZE, chests, opt_ml

HOSTS = ("127.0.0.1", "127.0.0.2")
SECONDS = 240


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOSTS[0], 0))
        port: int = free.getsockname()[1]
        return port


def resource_config(path: Path, current: str, hosts: tuple[str, ...] = HOSTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"current_host": current, "hosts": hosts, "network_interface_name": "lo"}))
    return path


@pytest.fixture
def hosts(tmp_path: Path) -> list[Container]:
    """The /opt/ml of two hosts, each with its own copy of the slices."""
    made = [opt_ml(tmp_path / host, chests(), epochs=3, image_size=SIZE) for host in HOSTS]
    for container, host in zip(made, HOSTS, strict=True):
        resource_config(container.resource_config, host)
    return made


def start(containers: list[Container]) -> list[subprocess.Popen[bytes]]:
    port = str(free_port())
    started = []
    for container in containers:
        # One thread each: two processes of two threads on two cores wait for one another.
        environment = {"SAGEMAKER_BASE_DIR": str(container.base), "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        with (container.base / "log").open("ab") as log:
            command = [sys.executable, "-m", "model_code", "train"]
            started.append(subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log))
    return started


def log_of(container: Container) -> str:
    return (container.base / "log").read_text()


def run(containers: list[Container]) -> list[int]:
    return [process.wait(SECONDS) for process in start(containers)]


def test_two_hosts_train_one_network_which_the_first_writes(hosts: list[Container]) -> None:
    assert run(hosts) == [0, 0], log_of(hosts[0]) + log_of(hosts[1])
    first, second = hosts
    assert log_of(first).count("epoch=") == 3
    assert "workers=2" in log_of(first)
    assert "epoch=" not in log_of(second)
    assert not second.model_dir.exists()
    assert not second.checkpoints.exists()
    about = describe(first.model_dir)
    assert about.labels == ("normal", "cap", "covid")
    training = json.loads((first.model_dir / "metadata.json").read_text())["training"]
    losses = [line["train_loss"] for line in training["history"]]
    assert losses[-1] < losses[0]


def together(code: str, folder: Path) -> list[int]:
    """Run ``code`` with ``folder`` as two workers that are joined; return their exit statuses."""
    variables = {
        "MASTER_ADDR": HOSTS[0],
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            env=os.environ | variables | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    return [worker.wait(SECONDS) for worker in workers]


AGREEMENT = """
import os, sys, torch
from pathlib import Path
from model_code.training import fit
from model_code.training.checkpoint import Checkpoints
from model_code.training.dataset import Samples, quantised
from model_code.training.distributed import joined
from model_code.training.hyperparameters import Hyperparameters

targets = torch.arange(10) % 2
images = torch.rand(10, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.2
samples = Samples(quantised(images + targets[:, None, None, None] * 0.6), targets)
with joined(os.environ) as worker:
    mine = torch.tensor(worker.share(range(10)))
    part = Samples(samples.images[mine], samples.targets[mine])
    best, history = fit.fit(
        part, part, ("dark", "bright"), Hyperparameters(epochs=2, image_size=64), worker,
        Checkpoints(Path(sys.argv[1]), {}),
    )
    losses = [one["train_loss"] for one in history]
    kept = {"weights": best.weights, "logits": best.logits, "mine": mine, "losses": losses}
    torch.save(kept, Path(sys.argv[1]) / f"{worker.rank}.pt")
"""


EXCHANGE = """
import json, os, sys
from pathlib import Path
import torch
from model_code.training.distributed import joined
from model_code.errors import TrainingError

here = Path(sys.argv[1])

class Code:
    def __reduce__(self):
        return exec, (f"open('{here}/' + __import__('os').environ['RANK'] + '.ran', 'w')",)

with joined(os.environ) as worker:
    mine = {"text": "ä" * worker.rank, "tensor": torch.arange(3.0) * worker.rank, "none": None, "numbers": [1, 2.5]}
    found = {
        "gathered": [str(one) for one in worker.gather(mine)],
        "expected": [str(mine | {"text": "ä" * n, "tensor": torch.arange(3.0) * n}) for n in range(2)],
        "broadcast": worker.broadcast({"of": worker.rank}),
        "nothing": worker.broadcast(None),
    }
    try:
        worker.gather(Code() if worker.rank else None)
    except TrainingError as error:
        found["error"] = str(error)
    try:
        worker.broadcast(None if worker.rank else Code())
    except TrainingError as error:
        found["broadcast error"] = str(error)
    (here / f"{worker.rank}.json").write_text(json.dumps(found))
"""


@pytest.mark.check
def test_what_workers_send_each_other_is_data_and_never_code(tmp_path: Path) -> None:
    assert together(EXCHANGE, tmp_path) == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for found in (first, second):
        assert found["gathered"] == found["expected"]
        assert (found["broadcast"], found["nothing"]) == ({"of": 0}, None)
        assert found["error"] == "The bytes of another worker cannot be read: UnpicklingError."
    assert second["broadcast error"] == found["error"]
    assert not list(tmp_path.glob("*.ran"))


@pytest.mark.check
def test_all_workers_agree_on_the_weights_and_on_what_they_measure(tmp_path: Path) -> None:
    assert together(AGREEMENT, tmp_path) == [0, 0]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"])
    assert torch.equal(one["logits"], other["logits"])
    assert one["logits"].shape == (10, 2)
    assert one["losses"] == other["losses"]
    assert sorted([*one["mine"].tolist(), *other["mine"].tolist()]) == list(range(10))


@pytest.mark.check
def test_what_one_worker_cannot_read_ends_both_and_is_named_by_both(hosts: list[Container]) -> None:
    # The second of the first class is the second worker's.
    name = json.loads(hosts[1].snapshot_channel.read_text())["Slices"][1]["Slice"]
    (hosts[1].slices_channel / name).unlink()
    assert run(hosts) == [1, 1]
    for container in hosts:
        assert f"line 2: {name} is not among the slices" in container.failure.read_text()
        assert not container.model_dir.exists()


@pytest.mark.check
def test_sigterm_ends_the_workers_too(hosts: list[Container]) -> None:
    started = start(hosts)
    deadline = time.monotonic() + SECONDS
    while "epoch=1" not in log_of(hosts[0]) and started[0].poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in started:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(SECONDS) for process in started] == [128 + signal.SIGTERM] * 2, log_of(hosts[0])
    assert not any(container.model_dir.exists() or container.failure.exists() for container in hosts)
    assert run(hosts) == [0, 0]
    assert "training continues after epoch" in log_of(hosts[0])
    assert load_network(hosts[0].model_dir, describe(hosts[0].model_dir))


def test_without_a_resourceconfig_a_host_is_alone(tmp_path: Path) -> None:
    assert Cluster.read(tmp_path / "resourceconfig.json").hosts == ("localhost",)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[", "JSONDecodeError"), ("[]", "TypeError"), ('{"hosts": []}', "current_host"), (None, "algo-3")],
)
def test_a_resourceconfig_that_makes_no_sense_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = resource_config(tmp_path / "resourceconfig.json", "algo-3", ("algo-1", "algo-2"))
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrainingError, match=message):
        Cluster.read(path)
