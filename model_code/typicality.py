"""Whether a slice is like those that a model was trained on, judged by the features that its classifier takes.

The principal components of the training part's features (their square roots, each divided by its deviation) span
what the network has seen. A slice's score is the length of what its features have outside of them: smallest for slices
like the training's, larger for an abdomen, a localizer, or a chest with other units. Above the threshold the model
abstains: it gives no class.

The threshold comes from the scores of all patients. Those of the training part are scored by the components of the
others (cross-fitted), which gives what new patients have, but for what the network itself has learnt of them. The
threshold is a tolerance bound: with CONFIDENCE, at least SHARE of the slices of new patients like these lie below it.
It is distribution-free (Wilks, Annals of Mathematical Statistics 12, 1941) where the patients are enough. Elsewhere
scores are taken as log-normal, with a part that is the patient's and one that is the slice's (Natrella, Experimental
Statistics, NBS Handbook 91, 1963, 2-14). So few patients give a high threshold, not a wrong one. It is never lower than
what the validation part alone, whose patients the network has not learnt from, has as its best estimate.
"""

from __future__ import annotations

import hashlib
import io
import math
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model_code.errors import ArtifactError

VERSION = 2
READABLE = (1, VERSION)  # 1, until November 2026: features as they are, and a table without the scale
FILE = "typicality.npy"  # float32: the mean of the roots of the training part's features, their scale, the components
COMPONENTS = 32
CROSS = 10  # groups of training patients, each scored by the components of the others
SHARE, CONFIDENCE = 0.95, 0.9
FEWEST_PATIENTS = 6  # of the validation part: two of each of three classes, as the data gate asks
MOST_BYTES = 64 * 1024**2  # of the file; a DenseNet201's has 260 KB
DECIMALS = 6  # of scores and thresholds, which are about 0.1 to 10
SMALLEST = 10.0**-DECIMALS  # a score of 0 has no logarithm
# What numpy raises for bytes that it does not write.
UNREADABLE = (
    *(ValueError, EOFError, OSError, MemoryError, OverflowError, SyntaxError, RecursionError),
    *(tokenize.TokenError, zipfile.BadZipFile),
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What metadata.json says: the file's SHA-256, the threshold, and of how many patients and slices it is."""

    sha256: str
    threshold: float
    patients: int
    slices: int
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON record that ``parse`` reads."""
        return {
            "version": self.version,
            "sha256": self.sha256,
            "threshold": self.threshold,
            "share": SHARE,
            "confidence": CONFIDENCE,
            "patients": self.patients,
            "slices": self.slices,
        }


@dataclass(frozen=True, eq=False)
class Typicality:
    """The ``space`` (mean, scale and components, (2 + k) x features) and the ``record`` of one model."""

    space: npt.NDArray[np.float32]
    record: Record

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Return the score of each of N x features, in double precision, rounded to DECIMALS.

        Raises ArtifactError for features of another network.
        """
        self.check(features)
        space = torch.from_numpy(self.space).double()
        if self.record.version == 1:
            mean, components = space.tensor_split([1])
            apart = features.double() - mean
        else:
            mean, scale, components = space.tensor_split([1, 2])
            apart = (_roots(features) - mean) / scale
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
        return Typicality(self.space, replace(self.record, threshold=threshold, patients=of[0], slices=of[1]))

    def file(self) -> bytes:
        """Return the bytes of FILE, which numpy reads without unpickling."""
        return _npy(self.space)


def parse(document: Mapping[str, Any]) -> Record:
    """Return the record of metadata.json; raises ValueError, KeyError or TypeError when it is malformed."""
    if document["version"] not in READABLE:
        read_here = " and ".join(map(str, READABLE))
        raise ValueError(f"the typicality has the version {document['version']!r}; this image reads {read_here}")
    threshold = float(document["threshold"])
    if not 0 < threshold < math.inf:
        raise ValueError(f"the typicality's threshold is {threshold}, not a number above 0")
    return Record(
        sha256=str(document["sha256"]),
        threshold=threshold,
        patients=int(document["patients"]),
        slices=int(document["slices"]),
        version=int(document["version"]),
    )


def read(content: bytes, record: Record) -> Typicality:
    """Return the content of FILE, whose SHA-256 is verified; raises ArtifactError for anything that is not one."""
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        space = np.load(io.BytesIO(content), allow_pickle=False)
        is_table = isinstance(space, np.ndarray) and space.dtype == np.float32 and space.ndim == 2
        if not is_table or len(space) < 1 + record.version or not space.size:
            raise ValueError("it is not a table of a mean, a scale and components in float32")
        if not np.isfinite(space).all():
            raise ValueError("it has values that are no numbers")
        if record.version > 1 and not (space[1] > 0).all():
            raise ValueError("it has a scale that is not above 0")
    except UNREADABLE as error:
        raise ArtifactError(f"{FILE} cannot be read: {error}.") from error
    return Typicality(space, record)


def learn(
    training: torch.Tensor, validation: torch.Tensor, trained: Sequence[str], validated: Sequence[str]
) -> Typicality | None:
    """Return the typicality by N x features of the two parts; ``trained``, ``validated``: the patient of each slice.

    Returns None below FEWEST_PATIENTS: without a threshold that means something, a model abstains on nothing.
    """
    if len(set(validated)) < FEWEST_PATIENTS:
        return None
    found = space_of(training)
    new = found.scores(validation).numpy()
    patients = [*trained, *validated]
    threshold = threshold_of(np.concatenate([own_scores(training, trained), new]), patients)
    return found.with_threshold(max(threshold, estimate_of(new, validated)), patients)


def space_of(training: torch.Tensor) -> Typicality:
    """Return the typicality by N x features of the training part, without a threshold yet."""
    roots = _roots(training)
    mean, variance = roots.mean(dim=0), roots.var(dim=0, correction=0)
    # A feature that hardly varies in the training part would otherwise outweigh all others where it does.
    scale = (variance + variance.mean()).sqrt().float().double()
    scale[scale == 0] = 1
    apart = (roots - mean) / scale
    _, directions = torch.linalg.eigh(apart.T @ apart)  # in the order of growing variance
    kept = directions[:, -min(COMPONENTS, max(1, len(training) // 2)) :].T
    space = torch.cat([mean[None], scale[None], kept]).float().numpy()
    sha256 = hashlib.sha256(_npy(space)).hexdigest()
    return Typicality(space, Record(sha256=sha256, threshold=math.inf, patients=0, slices=0))


def own_scores(training: torch.Tensor, patients: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the score of each training slice by the components of other patients; of a single patient, by its own."""
    number = np.unique(patients, return_inverse=True)[1]
    if not number.any():
        return space_of(training).scores(training).numpy()
    scores = np.zeros(len(training))
    for group in range(min(CROSS, int(number.max()) + 1)):
        theirs = torch.from_numpy(number % CROSS == group)
        scores[theirs.numpy()] = space_of(training[~theirs]).scores(training[theirs]).numpy()
    return scores


def threshold_of(scores: npt.NDArray[np.float64], patients: Sequence[str]) -> float:
    """Return the score that at least SHARE of the slices of new patients stay below, with CONFIDENCE."""
    found = _spread(scores, patients)
    above = most_above(found.independent)
    if above < 0:
        return round(math.exp(found.mean + tolerance_factor(found.patients) * found.deviation), DECIMALS)
    place = math.ceil(len(scores) * (1 - above / found.independent)) - 1
    return max(round(float(np.sort(scores)[place]), DECIMALS), SMALLEST)


def estimate_of(scores: npt.NDArray[np.float64], patients: Sequence[str]) -> float:
    """Return the score that SHARE of the slices of new patients stay below, as likely too low as too high."""
    found = _spread(scores, patients)
    return round(math.exp(found.mean + NormalDist().inv_cdf(SHARE) * found.deviation), DECIMALS)


def most_above(independent: int) -> int:
    """Return how many of so many independent scores may lie above a tolerance bound; below 0: these are too few.

    It is the largest number at or below which, with a chance of 1 - CONFIDENCE at most, that many of them are among
    the highest 1 - SHARE of all that there are.
    """
    chance, above = 0.0, -1
    while above < independent:
        chance += math.exp(_log_binomial(independent, above + 1, 1 - SHARE))
        if chance > 1 - CONFIDENCE:
            return above
        above += 1
    return above


def tolerance_factor(patients: int) -> float:
    """Return how many standard deviations above the mean of so many patients the tolerance bound lies."""
    share, confidence = (NormalDist().inv_cdf(one) for one in (SHARE, CONFIDENCE))
    a = 1 - confidence**2 / (2 * (patients - 1))
    b = share**2 - confidence**2 / patients
    return (share + math.sqrt(share**2 - a * b)) / a


def _roots(features: torch.Tensor) -> torch.Tensor:
    """Return square roots, with the sign: a mean of activations varies the more, the larger it is."""
    return features.double().sign() * features.double().abs().sqrt()


@dataclass(frozen=True)
class _Spread:
    """Mean and deviation of logarithms of scores; of so many patients, worth so many independent slices."""

    mean: float
    deviation: float
    patients: int
    independent: int


def _spread(scores: npt.NDArray[np.float64], patients: Sequence[str]) -> _Spread:
    logs = np.log(np.maximum(scores, SMALLEST))
    number = np.unique(patients, return_inverse=True)[1]
    slices = np.bincount(number)
    means = np.bincount(number, logs) / slices
    within = np.square(logs - means[number]).sum() / max(1, len(logs) - len(means))
    # The variance of patients' means has a share of the slices' own in it already.
    variance = means.var(ddof=1) + within * (1 - np.mean(1 / slices))
    common = max(0.0, 1 - within / variance) if variance and len(logs) > len(means) else 1.0
    effect = 1 + (np.square(slices).sum() / len(logs) - 1) * common  # Kish's design effect
    return _Spread(float(means.mean()), math.sqrt(variance), len(means), int(len(logs) / effect))


def _log_binomial(trials: int, successes: int, chance: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return ways + successes * math.log(chance) + (trials - successes) * math.log1p(-chance)


def _npy(space: npt.NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, space, allow_pickle=False)
    return stream.getvalue()
