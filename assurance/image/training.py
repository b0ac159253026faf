"""`train` in containers: to its end, stopped and resumed, with what it cannot read, and on two hosts."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assurance.image.bench import Bench, NotJudged, status_of

HOSTS = ("algo-1", "algo-2")
EPOCHS = 3
STOPPED = 143
SECONDS = 180


def train(bench: Bench) -> str:
    """Train without a network."""
    base = bench.training("whole", EPOCHS)
    done = bench.engine.run(bench.image, _mounted(base), ["train"])
    status_of(0, done.status, done.log)
    assert not (base / "output/failure").exists()
    return f"a model, weights {weights(base)[:12]}"


def stop(bench: Bench) -> str:
    """Stop a training after its first epoch: it keeps the checkpoint, and leaves no model."""
    base = bench.training("broken", EPOCHS)
    with bench.started(["train"], *_mounted(base)) as container:
        container.wait_for_log("epoch=1 ", SECONDS)
        container.signal("TERM")
        ended = status_of(STOPPED, container.wait(20), container.log())
    assert any((base / "checkpoints").iterdir()), "no checkpoint"
    assert not (base / "model/model.pth").exists(), "a model of a training that was stopped"
    return f"{ended}, with a checkpoint and without a model"


def resume(bench: Bench) -> str:
    """Start the stopped training again: its weights are those of the training that nobody stopped."""
    base = bench.folder / "broken"
    if not base.is_dir():
        raise NotJudged("it needs what the check 'stop-in-epoch' makes")
    done = bench.engine.run(bench.image, _mounted(base), ["train"])
    status_of(0, done.status, done.log)
    assert "a checkpoint was found" in done.log, done.log[-400:]
    assert weights(base) == weights(bench.trained), "other weights than without the stop"
    return "the same weights as without the stop"


def failure_file(bench: Bench) -> str:
    """Give it what it cannot read: each time status 1, and a failure file that names the cause."""
    for name, (spoil, word) in FAULTS.items():
        base = bench.training(f"fault-{name}", 1)
        spoil(base)
        done = bench.engine.run(bench.image, _mounted(base), ["train"])
        status_of(1, done.status, done.log)
        written = (base / "output/failure").read_text()
        assert word in written, f"{name}: {written!r} does not name {word!r}"
    return f"status 1 and the cause, for {', '.join(FAULTS)}"


def two_hosts(bench: Bench) -> str:
    """Train on two hosts with a network between them; the second starts before the first has a name."""
    bases = [bench.training(f"host-{host}", 1, HOSTS, host) for host in HOSTS]
    with _network(bench) as network, bench.started(["train"], *_host(HOSTS[1], network, bases[1])) as second:
        time.sleep(1)
        with bench.started(["train"], *_host(HOSTS[0], network, bases[0])) as first:
            statuses = first.wait(SECONDS), second.wait(30)
            log = first.log() + second.log()
    assert statuses == (0, 0), f"statuses {statuses}: {log[-400:]}"
    assert "workers=2" in log, log[-400:]
    assert (bases[0] / "model/model.pth").is_file()
    return f"status 0 on both; the first wrote the model, weights {weights(bases[0])[:12]}"


def weights(base: Path) -> str:
    """Return the digest of the model that a training wrote."""
    return hashlib.sha256((base / "model/model.pth").read_bytes()).hexdigest()


@contextmanager
def _network(bench: Bench) -> Iterator[str]:
    name = f"wetread-{uuid.uuid4().hex}"
    made = bench.engine.podman("network", "create", "--internal", name)
    if made.status:
        raise NotJudged(f"podman makes no network here: {made.log.strip()[-200:]}")
    try:
        yield name
    finally:
        bench.engine.podman("network", "rm", "--force", name)


def _host(name: str, network: str, base: Path) -> list[str]:
    return [*_mounted(base), "--hostname", name, "--network", network, "--network-alias", name]


def _mounted(base: Path) -> list[str]:
    return [f"--volume={base}:/opt/ml"]


def _hyperparameters(base: Path) -> None:
    (base / "input/config/hyperparameters.json").write_text(json.dumps({"epochs": "none"}))


def _cluster(base: Path) -> None:
    (base / "input/config/resourceconfig.json").write_text("[]")


def _changed(base: Path) -> None:
    slice_ = _slices(base)[0]
    slice_.write_bytes(slice_.read_bytes()[:-1] + b"\x01")


def _absent(base: Path) -> None:
    _slices(base)[0].unlink()


def _slices(base: Path) -> list[Path]:
    return sorted((base / "input/data/slices").iterdir())


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "hyperparameters": (_hyperparameters, "epochs"),
    "resourceconfig.json": (_cluster, "resourceconfig.json"),
    "a changed slice": (_changed, ".dcm"),
    "an absent slice": (_absent, ".dcm"),
}
