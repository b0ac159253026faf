"""The backends that can compute an artifact's network, and which of them is to answer.

All have the same weights. ``torch`` is what was trained and is always there. The command ``optimise`` makes the others
and validates them on held-out slices before they may serve: OpenVINO's on a processor, half precision on a GPU.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import torch


class BackendName(enum.StrEnum):
    """How the network is computed, in the order of trust: where one cannot be used, those before it can replace it."""

    TORCH = "torch"
    OPENVINO_FP32 = "openvino-fp32"
    OPENVINO_BF16 = "openvino-bf16"
    OPENVINO_INT8 = "openvino-int8"
    OPENVINO_INT8_BF16 = "openvino-int8-bf16"
    TORCH_HALF = "torch-half"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the backend adds to the artifact: OpenVINO's graph and weights. Torch's are in model.pth."""
        return (f"forms/{self}.xml", f"forms/{self}.bin") if self.is_openvino else ()

    @property
    def is_openvino(self) -> bool:
        """Whether OpenVINO computes it, on a processor; half precision is a GPU's, and torch computes on either."""
        return self not in {BackendName.TORCH, BackendName.TORCH_HALF}

    @property
    def precision(self) -> str:
        """The numbers that OpenVINO computes with, apart from layers that its graph keeps in others."""
        return "bf16" if self in {BackendName.OPENVINO_BF16, BackendName.OPENVINO_INT8_BF16} else "f32"

    @property
    def has_bytes(self) -> bool:
        """Whether its layers, but for some, take and multiply 8-bit integers."""
        return self in {BackendName.OPENVINO_INT8, BackendName.OPENVINO_INT8_BF16}

    @property
    def and_more_trusted(self) -> list[BackendName]:
        """This backend, then those that can replace it."""
        order = list(BackendName)
        return order[order.index(self) :: -1]


class Outputs(NamedTuple):
    """What a network computes for N slices, on the CPU in double precision.

    ``logits`` are N x classes. ``features``, N x features, are what the classifier takes. ``grid``, N x classes x rows
    x columns, says where the logits come from: each class's mean over the grid is its logit. Features and grid are
    None of a network without them, and of an OpenVINO file from before there were any.
    """

    logits: torch.Tensor
    features: torch.Tensor | None = None
    grid: torch.Tensor | None = None

    @classmethod
    def of(cls, computed: torch.Tensor | Sequence[torch.Tensor]) -> Self:
        """Return a network's answer, logits alone or with what follows them, moved to the CPU."""
        each = [computed] if isinstance(computed, torch.Tensor) else computed
        return cls(*(one.double().cpu() for one in each))

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Self:
        """Return the outputs of several batches as one."""
        _, *others = zip(*parts, strict=True)
        return cls(torch.cat([one.logits for one in parts]), *map(_joined, others))

    def single(self) -> Iterable[Outputs]:
        """Yield the outputs of each slice, as a batch of one."""
        _, *others = self
        for at in range(len(self.logits)):
            some = slice(at, at + 1)
            yield Outputs(self.logits[some], *(one if one is None else one[some] for one in others))


def _joined(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    there = [one for one in parts if one is not None]
    return torch.cat(there) if len(there) == len(parts) else None


class Backend(Protocol):
    """A network, loaded and ready to compute."""

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return logits and features for N x 1 x size x size images in 0..1."""

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the N x classes logits alone."""
        return self.outputs(images).logits


@dataclass(frozen=True, kw_only=True)
class ValidatedBackend:
    """A backend that may serve: the SHA-256 of each of its files, and its logits for the slice of the known answer.

    ``exact_bytes``: whether it was validated on a processor that ``adds_bytes_exactly`` and so needs one.
    """

    files_sha256: Mapping[str, str]
    known_answer: tuple[float, ...]
    exact_bytes: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON record that ``parse_serving`` reads."""
        return {
            "files_sha256": dict(self.files_sha256),
            "probe_logits": list(self.known_answer),
            "exact_bytes": self.exact_bytes,
        }


@dataclass(frozen=True, kw_only=True)
class Serving:
    """``chosen`` is to answer; ``validated``: every backend beside torch that may."""

    chosen: BackendName = BackendName.TORCH
    validated: Mapping[BackendName, ValidatedBackend] = field(default_factory=dict)

    def preferred(self) -> list[BackendName]:
        """Return the backends to try on a machine, in order: the chosen one, then those that can replace it."""
        return [name for name in self.chosen.and_more_trusted if name is BackendName.TORCH or name in self.validated]


def finite(values: Iterable[Any]) -> tuple[float, ...]:
    """Return the values as floats; raises ValueError for NaN and infinity, with which no difference can be bounded."""
    numbers = tuple(float(value) for value in values)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is infinite, or none")
    return numbers


def parse_serving(document: Mapping[str, Any], classes: int) -> Serving:
    """Return what metadata.json says of serving; raises ValueError, KeyError or TypeError when it is malformed."""
    validated: dict[BackendName, ValidatedBackend] = {}
    for key, record in document["forms"].items():
        name = BackendName(key)
        files = {str(file): str(digest) for file, digest in record["files_sha256"].items()}
        known_answer = finite(record["probe_logits"])
        if tuple(files) != name.files or len(known_answer) != classes:
            raise ValueError(
                f"the backend {name} has the files {', '.join(files)} and {len(known_answer)} logits of its answer"
            )
        validated[name] = ValidatedBackend(
            files_sha256=files, known_answer=known_answer, exact_bytes=bool(record["exact_bytes"])
        )
    serving = Serving(chosen=BackendName(document["form"]), validated=validated)
    if serving.chosen is not BackendName.TORCH and serving.chosen not in validated:
        raise ValueError(f"the serving backend {serving.chosen} is not one of the artifact's")
    return serving
