"""The ``prediction/1`` document: what the container answers for one object, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import FailureCode, MalformedPrediction

SCHEMA = "prediction/1"
MOST_NUMBERS = 1000
SUM_TOLERANCE = 1e-3
DECIMALS = 12  # of a probability; what is smaller is no information, and DynamoDB takes no number below 1e-130
LONGEST = {"Class": 64, "Form": 64, "Code": 64, "Message": 1000}  # characters: a row has 400 KB, and an index key 1 KB


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A class and every class's probability (they sum to 1); timings in milliseconds.

    ``form`` is how the model's network was computed ("" from a model that does not say).
    """

    content_sha256: str
    weights_sha256: str
    form: str
    predicted_class: str
    probabilities: Mapping[str, float]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PredictionError:
    """The container's word that these bytes cannot be read: for good, since the same bytes always fail alike.

    ``weights_sha256`` is "" from a container that does not name its model.
    """

    content_sha256: str
    code: str
    message: str
    weights_sha256: str = ""


def parse(body: bytes, expected_sha256: str) -> Prediction | PredictionError:
    """Read one output; ``expected_sha256`` is the hash of the bytes that the row stands for.

    Raises MalformedPrediction for anything that is not exactly an answer to those bytes.
    """
    try:
        document = json.loads(body)
        if document["Schema"] != SCHEMA:
            raise _malformed("its Schema is another")
        sha256 = document["ContentSHA256"]
        if sha256 != expected_sha256:
            raise MalformedPrediction(
                FailureCode.OUTPUT_MISMATCH,
                f"The output answers for bytes {str(sha256)[:12]}…, the upload's are {expected_sha256[:12]}….",
            )
        if "Error" in document:
            error = document["Error"]
            return PredictionError(
                content_sha256=sha256,
                code=_words(error, "Code"),
                message=_words(error, "Message"),
                weights_sha256=str(document.get("Model", {}).get("WeightsSHA256", "")),
            )
        return Prediction(
            content_sha256=sha256,
            weights_sha256=str(document["Model"]["WeightsSHA256"]),
            form=_words(document["Model"], "Form") if "Form" in document["Model"] else "",
            predicted_class=_class_of(document),
            probabilities=_numbers(document["Probabilities"], most=1),
            timings_ms=_numbers(document.get("TimingsMs", {}), most=1e9),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise _malformed(f"it fails with {type(error).__name__}") from error


def _class_of(document: Any) -> str:
    probabilities = _numbers(document["Probabilities"], most=1)
    if not probabilities or abs(sum(probabilities.values()) - 1) > SUM_TOLERANCE:
        raise _malformed(f"its Probabilities sum to {sum(probabilities.values())}, expected 1")
    name = _words(document, "Class")
    if probabilities.get(name) != max(probabilities.values()):
        raise _malformed(f"its Class {name!r} is not the most probable one")
    return name


def _words(document: Mapping[str, Any], name: str) -> str:
    words = document[name]
    if not isinstance(words, str) or not 0 < len(words) <= LONGEST[name]:
        raise _malformed(f"its {name} is not a text of 1 to {LONGEST[name]} characters")
    return words


def _numbers(values: Mapping[str, Any], most: float) -> dict[str, float]:
    numbers = {str(name): round(float(value), DECIMALS) for name, value in values.items()}
    if len(numbers) > MOST_NUMBERS or not all(0 <= number <= most for number in numbers.values()):
        raise _malformed(f"it holds a number that is not between 0 and {most:g}")
    return numbers


def _malformed(what: str) -> MalformedPrediction:
    return MalformedPrediction(
        FailureCode.MALFORMED_PREDICTION, f"The output is not a {SCHEMA} document: {what}. Check the model's code."
    )
