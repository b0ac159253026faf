"""The container's commands.

python -m model_code serve           answer predictions over HTTP with the model in /opt/ml/model
python -m model_code train           train on /opt/ml/input/data/training and write /opt/ml/model
python -m model_code pack DIR FILE   pack a model folder as model.tar.gz
python -m model_code check FILE      unpack a model.tar.gz safely, load it, and print its identity as JSON
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

from model_code import allocator
from model_code.container import Binding, Container
from model_code.errors import ModelCodeError
from model_code.inference import model_fn
from model_code.packing import pack, unpack
from model_code.server import serve
from model_code.train import train

log = logging.getLogger("model_code")


def main(arguments: list[str]) -> int:
    """Run one command; return the process's exit status. Errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    _start_logging()
    # Freed memory returned to the system costs up to half the speed.
    allocator.keep_freed_memory()
    try:
        _run(options)
    except (ModelCodeError, ValueError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    container = Container.from_environment(os.environ)
    if options.command == "serve":
        serve(container.model_dir, Binding.from_environment(os.environ))
    elif options.command == "train":
        _train(container)
    elif options.command == "pack":
        pack(options.folder, options.archive)
    else:
        _check(options.archive)


def _train(container: Container) -> None:
    try:
        train(container)
    except Exception as error:
        text = str(error) if isinstance(error, ModelCodeError) else f"{type(error).__name__}: {error}"
        container.failure.parent.mkdir(parents=True, exist_ok=True)
        container.failure.write_text(text, encoding="utf-8")
        raise


def _check(archive: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unpack(archive, Path(folder))
        model = model_fn(folder)
    sys.stdout.write(json.dumps(model.identity | {"Labels": model.labels}) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_code", description="The wetread model container.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer predictions over HTTP")
    commands.add_parser("train", help="train on the training channel")
    pack = commands.add_parser("pack", help="pack a model folder as model.tar.gz")
    pack.add_argument("folder", type=Path)
    pack.add_argument("archive", type=Path)
    check = commands.add_parser("check", help="check a model.tar.gz by loading it")
    check.add_argument("archive", type=Path)
    return parser


def _start_logging() -> None:
    """Send our log to stdout, where SageMaker's log streams and metric patterns read it."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    # pydicom quotes the values it complains about, and a value may be a patient's name: it stays silent.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
