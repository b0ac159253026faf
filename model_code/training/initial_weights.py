"""Reads the weights that a training starts from: a state dict of a DenseNet, from a file that nobody here wrote.

The names are torchvision's or MONAI's. The file is loaded without running what is in it, and everything in it but the
classifier must fit the network.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_code.errors import TrainingError
from model_code.snapshot import InitialWeights

# DenseNet201 has 80 MB in fp32. torch reads a file whole, and each array that its directory promises.
MOST_BYTES = 256 * 1024**2
SHOWN = 5
# The last layer, which is of other classes, by torchvision's and MONAI's name.
CLASSIFIERS = ("classifier.", "class_layers.out.")
FIRST_CONVOLUTION = "features.conv0.weight"
# A count that nothing here uses, and that files of before 2018 do not have.
COUNT = ".num_batches_tracked"
# torchvision: features.denseblock1.denselayer1.norm1.weight, in its oldest files norm.1; MONAI: layers.norm1.
_OF_LAYER = re.compile(r"^(features\.denseblock\d+\.denselayer\d+)\.(norm|conv)\.?([12])\.")


def read(path: Path, pinned: InitialWeights | None, network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of the file for ``network``, all but its classifier's; none if nothing is ``pinned``.

    Raises TrainingError for a file that is absent, is not the one that the snapshot pins, or that no snapshot pins; for
    one that cannot be loaded without running code; and with the names of everything that does not fit the network.
    """
    if pinned is None:
        if path.exists():
            raise TrainingError(f"The job has {path.name} to start from, but its snapshot pins none. Start a new run.")
        return {}
    if not path.is_file():
        raise TrainingError(f"There is no {path.name} in the channel of the initial weights. Start the run again.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise TrainingError(f"The initial weights have {size:,} bytes; at most {MOST_BYTES:,} are read.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != pinned.sha256:
        raise TrainingError(
            f"The initial weights have the sha256 {found}, the snapshot says {pinned.sha256}: they were changed after "
            "the snapshot. Start the run again."
        )
    return fitted(_loaded(path), network.state_dict())


def fitted(given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the ``given`` tensors by the names of the ``wanted`` ones, without classifiers.

    A first convolution over several channels is summed to one: on a grey slice this computes what the original does on
    a picture with the slice in each channel. Raises TrainingError that names what does not fit.
    """
    renamed: dict[str, torch.Tensor] = {}
    problems: list[str] = []
    for name, tensor in given.items():
        if name.startswith(CLASSIFIERS):
            continue
        ours = _OF_LAYER.sub(r"\1.layers.\2\3.", name)
        if ours in renamed:
            problems.append(f"{ours} is there twice")
        renamed[ours] = tensor
    expected = {name for name in wanted if not name.startswith(CLASSIFIERS)}
    problems += [f"{name!r:.100} is not of this network" for name in renamed if name not in expected]
    problems += [f"{name} is missing" for name in expected - renamed.keys() if not name.endswith(COUNT)]
    found: dict[str, torch.Tensor] = {}
    for name in sorted(expected & renamed.keys()):
        tensor, like = renamed[name], wanted[name]
        if name == FIRST_CONVOLUTION and tensor.dim() == like.dim() and tensor.shape[1] == 3:
            tensor = tensor.float().sum(1, keepdim=True)
        if tensor.shape != like.shape:
            problems.append(f"{name} has the shape {tuple(tensor.shape)}, not {tuple(like.shape)}")
        elif tensor.is_floating_point() != like.is_floating_point() or tensor.is_complex():
            problems.append(f"{name} has the type {tensor.dtype}")
        elif not torch.isfinite(tensor).all():
            problems.append(f"{name} has numbers that are infinite or none")
        else:
            found[name] = tensor.to(like.dtype)
    _refuse(problems)
    return found


def _refuse(problems: Iterable[str]) -> None:
    listed = sorted(problems)
    if listed:
        more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
        raise TrainingError(
            f"The initial weights do not fit the network: {'; '.join(listed[:SHOWN])}{more}. They must be a state dict "
            "of the same DenseNet by torchvision's or MONAI's names; `network` chooses it."
        )


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    """Return the file's state dict; raises TrainingError for everything else, before anything of it could run."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
        if unpacked > MOST_BYTES:
            raise TrainingError(f"The initial weights unpack to {unpacked:,} bytes; at most {MOST_BYTES:,} are read.")
    try:
        # weights_only refuses a pickle that would run code on loading.
        document: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common exception for what it cannot load
        raise TrainingError(
            f"The initial weights cannot be loaded without running code from the file ({type(error).__name__}). Save "
            "them with torch.save(network.state_dict(), ...), as tensors alone."
        ) from error
    if not isinstance(document, Mapping) or not all(
        isinstance(name, str) and isinstance(one, torch.Tensor) for name, one in document.items()
    ):
        raise TrainingError(
            "The initial weights are no state dict, which has tensors by their names alone. Save them with "
            "torch.save(network.state_dict(), ...)."
        )
    return dict(document)
