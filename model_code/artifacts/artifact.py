"""The folder of one model, as SageMaker lays it at /opt/ml/model and as it is packed in model.tar.gz.

model.pth              the network's state dict, nothing that runs
metadata.json          identity, labels and preprocessing
typicality.npy         what the training part's features span, if there were validation patients enough
forms/                 the same network for OpenVINO, once ``optimise`` has validated it
code/inference.py      the four functions; replace it to bring your own script
code/requirements.txt  empty, so that no start needs the internet
code/model_code/       the modules that code/inference.py imports, for containers that have no model_code
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from torch import nn

from model_code import typicality
from model_code.artifacts import metadata
from model_code.artifacts.metadata import Metadata
from model_code.backends import networks
from model_code.errors import ArtifactError
from model_code.typicality import Typicality

WEIGHTS = "model.pth"
METADATA = "metadata.json"
CODE = "code"
SCRIPT = f"{CODE}/inference.py"
REQUIREMENTS = f"{CODE}/requirements.txt"
LAYOUT = (WEIGHTS, METADATA, SCRIPT, REQUIREMENTS)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of ``content``, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal, without reading it into memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_layout(model_dir: Path) -> None:
    """Raise ArtifactError with every file of the layout that ``model_dir`` lacks."""
    missing = [name for name in LAYOUT if not (model_dir / name).is_file()]
    if missing:
        raise ArtifactError(f"The model folder lacks {', '.join(missing)}; a model.tar.gz holds {', '.join(LAYOUT)}.")


def describe(model_dir: Path) -> Metadata:
    """Return the metadata of a model folder.

    Raises ArtifactError for a missing file, and for weights other than those that metadata.json names: every answer
    carries their digest.
    """
    check_layout(model_dir)
    about = metadata.parse((model_dir / METADATA).read_text(encoding="utf-8"))
    read_verified(model_dir / WEIGHTS, about.weights_sha256)
    return about


def read_verified(path: Path, digest: str) -> bytes:
    """Return a file's bytes; raises ArtifactError unless their SHA-256 is ``digest``, as metadata.json says."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"The model folder lacks {path.name}, which metadata.json names.") from None
    if sha256(content) != digest:
        raise ArtifactError(
            f"{path.name} has the sha256 {sha256(content)}, metadata.json says {digest}: one of the two was replaced."
        )
    return content


def load_network(model_dir: Path, about: Metadata) -> nn.Module:
    """Return the trained network in evaluation mode.

    Raises ArtifactError for weights that metadata.json does not name, that hold more than tensors, or that belong to
    another network.
    """
    weights = read_verified(model_dir / WEIGHTS, about.weights_sha256)
    built = networks.build(len(about.labels), about.network)
    try:
        # weights_only refuses a pickle that would run code on loading.
        built.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True))
    except Exception as error:  # torch has no common exception for what it cannot load
        raise ArtifactError(f"{WEIGHTS} is not a state dict of this network: {error}") from error
    return built.eval()


def load_typicality(model_dir: Path, about: Metadata) -> Typicality | None:
    """Return what says whether a slice is like the training's, None for a model that has nothing of the kind.

    Raises ArtifactError for a file that metadata.json does not name, or that holds anything else.
    """
    if about.typicality is None:
        return None
    return typicality.read(read_verified(model_dir / typicality.FILE, about.typicality.sha256), about.typicality)
