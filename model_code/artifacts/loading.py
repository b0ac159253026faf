"""Loads the backend that is to answer on this machine and checks its known answer first."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from model_code.artifacts import artifact
from model_code.artifacts.metadata import Metadata
from model_code.backends import gpu, known_answer
from model_code.backends.backend import Backend, BackendName, Outputs
from model_code.backends.processor import adds_bytes_exactly, multiplies_bfloat16
from model_code.backends.torch_backend import TorchBackend
from model_code.errors import ArtifactError, BackendError
from model_code.typicality import Typicality

log = logging.getLogger("model_code.artifacts.loading")


class Loaded(NamedTuple):
    """What answers on this machine: the backend by its name, and what says whether a slice is like the training's."""

    name: BackendName
    backend: Backend
    typicality: Typicality | None


class _Verified(NamedTuple):
    """A backend and its known answer on this machine."""

    backend: Backend
    known: Outputs


def load(model_dir: Path, about: Metadata) -> Loaded:
    """Return the backend that metadata.json names, or the first more trusted one with its known answer here.

    A GPU computes torch's backends, a processor all but half precision. Raises ArtifactError for files that
    metadata.json does not name, for a typicality of other features than the network's, or if the torch backend's known
    answer has changed, too.
    """
    typical = artifact.load_typicality(model_dir, about)
    name, (backend, known) = _answering(model_dir, about)
    if typical and known.features is not None:
        typical.check(known.features)
    return Loaded(name, backend, typical)


def _answering(model_dir: Path, about: Metadata) -> tuple[BackendName, _Verified]:
    for name in about.serving.preferred():
        if name is BackendName.TORCH:
            break
        try:
            return name, _openvino(model_dir, about, name) if name.is_openvino else _half(model_dir, about)
        except BackendError as problem:
            log.warning("the backend %s is not used: %s", name, problem)
    network = artifact.load_network(model_dir, about)
    backend = gpu.in_fp32(network) if gpu.is_available() else TorchBackend(network)
    known = known_answer.verify(backend, about.preprocessing, about.known_answer)
    return BackendName.TORCH, _Verified(backend, known)


def _half(model_dir: Path, about: Metadata) -> _Verified:
    """Return the network in half precision on the GPU; raises BackendError without a GPU or with another answer."""
    if not gpu.is_available():
        raise BackendError("this machine has no GPU.")
    network = artifact.load_network(model_dir, about)
    try:
        backend = gpu.in_half(network, about.preprocessing.image_size)
        return _verify(backend, about, BackendName.TORCH_HALF)
    except RuntimeError as error:
        raise BackendError(f"the GPU cannot compute it: {error}") from error


def _openvino(model_dir: Path, about: Metadata, name: BackendName) -> _Verified:
    """Return an OpenVINO backend; raises BackendError without OpenVINO or with another answer."""
    if gpu.is_available():
        raise BackendError("it is for processors, and this machine has a GPU.")
    record = about.serving.validated[name]
    if record.exact_bytes and not adds_bytes_exactly():
        raise BackendError("this processor has no instructions that add 8-bit products exactly (VNNI, AMX, DotProd).")
    if name.precision == "bf16" and not multiplies_bfloat16():
        raise BackendError("this processor has no instructions that multiply bfloat16 (AMX, AVX512_BF16).")
    graph, weights = (artifact.read_verified(model_dir / file, record.files_sha256[file]) for file in name.files)
    try:
        # Not at the top: the artifact's code also runs without OpenVINO, in AWS's own containers.
        from model_code.backends.openvino_backend import OpenVinoBackend  # noqa: PLC0415

        backend = OpenVinoBackend.read(graph, weights, name.precision)
    except ImportError as error:
        raise BackendError(f"OpenVINO cannot be imported ({error}).") from error
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot compile it: {error}") from error
    return _verify(backend, about, name)


def _verify(backend: Backend, about: Metadata, name: BackendName) -> _Verified:
    """Return the backend; raises BackendError unless its known answer is the one recorded when it was validated.

    A model that may abstain must not lose this with its backend.
    """
    try:
        answered = known_answer.verify(backend, about.preprocessing, about.serving.validated[name].known_answer)
    except ArtifactError as error:
        raise BackendError(f"this machine computes it differently. {error}") from error
    if about.typicality and answered.features is None:
        raise BackendError("it returns no features, by which the model abstains.")
    return _Verified(backend, answered)
