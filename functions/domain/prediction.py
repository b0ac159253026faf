"""Reads the ``prediction/2`` document, the container's answer for one object, strictly.

``prediction/1``, of older containers, is the same without ``Notes``; its answers and results stay readable. Typicality,
Unsure, Synthetic and Grid may be missing.

The answer's model has read bytes of unknown origin. So the answer's size is bounded before it is read, the number of
its values before it is parsed, and each value before it is kept. What passes fits a DynamoDB row of 400 KB.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain import grid
from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.grid import Grid
from untrusted.class_names import refused_in

SCHEMA = "prediction/2"
SCHEMAS = frozenset({"prediction/1", SCHEMA})
MOST_BYTES = 1024**2  # of an output; 1,000 classes with the longest names take a third of it
MOST_VALUES = 10_000  # texts, numbers, lists and objects in a document: this bounds the memory of parsing
DEEPEST = 50  # nested objects and lists; the limit of Python's JSON reader depends on the process
MOST_NUMBERS = {"Probabilities": 1000, "TimingsMs": 100}
SUM_TOLERANCE = 1e-3
HIGHEST = 1e9  # of a score; a network's features are far smaller
DECIMALS = 12  # of a probability; smaller digits carry no information, and DynamoDB takes no number below 1e-130
LONGEST = {"Class": 64, "Form": 64, "Code": 64, "Message": 1000, "Notes": 200}  # characters: an index key has 1 KB
MOST_NOTES = 16
LONGEST_NAME = LONGEST["Class"]  # of a class or a timing
SHA256 = re.compile("[0-9a-f]{64}")
# Also one without an end, up to the end of the bytes: a text whose end is looked for from each quote in it would take
# time with the square of its length.
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, kw_only=True)
class Typicality:
    """How unlike the model's training the object is: its score, and whether that is above the threshold."""

    score: float
    threshold: float
    abstained: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the document and of the row."""
        return {"Score": self.score, "Threshold": self.threshold, "Abstained": self.abstained}


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A class and every class's probability (they sum to 1); timings in milliseconds.

    ``notes`` are sentences: what was assumed of the object, or changed before it was predicted.

    ``backend`` computed the network ("" if the model does not say); the document's name for it is Form.
    ``synthetic``: its model says that it has seen nothing but artificial slices.

    ``predicted_class`` is None where the model abstained, which ``typicality`` says. ``typicality`` is None for a model
    that abstains on nothing. ``unsure`` says that the two highest probabilities are nearly tied. ``grid`` says where
    the logits come from; None of a network without one.
    """

    content_sha256: str
    weights_sha256: str
    backend: str
    predicted_class: str | None
    probabilities: Mapping[str, float]
    timings_ms: Mapping[str, float]
    notes: tuple[str, ...] = ()
    typicality: Typicality | None = None
    unsure: bool = False
    synthetic: bool = False
    grid: Grid | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionError:
    """The container cannot read these bytes. That is final: the same bytes always fail alike.

    ``weights_sha256`` is "" if the container does not name its model. ``synthetic`` as that of a Prediction.
    """

    content_sha256: str
    code: str
    message: str
    weights_sha256: str = ""
    synthetic: bool = False


def parse(body: bytes, expected_sha256: str) -> Prediction | PredictionError:
    """Read one output; ``expected_sha256`` is the hash of the row's bytes.

    Raises MalformedPrediction for anything but an answer to those bytes.
    """
    try:
        document = _load(body)
        if document["Schema"] not in SCHEMAS:
            raise _malformed("its Schema is another")
        sha256 = _digest(document, "ContentSHA256")
        if sha256 != expected_sha256:
            raise MalformedPrediction(
                FailureCode.OUTPUT_MISMATCH,
                f"The output answers for bytes {sha256[:12]}…, the upload's are {expected_sha256[:12]}….",
            )
        if "Error" in document:
            error = document["Error"]
            return PredictionError(
                content_sha256=sha256,
                code=_words(error, "Code"),
                message=_words(error, "Message"),
                weights_sha256=_digest(document["Model"], "WeightsSHA256") if "Model" in document else "",
                synthetic=_synthetic(document),
            )
        probabilities = _numbers(document, "Probabilities", most=1)
        return Prediction(
            content_sha256=sha256,
            weights_sha256=_digest(document["Model"], "WeightsSHA256"),
            backend=_words(document["Model"], "Form") if "Form" in document["Model"] else "",
            predicted_class=_class_of(document, probabilities),
            typicality=_typicality(document),
            unsure=_unsure(document),
            probabilities=probabilities,
            timings_ms=_numbers(document, "TimingsMs", most=1e9) if "TimingsMs" in document else {},
            notes=_notes(document),
            synthetic=_synthetic(document),
            grid=_grid(document, len(probabilities)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise _malformed(f"it fails with {type(error).__name__}") from error


def check_result(document: Any) -> Any:
    """Return an existing result document if a row can hold its values; else raise MalformedPrediction."""
    try:
        _numbers(document, "TimingsMs", most=1e9)
        _class_of(document, _numbers(document, "Probabilities", most=1))
        _unsure(document)
        _notes(document)
        _synthetic(document)
    except (KeyError, TypeError) as error:
        raise _malformed(f"the result that is there already fails with {type(error).__name__}") from error
    return document


def _load(body: bytes) -> Any:
    """Return the document: UTF-8, JSON by RFC 8259, unique names, bounded size."""
    if len(body) > MOST_BYTES:
        raise _malformed(f"it has more than {MOST_BYTES:,} bytes")
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:  # every value follows one of these, or a name
        raise _malformed(f"it has more than {MOST_VALUES:,} values")
    if _depth(body) > DEEPEST:
        raise _malformed(f"its values are nested more than {DEEPEST} deep")
    return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)


def _depth(body: bytes) -> int:
    """Return the depth of nested objects and lists, without brackets in texts."""
    brackets = _BRACKET.findall(_TEXT.sub(b"", body))
    return max(itertools.accumulate(1 if one in b"[{" else -1 for one in brackets), default=0)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object if its names are unique: readers pick different ones of two values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _class_of(document: Any, probabilities: Mapping[str, float]) -> str | None:
    """Return the document's Class: the most probable one, or None if and only if the model abstained."""
    if not probabilities or abs(sum(probabilities.values()) - 1) > SUM_TOLERANCE:
        raise _malformed(f"its Probabilities sum to {sum(probabilities.values())}, expected 1")
    typicality = _typicality(document)
    if (document["Class"] is None) != (typicality is not None and typicality.abstained):
        raise _malformed("it has a Class although it abstained, or lacks one although it did not")
    if document["Class"] is None:
        return None
    name = _words(document, "Class")
    if probabilities.get(name) != max(probabilities.values()):
        raise _malformed(f"its Class {name!r} is not the most probable one")
    return name


def _typicality(document: Mapping[str, Any]) -> Typicality | None:
    """Return the document's Typicality, None without one; raise MalformedPrediction unless it agrees with itself."""
    if "Typicality" not in document:
        return None
    fields = document["Typicality"]
    values = [fields["Score"], fields["Threshold"]]
    if any(isinstance(one, bool) or not isinstance(one, int | float) or not 0 <= one <= HIGHEST for one in values):
        raise _malformed(f"its Typicality has a Score or a Threshold that is not a number from 0 to {HIGHEST:g}")
    score, threshold = (round(float(one), DECIMALS) for one in values)
    if fields["Abstained"] is not (score > threshold):
        raise _malformed("its Typicality has an Abstained that is not whether its Score is above its Threshold")
    return Typicality(score=score, threshold=threshold, abstained=fields["Abstained"])


def _unsure(document: Mapping[str, Any]) -> bool:
    unsure = document.get("Unsure", False)
    if not isinstance(unsure, bool):
        raise _malformed("its Unsure is neither true nor false")
    return unsure


def _digest(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not SHA256.fullmatch(value):
        raise _malformed(f"its {name} is not a SHA-256 of 64 hex digits")
    return value


def _words(document: Mapping[str, Any], name: str) -> str:
    words = document[name]
    if not isinstance(words, str) or not _is_short(words, LONGEST[name]):
        raise _malformed(f"its {name} is not a text of 1 to {LONGEST[name]} characters")
    return words


def _notes(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the document's Notes, () without any; raise MalformedPrediction unless each is a short text."""
    notes = document.get("Notes", [])
    if not isinstance(notes, list) or len(notes) > MOST_NOTES:
        raise _malformed(f"its Notes are not a list of at most {MOST_NOTES} texts")
    if not all(isinstance(note, str) and _is_short(note, LONGEST["Notes"]) for note in notes):
        raise _malformed(f"its Notes have one that is not a text of 1 to {LONGEST['Notes']} characters")
    return tuple(notes)


def _synthetic(document: Mapping[str, Any]) -> bool:
    """Return the document's Synthetic, False without one; raise MalformedPrediction unless it is true or false."""
    value = document.get("Synthetic", False)
    if not isinstance(value, bool):
        raise _malformed("its Synthetic is neither true nor false")
    return value


def _grid(document: Mapping[str, Any], classes: int) -> Grid | None:
    """Return the document's Grid, None without one; raise MalformedPrediction unless it has so many classes."""
    if "Grid" not in document:
        return None
    try:
        return grid.parse(document["Grid"], classes)
    except ValueError as error:
        raise _malformed(str(error)) from error


def _is_short(text: str, longest: int) -> bool:
    """Return whether a text has 1 to ``longest`` characters and no lone surrogate, which JSON can write."""
    return 0 < len(text) <= longest and not any("\ud800" <= character <= "\udfff" for character in text)


def _numbers(document: Mapping[str, Any], name: str, most: float) -> dict[str, float]:
    """Return the named numbers of a document's field, each from 0 to ``most``; else raise MalformedPrediction."""
    values = document[name]
    if not isinstance(values, Mapping) or len(values) > MOST_NUMBERS[name]:
        raise _malformed(f"its {name} are not at most {MOST_NUMBERS[name]} named numbers")
    if odd := next(filter(None, map(refused_in, values)), ""):
        raise _malformed(f"its {name} have a name with the character {odd}")
    for each, value in values.items():
        if not _is_short(each, LONGEST_NAME):
            raise _malformed(f"its {name} have a name that is not of 1 to {LONGEST_NAME} characters")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise _malformed(f"its {name} have a value that is not a number from 0 to {most:g}")
    return {each: round(float(value), DECIMALS) for each, value in values.items()}


def _malformed(what: str) -> MalformedPrediction:
    return MalformedPrediction(
        FailureCode.MALFORMED_PREDICTION, f"The output is not a {SCHEMA} document: {what}. Check the model's code."
    )
