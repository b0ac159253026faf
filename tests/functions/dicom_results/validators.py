"""Runs the validators of dicom3tools and PixelMed. They are Debian's packages, which CI's script installs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PIXELMED = Path("/usr/share/java/pixelmed.jar")
# Without these the style sheets are too large for the XPath of Java since version 17.
LIMITS = [f"-Djdk.xml.xpath{one}Limit=0" for one in ("ExprOp", "TotalOp", "ExprGrp")]

needs_dicom3tools = pytest.mark.skipif(
    not (shutil.which("dciodvfy") and shutil.which("dcentvfy")), reason="needs Debian's package dicom3tools"
)
needs_pixelmed = pytest.mark.skipif(
    not (shutil.which("java") and PIXELMED.exists()),
    reason="needs Debian's packages libpixelmed-java and default-jre-headless",
)

ALLOWED = re.compile(
    r"Warning - ("
    r"Unrecognized defined term <99WETREAD> for value 1 of attribute <Coding Scheme Designator>"
    # of the contributing equipment; the validator is of 2022
    r"|Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID"
    r"|Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP Class"
    # of the study in reports and notes, and of the request in images
    r"|Different information entities for attribute - Element=<AccessionNumber> IE <Study> versus <Series> .*"
    # of headers that lack these values themselves
    r"|Missing attribute or value that would be needed to build DICOMDIR - (Patient ID|Study (Date|Time|ID))"
    r"|is only permitted to be empty when actually unknown; .* - attribute <Laterality>"
    r")|Warning: [0-9.]+: .*/TEXT \(121106,DCM,\"Comment\"\): Content Item not in template"
)


def complaints_of_objects(path: Path) -> list[str]:
    """Return what dciodvfy says of one object, without what is allowed. Its exit code says nothing."""
    return _complaints(["dciodvfy", str(path)])


def complaints_of_a_study(paths: list[Path]) -> list[str]:
    """Return where dcentvfy sees objects of one study that disagree about the patient or the study."""
    return _complaints(["dcentvfy", *map(str, paths)])


def complaints_of_a_document(path: Path) -> list[str]:
    """Return what PixelMed's validator says of a report or a note, without what is allowed."""
    found = _complaints(["java", *LIMITS, "-cp", str(PIXELMED), "com.pixelmed.validate.DicomSRValidator", str(path)])
    assert "IOD validation complete" in found, found
    return [one for one in found if re.match("Error|Warning", one)]


def _complaints(command: list[str]) -> list[str]:
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, errors="replace")
    lines = (line.strip() for line in (run.stdout + run.stderr).splitlines())
    if command[0] == "java":
        return [line for line in lines if line and not ALLOWED.fullmatch(line)]
    return [line for line in lines if re.search("Error|Warning", line) and not ALLOWED.fullmatch(line)]
