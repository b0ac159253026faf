"""The dependency layer: the installed pure-Python distributions that the functions need, the AWS SDK among them.

Lambda's runtime has an SDK too, in a version that AWS chooses and changes; the layer comes before it on the search
path. Of the SDK's descriptions of services the layer has those that the functions call, 9 of more than 400.

The distributions are copied from the environment that synthesises. The build needs neither docker nor a network, and
the functions get the versions that the tests ran with. Each file must be the one that was installed: that environment
has other packages too, which are installed without hashes, and any of them may have replaced a file.
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

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
DISTRIBUTIONS = ("pydicom", "aws-lambda-powertools", "typing_extensions", *SDK)
SERVICES = frozenset({"cloudwatch", "dynamodb", "events", "kms", "lambda", "s3", "sagemaker", "sqs", "sts"})
"""The services that functions call, by their folders in boto3/data and botocore/data."""
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
                description=versions(),
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
    files = [
        file for file in listed if not LEFT_OUT_FOLDERS.intersection(file.parts) and not _is_of_other_service(file)
    ]
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


def _is_of_other_service(file: PurePath) -> bool:
    """Return whether a file describes a service that no function calls."""
    match file.parts:
        case ("boto3" | "botocore", "data", service, _, *_):
            return service not in SERVICES
    return False


def versions() -> str:
    """Return the layer's distributions with their versions, as pip writes them: what a deployed stage shows."""
    return " ".join(f"{name}=={importlib.metadata.version(name)}" for name in DISTRIBUTIONS)


def _is_as_installed(file: importlib.metadata.PackagePath, path: Path) -> bool:
    """Return whether a file has the hash that pip recorded when it installed a wheel with a known hash."""
    if file.hash is None or file.hash.mode != "sha256":
        return False
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
