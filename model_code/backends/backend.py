"""The forms in which an artifact carries its network, and which of them is to answer.

One network, the same weights: ``torch`` is what was trained and is always there; the others are made by the command
``optimise``, which proves them on held-out slices before they may serve: OpenVINO's where it runs on a processor, half
precision where it runs on a GPU.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch


class Form(enum.StrEnum):
    """How the network is computed, in the order of trust: where one cannot be used, those before it can stand in."""

    TORCH = "torch"
    OPENVINO_FP32 = "openvino-fp32"
    OPENVINO_INT8 = "openvino-int8"
    TORCH_HALF = "torch-half"

    @property
    def files(self) -> tuple[str, ...]:
        """What the form adds to the artifact: OpenVINO's graph and its weights. Torch's are in model.pth."""
        return (f"forms/{self}.xml", f"forms/{self}.bin") if self.is_openvino else ()

    @property
    def is_openvino(self) -> bool:
        """Whether OpenVINO computes it, on a processor; half precision is a GPU's, and torch computes on either."""
        return self in {Form.OPENVINO_FP32, Form.OPENVINO_INT8}

    @property
    def and_more_trusted(self) -> list[Form]:
        """This form, then those that can stand in for it."""
        order = list(Form)
        return order[order.index(self) :: -1]


class Computation(Protocol):
    """A form, loaded."""

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """N x 1 x size x size in 0..1 to N x classes logits, on the CPU and in double precision."""


@dataclass(frozen=True, kw_only=True)
class Proved:
    """A form that may serve: the SHA-256 of each of its files, and what it answered to the probe slice.

    ``exact_bytes``: whether it needs a processor that ``adds_bytes_exactly``, as the one did on which it was proved.
    """

    files_sha256: Mapping[str, str]
    probe_logits: tuple[float, ...]
    exact_bytes: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For ``parse``."""
        return {
            "files_sha256": dict(self.files_sha256),
            "probe_logits": list(self.probe_logits),
            "exact_bytes": self.exact_bytes,
        }


@dataclass(frozen=True, kw_only=True)
class Serving:
    """``form`` is to answer; ``proved``: every form beside torch that may."""

    form: Form = Form.TORCH
    proved: Mapping[Form, Proved] = field(default_factory=dict)

    def preferred(self) -> list[Form]:
        """The forms to try on a machine, in turn: the one that is to answer, then those that can stand in for it."""
        return [form for form in self.form.and_more_trusted if form is Form.TORCH or form in self.proved]


def finite(values: Iterable[Any]) -> tuple[float, ...]:
    """The numbers; raises ValueError for an infinite one, which any other is as near to as it likes, or none."""
    numbers = tuple(float(value) for value in values)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is infinite, or none")
    return numbers


def parse(document: Mapping[str, Any], classes: int) -> Serving:
    """Read what metadata.json says of serving; raises ValueError, KeyError or TypeError when it is malformed."""
    proved: dict[Form, Proved] = {}
    for name, record in document["forms"].items():
        form = Form(name)
        files = {str(file): str(digest) for file, digest in record["files_sha256"].items()}
        probe = finite(record["probe_logits"])
        if tuple(files) != form.files or len(probe) != classes:
            raise ValueError(f"the form {name} has the files {', '.join(files)} and {len(probe)} probe logits")
        proved[form] = Proved(files_sha256=files, probe_logits=probe, exact_bytes=bool(record["exact_bytes"]))
    serving = Serving(form=Form(document["form"]), proved=proved)
    if serving.form is not Form.TORCH and serving.form not in proved:
        raise ValueError(f"the serving form {serving.form} is none of the artifact's")
    return serving
