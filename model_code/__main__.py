"""The container's commands.

python -m model_code serve           answer predictions over HTTP with the model in /opt/ml/model
python -m model_code answer FD       the child process of serve, which has the model
python -m model_code train           train on the snapshot of a training job's channels and write /opt/ml/model
python -m model_code audit           look for data leakage in a processing job's snapshot
python -m model_code optimise        give a processing job's candidate faster backends, validated on held-out slices
python -m model_code evaluate        measure a processing job's candidate, and champion, on the snapshot's test slices
python -m model_code pack DIR FILE   pack a model folder as model.tar.gz
python -m model_code check FILE      unpack a model.tar.gz safely, load it, and print its identity as JSON
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from model_code import stopping
from model_code.backends import allocator
from model_code.container import Binding, Container
from model_code.errors import ModelCodeError
from model_code.serving.request_log import RequestFormatter

IS_WORKER = "RANK"  # torchrun's variable, which only the workers of several have

log = logging.getLogger("model_code")


def main(arguments: list[str]) -> int:
    """Run one command and return the process's exit status. An error is one line of the log."""
    options = _parser().parse_args(arguments)
    _start_logging()
    # Returning freed memory to the system costs up to half the speed.
    allocator.keep_freed_memory()
    try:
        _run(options, arguments)
    except (ModelCodeError, ValueError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


def _run(options: argparse.Namespace, arguments: list[str]) -> None:
    """Import only what the command needs: a server would wait for the imports of training."""
    container = Container.from_environment(os.environ)
    if options.command == "serve":
        from model_code.serving.server import serve

        serve(container.model_dir, Binding.from_environment(os.environ))
    elif options.command == "answer":
        from model_code.serving.worker import answer

        answer(container.model_dir, options.descriptor)
    elif options.command == "train":
        from model_code.training.custom_code import hand_over

        _with_failure(lambda: hand_over(container, arguments), container.failure)
        from model_code.training.train import train

        _with_failure(lambda: train(container), container.failure)
    elif options.command == "audit":
        from model_code.audit.command import audit
        from model_code.evaluation.pictures import ReportPictures

        pictures = ReportPictures(options.report_pictures)
        _with_failure(lambda: audit(container.processing, pictures), container.message)
    elif options.command == "optimise":
        from model_code.optimisation.command import optimise

        def optimised() -> None:
            quantise = not options.fp32_only
            _report(optimise(container.processing, trained=options.trained, quantise=quantise), container.message)

        _with_failure(optimised, container.message)
    elif options.command == "evaluate":
        _with_failure(lambda: _evaluate(container, options), container.message)
    elif options.command == "pack":
        from model_code.artifacts.packing import pack

        pack(options.folder, options.archive)
    else:
        _check(options.archive)


def _with_failure(command: Callable[[], None], file: Path) -> None:
    """Run a job's command; if it fails, write the reason to ``file``, which SageMaker shows, and raise."""
    if IS_WORKER not in os.environ:
        with contextlib.suppress(OSError):
            file.unlink()  # of an earlier try in the same container
    try:
        command()
    except Exception as error:
        text = str(error) if isinstance(error, ModelCodeError) else f"{type(error).__name__}: {error}"
        _write_first(text, file)
        raise


def _write_first(text: str, file: Path) -> None:
    """Write why a job failed, unless another worker did; log it when that cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Of several workers the first to fail names the cause; the others only lost their connection to it.
        with contextlib.suppress(FileExistsError), file.open("x", encoding="utf-8") as first:
            first.write(text)
    except OSError as error:
        log.warning("SageMaker will not show why the job failed, since %s cannot be written: %s", file, error.strerror)


def _report(message: str, file: Path) -> None:
    """Write a processing job's result to ``file``, which SageMaker shows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(message, encoding="utf-8")


def _evaluate(container: Container, options: argparse.Namespace) -> None:
    from model_code.evaluation.command import evaluate
    from model_code.evaluation.pictures import ReportPictures

    evaluate(
        container.processing,
        candidate_sha256=options.candidate_sha256,
        champion_sha256=options.champion_sha256,
        reference_sha256=options.reference_sha256,
        attempt=options.attempt,
        pictures=ReportPictures(options.report_pictures),
    )


def _check(archive: Path) -> None:
    from model_code.artifacts.packing import unpack
    from model_code.inference import model_fn

    with tempfile.TemporaryDirectory() as folder:
        unpack(archive, Path(folder))
        model = model_fn(folder)
    sys.stdout.write(json.dumps(model.identity | {"Labels": model.labels}) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_code", description="The wetread model container.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer predictions over HTTP")
    answering = commands.add_parser("answer", help="answer the requests of serve, which starts this")
    answering.add_argument("descriptor", type=int, help="of the socket by which they come")
    commands.add_parser("train", help="train on the snapshot's slices")
    auditing = commands.add_parser("audit", help="audit the snapshot's pixels and acquisition tags")
    optimising = commands.add_parser(
        "optimise", help="give the candidate faster backends, validated on held-out slices"
    )
    optimising.add_argument("--trained", required=True, help="the digest of the candidate's files, in numbers")
    optimising.add_argument("--fp32-only", action="store_true", help="do not try 8-bit integers")
    measuring = commands.add_parser("evaluate", help="measure candidate and champion on the snapshot's test slices")
    measuring.add_argument("--candidate-sha256", required=True, help="the digest of the candidate's model.tar.gz")
    measuring.add_argument("--champion-sha256", default="", help="the digest of the champion's, if there is one")
    measuring.add_argument("--reference-sha256", default="", help="the digest of the best champion's, if another")
    measuring.add_argument("--attempt", type=int, default=1, help="how many runs measured models on these patients")
    for writing in (auditing, measuring):
        writing.add_argument(
            "--report-pictures",
            choices=("if_no", "unless_yes", "never"),
            default="if_no",
            help="show slices in the report only if BurnedInAnnotation is NO, unless it is YES, or never",
        )
    pack = commands.add_parser("pack", help="pack a model folder as model.tar.gz")
    pack.add_argument("folder", type=Path)
    pack.add_argument("archive", type=Path)
    check = commands.add_parser("check", help="check a model.tar.gz by loading it")
    check.add_argument("archive", type=Path)
    return parser


def _start_logging() -> None:
    """Log to stdout, which SageMaker's log streams and metric patterns read."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RequestFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # pydicom quotes the values it warns about, and a value may be a patient's name: it must stay silent.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")


if __name__ == "__main__":
    stopping.end_at_sigterm()
    sys.exit(main(sys.argv[1:]))
