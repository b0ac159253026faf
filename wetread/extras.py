"""The optional dependencies of wetread: the extras of its distribution."""

from __future__ import annotations

import re
from importlib import metadata

from wetread.problems import ConfigProblem

DISTRIBUTION = "wetread"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
_NESTED = re.compile(rf"{DISTRIBUTION}\[([\w,-]+)\]")


def require(extra: str, purpose: str) -> None:
    """Raise ConfigProblem, with the command that installs it, unless all of an extra is installed.

    ``purpose`` begins the sentence: "`wetread up`", say.
    """
    absent = missing(extra)
    if absent:
        raise ConfigProblem(
            f"{purpose} needs {', '.join(absent[:3])}{' and more' if absent[3:] else ''}, which this installation "
            "leaves out.",
            f"Install it in a clone of the repository: `pip install '.[{extra}]'`.",
        )


def missing(extra: str) -> list[str]:
    """Return the distributions of an extra that are not installed, by name."""
    return sorted({name for name in _named_by(extra) if not _is_installed(name)})


def _named_by(extra: str) -> list[str]:
    found: list[str] = []
    for line in metadata.requires(DISTRIBUTION) or []:
        requirement, _, marker = line.partition(";")
        if extra not in _EXTRA.findall(marker):
            continue
        nested = _NESTED.match(requirement.replace(" ", ""))
        name = _NAME.match(requirement)
        if nested:
            found += [one for part in nested[1].split(",") for one in _named_by(part)]
        elif name:
            found.append(name[0])
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
