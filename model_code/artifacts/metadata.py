"""``metadata.json`` of the artifact, in the words of a MONAI bundle: the model's identity and how its input is made.

Labels, input size and window are here and nowhere else in the artifact; training writes them, inference reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from aggregation.rule import SIMPLE, Rule
from aggregation.rule import parse as parse_rule
from model_code import typicality
from model_code.backends.backend import Serving, finite, parse_serving
from model_code.backends.networks import DEFAULT, NETWORKS
from model_code.errors import ArtifactError
from model_code.reading.body_part import CHEST
from model_code.transforms import Preparation, Preprocessing
from untrusted.class_names import refused_in
from untrusted.image_type import IMAGE_TYPES
from untrusted.picture import ALL_PLANES, PLAIN, Pictures

FORMAT = "wetread-artifact/1"
REQUIRED_PACKAGES = ("pydicom", "python-gdcm", "pylibjpeg-openjpeg")
# For artifacts from before temperatures were fitted: their probabilities are the softmax of the logits.
UNCALIBRATED = {"temperature": 1.0}
# Far beyond what training fits. Logits that are divided by less can become infinite, and the answer NaN.
SHARPEST, SOFTEST = 1e-3, 1e3
# An answer repeats labels, name and version. These bounds keep it to a few KB, since the functions read it whole.
MOST_LABELS = 1000
MOST_ROWS = 4096  # of the input; no larger slice is read
LONGEST_TEXT = 64  # characters; the functions accept a class of the same length
INTENDED_USE = "Preliminary, automatic sorting of chest CT slices for demonstration and research; not a medical device."


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What inference needs to know of a model; ``known_answer``: its logits for the slice of the known answer.

    ``pictures`` are the planes and image types that it reads: those of the slices that it was trained on.
    ``body_parts`` are the terms of BodyPartExamined of slices like those that it was trained on.
    ``synthetic``: every slice of its training and validation was artificial by its SyntheticData, such as a phantom.

    Probabilities are the softmax of its logits divided by ``temperature``. ``serving`` is torch until ``optimise``
    writes another. ``typicality`` is None for a model that abstains on nothing. ``study`` is how its answers for the
    slices of a study become one.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights_sha256: str
    temperature: float
    known_answer: tuple[float, ...]
    serving: Serving = field(default_factory=Serving)
    network: str = DEFAULT
    body_parts: frozenset[str] = CHEST
    pictures: Pictures = PLAIN
    typicality: typicality.Record | None = None
    synthetic: bool = False
    study: Rule = SIMPLE


def write(metadata: Metadata, eval_metrics: Mapping[str, float], training: Mapping[str, Any]) -> str:
    """Return the text of metadata.json; ``training`` records how the model was trained."""
    size = metadata.preprocessing.image_size
    image = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": [size, size],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "slice"},
    }
    prediction = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(metadata.labels),
        "spatial_shape": [],
        "dtype": "float64",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(index): label for index, label in enumerate(metadata.labels)},
    }
    document = {
        "format": FORMAT,
        "name": metadata.name,
        "version": metadata.version,
        "task": "Chest CT slice classification",
        "network": metadata.network,
        "description": f"{metadata.network}: one axial chest CT slice as one of {', '.join(metadata.labels)}.",
        "intended_use": INTENDED_USE,
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {package: version(package) for package in REQUIRED_PACKAGES},
        "data_type": "dicom",
        "eval_metrics": dict(eval_metrics),
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
        "preprocessing": {
            "window_level_hu": metadata.preprocessing.window_level_hu,
            "window_width_hu": metadata.preprocessing.window_width_hu,
            "preparation": str(metadata.preprocessing.preparation),
        },
        "body_parts": sorted(metadata.body_parts),
        "pictures": {"planes": metadata.pictures.planes, "image_types": metadata.pictures.image_types},
        "synthetic": metadata.synthetic,
        "weights": {"sha256": metadata.weights_sha256},
        "calibration": {"temperature": metadata.temperature},
        "probe": {"logits": list(metadata.known_answer)},
        "training": dict(training),
    }
    if metadata.typicality:
        document["typicality"] = metadata.typicality.as_dict()
    if metadata.study != SIMPLE:
        document["study"] = metadata.study.as_dict()
    return json.dumps(document, indent=2) + "\n"


def parse(text: str) -> Metadata:
    """Return the content of metadata.json; raises ArtifactError for anything that ``write`` does not write."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ArtifactError(f"metadata.json has the format {document['format']!r}; this image reads {FORMAT!r}.")
        formats = document["network_data_format"]
        labels = _labels(formats["outputs"]["pred"]["channel_def"])
        known_answer = finite(document["probe"]["logits"])
        if len(known_answer) != len(labels):
            raise ArtifactError(
                f"metadata.json has {len(labels)} labels but {len(known_answer)} logits of the known answer."
            )
        return Metadata(
            name=_text(document["name"]),
            version=_text(document["version"]),
            labels=labels,
            preprocessing=Preprocessing(
                image_size=_square(formats["inputs"]["image"]["spatial_shape"]),
                window_level_hu=_finite(document["preprocessing"]["window_level_hu"]),
                window_width_hu=_above_zero(document["preprocessing"]["window_width_hu"]),
                # Artifacts from before there were two do not name theirs.
                preparation=Preparation(document["preprocessing"].get("preparation", Preparation.AS_STORED)),
            ),
            weights_sha256=_text(document["weights"]["sha256"]),
            temperature=_temperature(document.get("calibration", UNCALIBRATED)),
            known_answer=known_answer,
            network=_network(document.get("network", DEFAULT)),
            body_parts=_body_parts(document.get("body_parts", CHEST)),
            pictures=_pictures(document["pictures"]) if "pictures" in document else PLAIN,
            synthetic=_flag(document.get("synthetic", False)),
            serving=parse_serving(document["serving"], len(labels)) if "serving" in document else Serving(),
            typicality=typicality.parse(document["typicality"]) if "typicality" in document else None,
            study=_study(document["study"], labels) if "study" in document else SIMPLE,
        )
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ArtifactError(f"metadata.json cannot be read: {type(error).__name__} {error}.") from error


def with_serving(text: str, serving: Serving, validation: Mapping[str, Any]) -> str:
    """Return the text of metadata.json with ``serving``, as ``optimise`` chose it; ``validation`` records why."""
    document = json.loads(text)
    validated = {str(name): record.as_dict() for name, record in serving.validated.items()}
    document["serving"] = {"form": str(serving.chosen), "forms": validated, "proof": dict(validation)}
    return json.dumps(document, indent=2) + "\n"


def _study(document: Any, labels: Sequence[str]) -> Rule:
    rule = parse_rule(document)
    rule.check_classes(labels)
    return rule


def _network(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"the network is {name!r}, not one of {', '.join(NETWORKS)}")
    return name


def _body_parts(terms: Sequence[str]) -> frozenset[str]:
    if isinstance(terms, str) or len(terms) > MOST_LABELS:
        raise ValueError(f"the body_parts are not a list of at most {MOST_LABELS} terms")
    return frozenset(_text(one).upper() for one in terms)


def _pictures(document: Mapping[str, Sequence[str]]) -> Pictures:
    planes, image_types = tuple(document["planes"]), tuple(document["image_types"])
    if not (set(planes) <= set(ALL_PLANES) and set(image_types) <= set(IMAGE_TYPES)):
        raise ValueError("the pictures have planes or image types that this image does not know")
    return Pictures(planes=planes, image_types=image_types)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"synthetic is {value!r}, neither true nor false")
    return value


def _labels(channel_def: Mapping[str, str]) -> tuple[str, ...]:
    if len(channel_def) > MOST_LABELS:
        raise ValueError(f"it has {len(channel_def)} labels, more than {MOST_LABELS}")
    labels = tuple(_text(channel_def[str(index)]) for index in range(len(channel_def)))
    if not all(labels) or len(set(labels)) < len(labels):  # an answer names its probabilities by the labels
        raise ValueError("a label is empty, or there twice")
    if odd := next(filter(None, map(refused_in, labels)), ""):
        raise ValueError(f"a label has the character {odd}; letters, digits, signs and spaces are expected")
    return labels


def _text(value: object) -> str:
    text = str(value)
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text begins {text[:LONGEST_TEXT]!r} and is longer than {LONGEST_TEXT} characters")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"the text {text!r} has half of a character")
    return text


def _finite(value: Any) -> float:
    (number,) = finite([value])
    return number


def _above_zero(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(f"the window is {number} HU wide, not more than 0")
    return number


def _square(shape: Sequence[int]) -> int:
    rows, columns = (int(length) for length in shape)
    if rows != columns or not 1 <= rows <= MOST_ROWS:
        raise ValueError(f"the input's spatial_shape is {list(shape)}, not a square of 1 to {MOST_ROWS} pixels a side")
    return rows


def _temperature(calibration: Mapping[str, Any]) -> float:
    temperature = float(calibration["temperature"])
    if not 0 < temperature < math.inf:
        raise ValueError(f"the calibration's temperature is {temperature}, not a number above 0")
    if not SHARPEST <= temperature <= SOFTEST:
        raise ValueError(f"the calibration's temperature is {temperature}, not from {SHARPEST} to {SOFTEST}")
    return temperature
