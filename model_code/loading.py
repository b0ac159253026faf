"""Loads the form of a network that is to answer on this machine, and has it answer the probe slice first."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from model_code import artifact, probe
from model_code.errors import ArtifactError, FormError
from model_code.forms import Computation, Form
from model_code.gathering import Gathering
from model_code.metadata import Metadata
from model_code.network import TorchForm
from model_code.processor import adds_bytes_exactly

log = logging.getLogger("model_code.loading")


def load(model_dir: Path, about: Metadata) -> tuple[Form, Computation]:
    """Return the form that metadata.json wants, or the first more trusted one that this machine computes as proved.

    On a GPU that is always torch. Raises ArtifactError for files that are not the artifact's own, and when torch too
    answers the probe slice as it did not when the model was packed.
    """
    for form in [Form.TORCH] if torch.cuda.is_available() else about.serving.preferred():
        if form is Form.TORCH:
            break
        try:
            return form, _openvino(model_dir, about, form)
        except FormError as problem:
            log.warning("the form %s is not used: %s", form, problem)
    network = artifact.load_network(model_dir, about)
    computation: Computation = (
        Gathering(TorchForm(network.to("cuda"))) if torch.cuda.is_available() else TorchForm(network)
    )
    probe.verify(computation, about.preprocessing, about.probe_logits)
    return Form.TORCH, computation


def _openvino(model_dir: Path, about: Metadata, form: Form) -> Computation:
    """Compile an OpenVINO form; raise FormError where there is no OpenVINO or it computes something else here."""
    record = about.serving.proved[form]
    if record.exact_bytes and not adds_bytes_exactly():
        raise FormError("this processor has no instructions that add 8-bit products exactly (VNNI, AMX, DotProd).")
    graph, weights = (artifact.read_verified(model_dir / file, record.files_sha256[file]) for file in form.files)
    try:
        # Not at the top: the artifact's code also runs where there is no OpenVINO, in AWS's own containers.
        from model_code.openvino_form import OpenVinoForm  # noqa: PLC0415

        computation = OpenVinoForm.read(graph, weights)
    except ImportError as error:
        raise FormError(f"OpenVINO cannot be imported ({error}).") from error
    except RuntimeError as error:
        raise FormError(f"OpenVINO cannot compile it: {error}") from error
    try:
        probe.verify(computation, about.preprocessing, record.probe_logits)
    except ArtifactError as error:
        raise FormError(f"this machine computes it differently. {error}") from error
    return computation
