"""The second layer of the function that makes DICOM results: highdicom, and the compiled packages that it needs.

Unlike the first layer it is installed, by pip from the package index, for Lambda's processor and Python: the machine
that synthesises may be another one. Every wheel must have a hash of dicom_layer.lock. Only a stage with
``dicom_results`` has this layer, so only its synthesis needs the index.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.layer import INSTALLER_FILES, LayerError

DISTRIBUTIONS = ("highdicom", "numpy", "pillow", "pyjpegls", "packaging")
"""What the lock has. highdicom's other requirements are in the first layer."""
LOCK = Path(__file__).with_name("dicom_layer.lock")
PYTHON = "3.13"
# Lambda's Amazon Linux 2023 has glibc 2.34.
PLATFORMS = tuple(f"{one}_aarch64" for one in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"))
KEPT = frozenset({"WHEEL"})  # of the installer's files: it says for which processor a wheel was built
LEFT_OUT = ("bin", "**/tests", "**/__pycache__")


class DicomLayer(lambda_.LayerVersion):
    """The layer, for functions on Arm."""

    def __init__(self, scope: Construct, id_: str, *, runtime: lambda_.Runtime) -> None:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder))
            super().__init__(
                scope,
                id_,
                code=lambda_.Code.from_asset(folder),
                compatible_runtimes=[runtime],
                compatible_architectures=[lambda_.Architecture.ARM_64],
                description="highdicom and what it needs, by infra/dicom_layer.lock",
            )


def build(folder: Path) -> None:
    """Install the locked wheels into ``folder``/python; raise LayerError with pip's last lines where it fails."""
    target = folder / "python"
    platforms = [part for one in PLATFORMS for part in ("--platform", one)]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCK)),
        *("--target", str(target), "--python-version", PYTHON, "--implementation", "cp", *platforms),
    ]
    installed = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (no text of others)
    if installed.returncode:
        last = " ".join(installed.stderr.split()[-60:])
        raise LayerError(f"pip could not install {LOCK.name} for Lambda, which the setting dicom_results needs: {last}")
    for pattern in LEFT_OUT:
        for path in list(target.glob(pattern)):
            shutil.rmtree(path)
    for path in target.glob("*.dist-info/*"):
        if path.name in INSTALLER_FILES - KEPT:
            path.unlink()
