"""Whether a slice is like those that a model was trained on, judged by the features that its classifier takes.

The principal components of the training part's features span what the network has seen. A slice's score is the length
of what its features have outside of them: near 0 for slices like the training's, several times the threshold for an
abdomen, a localizer, or a chest with other units. Above the threshold the model abstains: it gives no class.

The threshold comes from the validation part, whose patients the network has not learnt from. Scores are taken as
log-normal, with a part that is the patient's and one that is the slice's. The threshold is the tolerance bound of
Natrella (Experimental Statistics, NBS Handbook 91, 1963, 2-14): with CONFIDENCE, at least SHARE of the slices of new
patients like these lie below it. So few patients give a high threshold, not a wrong one.
"""

from __future__ import annotations

import hashlib
import io
import math
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model_code.errors import ArtifactError

VERSION = 1
FILE = "typicality.npy"  # float32: the mean of the training part's features, and below it the components
COMPONENTS = 16
SHARE, CONFIDENCE = 0.95, 0.9
FEWEST_PATIENTS = 6  # of the validation part: two of each of three classes, as the data gate asks
MOST_BYTES = 64 * 1024**2  # of the file; a DenseNet201's has 130 KB
DECIMALS = 6  # of scores and thresholds, which are about 0.1 to 10
SMALLEST = 10.0**-DECIMALS  # a score of 0 has no logarithm
# What numpy raises for bytes that it does not write.
UNREADABLE = (
    *(ValueError, EOFError, OSError, MemoryError, OverflowError, SyntaxError, RecursionError),
    *(tokenize.TokenError, zipfile.BadZipFile),
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What metadata.json says: the file's SHA-256, the threshold, and the validation part that it comes from."""

    sha256: str
    threshold: float
    patients: int
    slices: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON record that ``parse`` reads."""
        return {
            "version": VERSION,
            "sha256": self.sha256,
            "threshold": self.threshold,
            "share": SHARE,
            "confidence": CONFIDENCE,
            "patients": self.patients,
            "slices": self.slices,
        }


@dataclass(frozen=True, eq=False)
class Typicality:
    """The ``space`` (mean and components, (1 + k) x features) and the ``record`` of one model."""

    space: npt.NDArray[np.float32]
    record: Record

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Return the score of each of N x features, in double precision, rounded to DECIMALS.

        Raises ArtifactError for features of another network.
        """
        self.check(features)
        mean, components = torch.from_numpy(self.space).double().tensor_split([1])
        apart = features.double() - mean
        scores: torch.Tensor = torch.linalg.vector_norm(apart - apart @ components.T @ components, dim=1)
        return scores.round(decimals=DECIMALS)

    def check(self, features: torch.Tensor) -> None:
        """Raise ArtifactError unless FILE is of as many features as the network has."""
        if features.shape[1] != self.space.shape[1]:
            raise ArtifactError(
                f"{FILE} is of {self.space.shape[1]} features; the network has {features.shape[1]}: it is another "
                "model's file. Train the model again."
            )

    def abstains(self, score: float) -> bool:
        """Return whether a slice with this score gets no class; so does one whose score is no number."""
        return not score <= self.record.threshold

    def with_threshold(self, threshold: float, patients: Sequence[str]) -> Typicality:
        """Return this with a threshold, and of how many patients and slices it is; ``patients``: of each slice."""
        of = len(set(patients)), len(patients)
        record = Record(sha256=self.record.sha256, threshold=threshold, patients=of[0], slices=of[1])
        return Typicality(self.space, record)

    def file(self) -> bytes:
        """Return the bytes of FILE, which numpy reads without unpickling."""
        return _npy(self.space)


def parse(document: Mapping[str, Any]) -> Record:
    """Return the record of metadata.json; raises ValueError, KeyError or TypeError when it is malformed."""
    if document["version"] != VERSION:
        raise ValueError(f"the typicality has the version {document['version']!r}; this image reads {VERSION}")
    threshold = float(document["threshold"])
    if not 0 < threshold < math.inf:
        raise ValueError(f"the typicality's threshold is {threshold}, not a number above 0")
    return Record(
        sha256=str(document["sha256"]),
        threshold=threshold,
        patients=int(document["patients"]),
        slices=int(document["slices"]),
    )


def read(content: bytes, record: Record) -> Typicality:
    """Return the content of FILE, whose SHA-256 is verified; raises ArtifactError for anything that is not one."""
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        space = np.load(io.BytesIO(content), allow_pickle=False)
        is_table = isinstance(space, np.ndarray) and space.dtype == np.float32 and space.ndim == 2
        if not is_table or len(space) < 2 or not space.size:
            raise ValueError("it is not a table of a mean and components in float32")
        if not np.isfinite(space).all():
            raise ValueError("it has values that are no numbers")
    except UNREADABLE as error:
        raise ArtifactError(f"{FILE} cannot be read: {error}.") from error
    return Typicality(space, record)


def learn(training: torch.Tensor, validation: torch.Tensor, patients: Sequence[str]) -> Typicality | None:
    """Return the typicality by N x features of the two parts; ``patients``: of each validation slice.

    Returns None below FEWEST_PATIENTS: without a threshold that means something, a model abstains on nothing.
    """
    if len(set(patients)) < FEWEST_PATIENTS:
        return None
    found = space_of(training)
    return found.with_threshold(threshold_of(found.scores(validation).numpy(), patients), patients)


def space_of(training: torch.Tensor) -> Typicality:
    """Return the typicality by N x features of the training part, without a threshold yet."""
    mean = training.double().mean(dim=0)
    apart = training.double() - mean
    _, directions = torch.linalg.eigh(apart.T @ apart)  # in the order of growing variance
    kept = directions[:, -min(COMPONENTS, max(1, len(training) // 2)) :].T
    space = torch.cat([mean[None], kept]).float().numpy()
    sha256 = hashlib.sha256(_npy(space)).hexdigest()
    return Typicality(space, Record(sha256=sha256, threshold=math.inf, patients=0, slices=0))


def threshold_of(scores: npt.NDArray[np.float64], patients: Sequence[str]) -> float:
    """Return the score that at least SHARE of the slices of new patients stay below, with CONFIDENCE."""
    logs = np.log(np.maximum(scores, SMALLEST))
    number = np.unique(patients, return_inverse=True)[1]
    slices = np.bincount(number)
    means = np.bincount(number, logs) / slices
    between = means.var(ddof=1)
    within = np.square(logs - means[number]).sum() / max(1, len(logs) - len(means))
    # The variance of patients' means has a share of the slices' own in it already.
    deviation = math.sqrt(between + within * (1 - np.mean(1 / slices)))
    return round(float(np.exp(means.mean() + tolerance_factor(len(means)) * deviation)), DECIMALS)


def tolerance_factor(patients: int) -> float:
    """Return how many standard deviations above the mean of so many patients the tolerance bound lies."""
    share, confidence = (NormalDist().inv_cdf(one) for one in (SHARE, CONFIDENCE))
    a = 1 - confidence**2 / (2 * (patients - 1))
    b = share**2 - confidence**2 / patients
    return (share + math.sqrt(share**2 - a * b)) / a


def _npy(space: npt.NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, space, allow_pickle=False)
    return stream.getvalue()
