"""Known vulnerabilities of pinned packages, by pip-audit: `make audit`. The exit status is 1 for an open one.

python -m tests.audit              with tests/advisories.json, without a network
python -m tests.audit --online     with OSV as it is now
python -m tests.audit --refresh    put what OSV knows about the pinned packages into tests/advisories.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pip_audit._service.osv import OsvService

from tests import advisories
from tests.advisories import Record
from tests.locks import CONSTRAINTS, DICOM_LOCK, LAYER_LOCK, REQUIREMENTS, ROOT, locked, pins

PINNED = (CONSTRAINTS, REQUIREMENTS, LAYER_LOCK, DICOM_LOCK)
OSV = OsvService.DEFAULT_OSV_URL
KEPT = ("schema_version", "id", "aliases", "published", "modified", "withdrawn", "summary", "affected", "references")


@dataclass(frozen=True)
class Answer:
    """Why a version with a known vulnerability is still pinned; another version needs another answer."""

    package: str
    version: str
    decided: str
    why: str
    advisories: tuple[str, ...]


ANSWERS = (
    Answer(
        "torch",
        "2.13.0",
        "2026-11-28",
        "No fixed version. It is in the loader of .pt2 files; only state dicts are loaded here, with weights_only.",
        ("CVE-2026-4538",),
    ),
    Answer(
        "python-gdcm",
        "3.2.6",
        "2026-11-28",
        "No fixed version: upstream took its fix back. GDCM parses no file here: it gets single frames, in a "
        "process that is bounded to 1 GiB and replaced when it dies (model_code/reading/decoder_process.py).",
        ("CVE-2026-3650",),
    ),
    Answer(
        "pylibjpeg-openjpeg",
        "2.6.0",
        "2026-11-28",
        "No fixed version. A frame may take 5 s of processor time and 1,024 tiles "
        "(model_code/reading/decoder_process.py).",
        ("CVE-2023-39327",),
    ),
    Answer(
        "mlflow",
        "3.17.2",
        "2026-11-28",
        "No fixed version. The SageMaker SDK imports it, in the extra `sdk` only; wetread loads no models, recipes or "
        "projects of MLflow, and it is neither in the image nor in Lambda.",
        tuple(f"CVE-2024-{number}" for number in (37053, 37054, 37056, 37057, 37058, 37060, 37061)),
    ),
    Answer(
        "skops",
        "0.16.0",
        "2026-11-28",
        "No fixed version. MLflow imports it, in the extra `sdk` only; wetread loads no model with it.",
        ("CVE-2024-37065",),
    ),
)


@dataclass(frozen=True)
class Finding:
    """A pinned version with a known vulnerability; ``names`` has its identifier first, then the others."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]
    files: frozenset[str] = field(compare=False, default=frozenset())

    @property
    def answer(self) -> Answer | None:
        """The answer to it, None for an open one."""
        mine = (one for one in ANSWERS if (one.package, one.version) == (self.package, self.version))
        return next((one for one in mine if set(one.advisories) & set(self.names)), None)

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version"
        answer = self.answer
        said = f"answered on {answer.decided}: {answer.why}" if answer else "OPEN"
        return (
            f"{self.package} {self.version} {' '.join(self.names)} ({fixed}; {', '.join(sorted(self.files))}): {said}"
        )


def audit(url: str, files: Iterable[Path] = PINNED) -> list[Finding]:
    """Return pip-audit's findings in files of pinned versions, from ``url``; SystemExit with its output if it fails."""
    found: dict[Finding, set[str]] = {}
    for file in files:
        for package in _asked(url, file):
            for one in package["vulns"]:
                names = (one["id"], *one["aliases"])
                finding = Finding(
                    canonicalize_name(package["name"]), package["version"], names, tuple(one["fix_versions"])
                )
                found.setdefault(finding, set()).add(file.name)
    return [
        Finding(one.package, one.version, one.names, one.fixed, frozenset(names))
        for one, names in sorted(found.items(), key=lambda item: (item[0].package, item[0].names))
    ]


def _asked(url: str, file: Path) -> list[dict[str, Any]]:
    """pip-audit's report on each package of a file."""
    options = [
        "--no-deps",
        "--disable-pip",
        "--strict",
        "--progress-spinner",
        "off",
        "--desc",
        "off",
        "--format",
        "json",
    ]
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "pip_audit", *options, "--cache-dir", cache, "--requirement", str(file)]
        done = subprocess.run(
            [*command, "--vulnerability-service", "osv", "--osv-url", url, "--aliases", "on"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} if "//127.0.0.1:" in url else None,
        )
    if not done.stdout:
        raise SystemExit(f"pip-audit could not look at {file.name}: {done.stderr.strip()}")
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return packages


def refresh(url: str, file: Path = advisories.FILE) -> int:
    """Write the records of ``url`` about the pinned packages into a file; return their number.

    Records that ``url`` does not know stay: they are about libraries inside wheels.
    """
    records: dict[str, Record] = {one["id"]: one for one in advisories.read(file)} if file.exists() else {}
    names = {*pins(CONSTRAINTS), *pins(REQUIREMENTS), *locked(LAYER_LOCK), *locked(DICOM_LOCK)}
    for name in sorted(names):
        records |= {one["id"]: {key: one[key] for key in KEPT if key in one} for one in _known(url, name)}
    kept = sorted(records.values(), key=lambda one: (one["affected"][0]["package"]["name"], one["id"]))
    file.write_text(json.dumps([one for one in kept if "withdrawn" not in one], indent=1) + "\n", encoding="utf-8")
    return len(kept)


def _known(url: str, name: str) -> list[Record]:
    """Return all records about a package, whatever the version."""
    found: list[Record] = []
    token = ""
    while True:
        query = {"package": {"name": name, "ecosystem": advisories.ECOSYSTEM}} | (
            {"page_token": token} if token else {}
        )
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(query).encode())) as answer:
            page = json.load(answer)
        found += page.get("vulns", [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def main(arguments: Sequence[str]) -> int:
    """Audit, print the findings, and return the exit status."""
    if "--refresh" in arguments:
        _say(f"{advisories.FILE.relative_to(ROOT)} has {refresh(OSV)} records.")
        return 0
    if "--online" in arguments:
        found = audit(OSV)
    else:
        records = advisories.read()
        _say(f"Looking at {len(records)} advisories in {advisories.FILE.relative_to(ROOT)}.")
        with advisories.served(records) as url:
            found = audit(url)
    unanswered = [one for one in found if not one.answer]
    _say(*found, f"{len(found)} known vulnerabilities, {len(unanswered)} of them open.")
    return bool(unanswered)


def _say(*lines: object) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
