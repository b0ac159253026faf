"""Loads the form of a network that is to answer on this machine, and has it answer the probe slice first."""

from __future__ import annotations

import logging
from pathlib import Path

from model_code.artifacts import artifact
from model_code.artifacts.metadata import Metadata
from model_code.backends import gpu, known_answer
from model_code.backends.backend import Computation, Form
from model_code.backends.network import TorchForm
from model_code.backends.processor import adds_bytes_exactly
from model_code.errors import ArtifactError, FormError

log = logging.getLogger("model_code.artifacts.loading")


def load(model_dir: Path, about: Metadata) -> tuple[Form, Computation]:
    """Return the form that metadata.json wants, or the first more trusted one that this machine computes as proved.

    On a GPU those are torch's, elsewhere all but half precision. Raises ArtifactError for files that are not the
    artifact's own, and when torch too answers the probe slice as it did not when the model was packed.
    """
    for form in about.serving.preferred():
        if form is Form.TORCH:
            break
        try:
            return form, _openvino(model_dir, about, form) if form.is_openvino else _half(model_dir, about)
        except FormError as problem:
            log.warning("the form %s is not used: %s", form, problem)
    network = artifact.load_network(model_dir, about)
    computation = gpu.in_fp32(network) if gpu.is_here() else TorchForm(network)
    known_answer.verify(computation, about.preprocessing, about.probe_logits)
    return Form.TORCH, computation


def _half(model_dir: Path, about: Metadata) -> Computation:
    """Put the network on the GPU in half precision; raise FormError without one, or where it answers differently."""
    if not gpu.is_here():
        raise FormError("there is no GPU here.")
    network = artifact.load_network(model_dir, about)
    try:
        computation = gpu.in_half(network, about.preprocessing.image_size)
        _verify(computation, about, Form.TORCH_HALF)
    except RuntimeError as error:
        raise FormError(f"the GPU cannot compute it: {error}") from error
    return computation


def _openvino(model_dir: Path, about: Metadata, form: Form) -> Computation:
    """Compile an OpenVINO form; raise FormError where there is no OpenVINO or it computes something else here."""
    if gpu.is_here():
        raise FormError("it is for processors, and here is a GPU.")
    record = about.serving.proved[form]
    if record.exact_bytes and not adds_bytes_exactly():
        raise FormError("this processor has no instructions that add 8-bit products exactly (VNNI, AMX, DotProd).")
    graph, weights = (artifact.read_verified(model_dir / file, record.files_sha256[file]) for file in form.files)
    try:
        # Not at the top: the artifact's code also runs where there is no OpenVINO, in AWS's own containers.
        from model_code.backends.openvino_backend import OpenVinoForm  # noqa: PLC0415

        computation = OpenVinoForm.read(graph, weights)
    except ImportError as error:
        raise FormError(f"OpenVINO cannot be imported ({error}).") from error
    except RuntimeError as error:
        raise FormError(f"OpenVINO cannot compile it: {error}") from error
    _verify(computation, about, form)
    return computation


def _verify(computation: Computation, about: Metadata, form: Form) -> None:
    """Raise FormError unless the form answers the probe slice as it did where it was proved."""
    try:
        known_answer.verify(computation, about.preprocessing, about.serving.proved[form].probe_logits)
    except ArtifactError as error:
        raise FormError(f"this machine computes it differently. {error}") from error
