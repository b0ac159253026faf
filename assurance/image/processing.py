"""The workflow's processing jobs in containers: `audit`, `optimise` and `evaluate`, and the documents they write."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from assurance.image.bench import Bench, status_of
from model_code.artifacts.seal import seal_of


def audit(bench: Bench) -> str:
    """Audit a snapshot."""
    return _schema(_run(bench, _of_trained(bench), ["audit"]) / "audit/audit.json")


def optimise(bench: Bench) -> str:
    """Give the trained model the backends that answer as it does."""
    written = _run(bench, _of_trained(bench), optimising(bench)) / "optimised/model.tar.gz"
    with tarfile.open(written) as archive:
        metadata = archive.extractfile("metadata.json")
        assert metadata is not None
        serving = json.load(metadata)["serving"]
    return f"{serving['form']} serves: {serving['proof']['reason']}"


def evaluate(bench: Bench) -> str:
    """Measure the optimised model."""
    digest = hashlib.sha256(bench.optimised.read_bytes()).hexdigest()
    written = _run(bench, bench.processing("evaluated", bench.optimised), ["evaluate", "--candidate-sha256", digest])
    return _schema(written / "evaluation/evaluation.json")


def optimising(bench: Bench) -> list[str]:
    """Return the arguments of ``optimise`` for the trained model."""
    return ["optimise", "--trained", "-".join(map(str, seal_of(bench.trained / "model")))]


def _of_trained(bench: Bench) -> Path:
    """Return /opt/ml of the jobs whose candidate is the trained model; it is made unless it is there."""
    made = bench.folder / "job"
    if not made.is_dir():
        candidate = bench.folder / "model.tar.gz"
        with tarfile.open(candidate, "w:gz") as archive:
            archive.add(bench.trained / "model", arcname=".")
        bench.processing("job", candidate)
    return made


def _run(bench: Bench, base: Path, arguments: list[str]) -> Path:
    """Run a processing job, and return the folder of its outputs."""
    done = bench.engine.run(bench.image, [f"--volume={base}:/opt/ml"], arguments)
    status_of(0, done.status, done.log)
    return base / "processing/output"


def _schema(path: Path) -> str:
    return str(json.loads(path.read_text())["Schema"])
