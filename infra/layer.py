"""The dependency layer: installed pure-Python distributions that the functions need and the Lambda runtime lacks.

They are copied from the environment that synthesises. The build needs neither docker nor a network, and the functions
get the versions that the tests ran with. Each file must be the one that was installed: that environment has other
packages too, which are installed without hashes, and any of them may have replaced a file.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path, PurePath

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

DISTRIBUTIONS = ("pydicom", "aws-lambda-powertools", "jmespath", "typing_extensions")
# Files of the installer: they differ between machines and would change the layer's hash.
INSTALLER_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL", "entry_points.txt"})
LEFT_OUT_FOLDERS = frozenset({"..", "__pycache__", "test_files", "tests"})
COMPILED = frozenset({".so", ".pyd", ".dylib"})


class LayerError(Exception):
    """The layer cannot be built from this environment; the message names the distribution and the reason."""


class DependencyLayer(lambda_.LayerVersion):
    """One layer for all functions, on any processor and any Python that the distributions support."""

    def __init__(self, scope: Construct, id_: str, *, runtime: lambda_.Runtime) -> None:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder))
            # The construct copies the folder into the cloud assembly at once, under the hash of its contents.
            super().__init__(
                scope,
                id_,
                code=lambda_.Code.from_asset(folder),
                compatible_runtimes=[runtime],
                description=f"wetread's dependencies: {', '.join(DISTRIBUTIONS)}",
            )


def build(folder: Path) -> None:
    """Copy the distributions into ``folder``/python, Lambda's place for them: licences too, no tests, no caches.

    Raise LayerError when a distribution is not installed, was changed since, or holds compiled code.
    """
    for name in DISTRIBUTIONS:
        for relative, source in _files(name):
            target = folder / "python" / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _files(name: str) -> list[tuple[PurePath, Path]]:
    """Return the files of a distribution that belong in the layer: (path in the layer, path on this machine)."""
    try:
        listed = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        raise LayerError(f"{name} is not installed: set up the environment again with `make setup`.") from None
    files = [file for file in listed if not LEFT_OUT_FOLDERS.intersection(file.parts)]
    compiled = [str(file) for file in files if file.suffix in COMPILED]
    if compiled:
        raise LayerError(
            f"{name} holds compiled code ({compiled[0]}), which may not run in Lambda: "
            "the layer takes pure-Python distributions only."
        )
    found = [(file, Path(str(file.locate()))) for file in files if file.name not in INSTALLER_FILES]
    for file, path in found:
        if not _is_as_installed(file, path):
            raise LayerError(
                f"{file} is not the file that {name} was installed with: set up the environment anew "
                "(`rm -rf .venv`, `make setup`)."
            )
    return [*found]


def _is_as_installed(file: importlib.metadata.PackagePath, path: Path) -> bool:
    """Return whether a file has the hash that pip recorded when it installed a wheel with a known hash."""
    if file.hash is None or file.hash.mode != "sha256":
        return False
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
