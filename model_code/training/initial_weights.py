"""Reads the weights that a training starts from: a state dict of a DenseNet, from a file that nobody here wrote.

The names are torchvision's or MONAI's. The file is loaded without running what is in it, and everything in it but the
classifier must fit the network.
"""

from __future__ import annotations

import hashlib
import re
import struct
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
# What zipfile raises for bytes that no archiver writes.
DAMAGED = (zipfile.BadZipFile, struct.error, OSError, NotImplementedError, ValueError, LookupError)
# The last layer, which is of other classes, by torchvision's and MONAI's name.
CLASSIFIERS = ("classifier.", "class_layers.out.")
FIRST_CONVOLUTION = "features.conv0.weight"
# A count that nothing here uses, and that files of before 2018 do not have.
COUNT = ".num_batches_tracked"
VARIANCE = ".running_var"
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
            problems.append(f"{ours!r:.100} is there twice")
        renamed[ours] = tensor
    expected = {name for name in wanted if not name.startswith(CLASSIFIERS)}
    problems += [f"{name!r:.100} is not of this network" for name in renamed if name not in expected]
    problems += [f"{name} is missing" for name in expected - renamed.keys() if not name.endswith(COUNT)]
    found: dict[str, torch.Tensor] = {}
    for name in sorted(expected & renamed.keys()):
        tensor, like = renamed[name], wanted[name]
        if _is_unusual(tensor):
            problems.append(f"{name} is no plain tensor")
        # Compared before anything is computed: a shape takes no room in the file, its numbers do in memory.
        elif tensor.shape not in (like.shape, _coloured(like.shape) if name == FIRST_CONVOLUTION else like.shape):
            problems.append(f"{name} has the shape {tuple(tensor.shape)}, not {tuple(like.shape)}")
        elif tensor.is_floating_point() != like.is_floating_point() or tensor.is_complex():
            problems.append(f"{name} has the type {tensor.dtype}")
        else:
            # A number of more bits can be finite, and infinite in the network's type.
            converted = tensor.to(like.dtype)
            found[name] = converted if converted.shape == like.shape else converted.sum(1, keepdim=True)
            problems += _wrong_numbers(name, found[name])
    _refuse(problems)
    return found


def _wrong_numbers(name: str, tensor: torch.Tensor) -> list[str]:
    """Return what is wrong with a tensor's numbers: some give NaN only where the trained model is first used."""
    if not torch.isfinite(tensor).all():
        return [f"{name} has numbers that are infinite or none"]
    if name.endswith(VARIANCE) and (tensor < 0).any():
        return [f"{name} has a negative variance"]
    if name.endswith(COUNT) and tensor < 0:
        return [f"{name} is below 0"]
    return []


def _is_unusual(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is sparse, nested, quantised or without numbers: much of torch does not compute these."""
    return tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu"


def _coloured(shape: torch.Size) -> torch.Size:
    """Return the shape of a first convolution over three channels."""
    return torch.Size([shape[0], 3, *shape[2:]])


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
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(one.file_size for one in archive.infolist())
        except DAMAGED as error:
            raise TrainingError(
                f"The initial weights are a damaged zip file ({type(error).__name__}). Save them with "
                "torch.save(network.state_dict(), ...)."
            ) from error
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
