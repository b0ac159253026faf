"""Bytes of one DICOM object to one ``prediction/2`` document: the functions model_fn, input_fn, predict_fn, output_fn.

A bad object gets an answer, not an exception: its error document is sent with HTTP 200, because one failed record
would mark a whole batch transform job as Failed.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aggregation.rule import SIMPLE, Rule
from model_code import calibration, grid
from model_code.artifacts import artifact, loading
from model_code.backends.backend import Backend, Outputs
from model_code.errors import InstanceCode, InstanceError, NotAcceptable, UnsupportedMediaType
from model_code.reading import body_part, decoder_process
from model_code.reading.ct_slice import CTSlice, check_picture, pixels_of, read_picture
from model_code.reading.dicom import read_instance, sop_instance_uid
from model_code.reading.frame_notes import FrameNote
from model_code.reading.notes import Note
from model_code.transforms import Preprocessing
from model_code.typicality import Typicality
from untrusted.picture import PLAIN, Picture, Pictures

SCHEMA = "prediction/2"
DICOM_TYPE = "application/dicom"
JSON_TYPE = "application/json"
ACCEPTED = frozenset({"", JSON_TYPE, "application/*", "*/*"})

Prediction = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A network ready to predict, its preprocessing, its classes, and its identity for the answer.

    ``synthetic``: it has seen nothing but artificial slices, and every answer says so. ``study``: how its answers for
    the slices of a study become one; an answer says nothing of it.
    """

    backend: Backend
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    temperature: float
    identity: dict[str, str]
    body_parts: frozenset[str] = body_part.CHEST
    pictures: Pictures = PLAIN
    typicality: Typicality | None = None
    synthetic: bool = False
    study: Rule = SIMPLE

    def prepare(self, ct_slice: CTSlice) -> torch.Tensor:
        """Return the network's input, 1 x size x size, for one slice."""
        return self.preprocessing.prepare(ct_slice)

    def notes(self, ct_slice: CTSlice) -> tuple[Note | FrameNote, ...]:
        """Return what was assumed of a slice, what its preparation changed, and a part of the body that is another."""
        contradicts = body_part.contradicts(ct_slice.body_part, self.body_parts)
        return (*self.preprocessing.notes(ct_slice), *([Note.OTHER_BODY_PART] if contradicts else []))

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return the uncalibrated logits and the features of N prepared slices, on the CPU in double precision."""
        return self.backend.outputs(images)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits alone: N x classes."""
        return self.outputs(images).logits

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the calibrated probabilities of N x classes logits, each row with the sum 1."""
        return calibration.probabilities(logits, self.temperature)

    def scores(self, outputs: Outputs) -> torch.Tensor | None:
        """Return how unlike the training's each of N slices is; None for a model that cannot tell."""
        if self.typicality is None or outputs.features is None:
            return None
        return self.typicality.scores(outputs.features)

    def abstains(self, score: float) -> bool:
        """Return whether a slice with this score gets no class."""
        return self.typicality is not None and self.typicality.abstains(score)


@dataclass(frozen=True)
class Instance:
    """One request, read: the slice or the error, and the milliseconds that reading took.

    ``sop_instance_uid`` is a valid UID or "": the answer repeats nothing else of an object.
    """

    content_sha256: str
    sop_instance_uid: str
    picture: Picture | None  # None if the object is no CT of one frame
    reading: CTSlice | InstanceError
    decode_ms: float


def model_fn(model_dir: str) -> Model:
    """Load, verify and warm up the model in ``model_dir`` with the backend that is to answer on this machine.

    Raises ArtifactError if the folder is not a sound artifact, or if the known answer has changed since the model was
    packed.
    """
    about = artifact.describe(Path(model_dir))
    with ThreadPoolExecutor(1, "start") as beside:
        decoder = beside.submit(decoder_process.SHARED.start)
        loaded = loading.load(Path(model_dir), about)
        decoder.result()
    identity = {
        "Name": about.name,
        "Version": about.version,
        "WeightsSHA256": about.weights_sha256,
        "Form": str(loaded.name),
    }
    return Model(
        loaded.backend,
        about.preprocessing,
        about.labels,
        about.temperature,
        identity,
        about.body_parts,
        about.pictures,
        loaded.typicality,
        about.synthetic,
        about.study,
    )


def input_fn(body: bytes, content_type: str) -> Instance:
    """Read and decode one request body; raises UnsupportedMediaType unless ``content_type`` is application/dicom."""
    if content_type.partition(";")[0].strip().lower() != DICOM_TYPE:
        raise UnsupportedMediaType(f"The Content-Type is not read here; send {DICOM_TYPE}.")
    started = time.perf_counter()
    content = bytes(body)
    digest = hashlib.sha256(content).hexdigest()
    uid = ""
    picture: Picture | None = None
    reading: CTSlice | InstanceError
    try:
        elements = read_instance(content)
        uid = sop_instance_uid(elements)
        picture = read_picture(elements)
        reading = pixels_of(elements, picture)
    except InstanceError as error:
        reading = error
    return Instance(digest, uid, picture, reading, _milliseconds_since(started))


def predict_fn(instance: Instance, model: Model) -> Prediction:
    """Return the prediction/2 document of ``instance``, not yet serialised."""
    document: Prediction = {
        "Schema": SCHEMA,
        "SOPInstanceUID": instance.sop_instance_uid,
        "ContentSHA256": instance.content_sha256,
        "Model": model.identity,
    }
    if model.synthetic:  # absent otherwise, as in the answers of older containers
        document["Synthetic"] = True
    try:
        ct_slice, notes = _read_by(model, instance)
    except InstanceError as error:
        of_this_machine = {"OfThisMachine": True} if error.of_this_machine else {}
        return document | {"Error": {"Code": str(error.code), "Message": error.message, **of_this_machine}}
    started = time.perf_counter()
    outputs = model.outputs(model.prepare(ct_slice)[None])
    values = model.probabilities(outputs.logits)[0].tolist()
    if not all(map(math.isfinite, values)):
        message = "The network computes no finite probabilities for this slice; check the model's weights."
        return document | {"Error": {"Code": str(InstanceCode.NO_PROBABILITIES), "Message": message}}
    return document | {
        **_read_as(model, values, model.scores(outputs)),
        "Notes": [str(note) for note in (*notes, *model.notes(ct_slice))],
        "TimingsMs": {"Decode": instance.decode_ms, "Predict": _milliseconds_since(started)},
        **_comes_from(outputs, model, ct_slice),
    }


def _comes_from(outputs: Outputs, model: Model, ct_slice: CTSlice) -> Prediction:
    """Return the answer's field Grid, for one slice; none for a network without one."""
    found = None if outputs.grid is None else grid.as_dict(outputs.grid[0])
    if not found:
        return {}
    preprocessing = model.preprocessing
    return {"Grid": found | {"Over": grid.over(preprocessing.placement(ct_slice), preprocessing)}}


def _read_as(model: Model, values: Sequence[float], scores: torch.Tensor | None) -> Prediction:
    """Return what the answer says of one slice: its class, or that the model abstains, or that two are nearly tied.

    Where it abstains there is no Class: probabilities divide what is in the picture among the model's classes, also
    where none of them is in it. They stay in the answer, as what was computed.
    """
    said: Prediction = {"Probabilities": dict(zip(model.labels, values, strict=True))}
    if calibration.is_tie(values):
        said["Unsure"] = True
    abstained = False
    if model.typicality and scores is not None:
        score = float(scores[0])
        abstained = model.typicality.abstains(score)
        said["Typicality"] = {"Score": score, "Threshold": model.typicality.record.threshold, "Abstained": abstained}
    return {"Class": None if abstained else model.labels[values.index(max(values))], **said}


def _read_by(model: Model, instance: Instance) -> tuple[CTSlice, tuple[str, ...]]:
    """Return the slice with notes on its picture; raises InstanceError if it is none that this model reads.

    The header is judged before the pixels, as at ingest: a localizer is one, also where its pixels are damaged.
    """
    notes = check_picture(instance.picture, model.pictures) if instance.picture else ()
    if isinstance(instance.reading, InstanceError):
        raise instance.reading
    return instance.reading, (*instance.reading.noted, *notes)


def output_fn(prediction: Prediction, accept: str) -> bytes:
    """Return the document as JSON; raises NotAcceptable if ``accept`` does not allow JSON."""
    if not ACCEPTED & {part.partition(";")[0].strip().lower() for part in accept.split(",")}:
        raise NotAcceptable(f"The Accept header leaves out what answers are: {JSON_TYPE}.")
    return json.dumps(prediction, allow_nan=False, separators=(",", ":")).encode()


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
