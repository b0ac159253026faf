"""Builds the image without a docker daemon, and runs its commands as SageMaker would: `make image-check`.

Needs root on Debian with the packages of ``engine.TOOLS``. ``--pull`` takes the Dockerfile's own base
image from its registry; without it a base is made from Debian's packages and a copy of this Python (``base``).
``--only`` runs some checks; those that need a model need ``train`` and ``optimise``, too. The exit status is 1 when a
check fails; one that cannot be run here says why, and does not fail.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from assurance.image import contents, processing, serving, stopping, training
from assurance.image.bench import Bench, Check, Verdict, judge
from assurance.image.build import build
from assurance.image.engine import Engine, unable

# In this order: some use what earlier ones make.
CHECKS: dict[str, Check] = {
    "manifest": contents.manifest,
    "entrypoint": contents.entrypoint,
    "size": contents.size,
    "locks": contents.locks,
    "bytecode": contents.bytecode,
    "train": training.train,
    "stop-in-epoch": training.stop,
    "resume": training.resume,
    "failure-file": training.failure_file,
    "two-hosts": training.two_hosts,
    "audit": processing.audit,
    "optimise": processing.optimise,
    "evaluate": processing.evaluate,
    "first-ping": serving.first_ping,
    "answers": serving.answers,
    "locked-up": serving.locked_up,
    "memory": serving.memory,
    "quota": serving.quota,
    "protocol": serving.protocol,
    "in-flight": serving.in_flight,
    "stop-serve": stopping.at_start("serve", 0),
    "stop-train": stopping.at_start("train", 143),
    "stop-audit": stopping.at_start("audit", 143),
    "stop-evaluate": stopping.at_start("evaluate", 143),
    "stop-optimise": stopping.in_optimise,
    "stop-waiting-host": stopping.while_it_waits_for_a_host,
}


def main() -> None:
    """Build, check, and print a line for each check."""
    parser = argparse.ArgumentParser(prog="python -m assurance.image", description=__doc__)
    parser.add_argument("--pull", action="store_true", help="take the Dockerfile's base image from its registry")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/wetread-image"), help="the folder of images")
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS), metavar="CHECK", help="these alone")
    options = parser.parse_args()
    if reason := unable():
        raise SystemExit(reason)
    options.work.mkdir(parents=True, exist_ok=True)
    engine = Engine(options.work)
    image = build(engine, pull=options.pull)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for containers whose user is not root
        verdicts = run(Bench(engine, image, Path(folder)), {name: CHECKS[name] for name in options.only})
    sys.stdout.write(", ".join(f"{verdicts[one]} {one.value}" for one in Verdict) + "\n")
    sys.exit(1 if verdicts[Verdict.FAILED] else 0)


def run(bench: Bench, checks: dict[str, Check]) -> Counter[Verdict]:
    """Run the checks and print a line for each; return how many ended how."""
    verdicts: Counter[Verdict] = Counter()
    for name, check in checks.items():
        verdict, seen = judge(check, bench)
        verdicts[verdict] += 1
        sys.stdout.write(f"{verdict.value:4}  {name}: {seen}\n")
        sys.stdout.flush()
    return verdicts


if __name__ == "__main__":
    main()
