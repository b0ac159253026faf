"""Reads the execution input of the training workflow strictly: every wrong field is named, none is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain import layout
from functions.domain.artifact import NAME_RULE, is_name
from functions.domain.errors import InvalidRequest
from functions.domain.verdict import Risk
from functions.names import COHORTS

FIELDS = ("LabelsUri", "AcceptedRisks", "Seed", "HyperParameters", "InitialWeights")
WEIGHTS_FIELDS = ("Uri", "Licence")
MANIFEST_ENDINGS = (".json", ".csv")
MOST_SEED = 2**32 - 1  # numpy takes no larger one
WORKFLOWS_OWN = ("seed", "model_version")  # hyperparameters that the workflow sets
HYPERPARAMETERS = ("epochs", "batch_size", "learning_rate", "image_size", "network", "study_sensitivity", "model_name")
"""What people may set of the hyperparameters of model_code; the others are the workflow's own."""
FOREIGN_PREFIX = "sagemaker_"  # model_code leaves these hyperparameters to SageMaker
MOST_HYPERPARAMETERS = 80  # SageMaker takes 100
LONGEST_NAME, LONGEST_VALUE = 256, 2500  # characters, SageMaker's own limits
LONGEST_LICENCE = 1000  # characters


@dataclass(frozen=True, kw_only=True)
class AskedWeights:
    """The weights that a training is to start from: their key in the training bucket, and their licence as a text."""

    key: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """A requested run; ``manifest_key`` is in the training bucket. Without initial weights it starts from nothing."""

    manifest_key: str
    accepted_risks: tuple[Risk, ...]
    seed: int
    hyperparameters: Mapping[str, str]
    initial_weights: AskedWeights | None = None


def parse(document: Any, training_bucket: str) -> TrainingRequest:
    """Read an execution input; raise InvalidRequest that names every unknown field and every wrong value."""
    if not isinstance(document, Mapping):
        raise InvalidRequest([f"The input is {_kind(document)}, not an object with {', '.join(FIELDS)}."])
    problems = [f"The field {name!r:.80} is unknown; known: {', '.join(FIELDS)}." for name in document.keys() - FIELDS]
    problems.sort()
    request = TrainingRequest(
        manifest_key=_manifest_key(document.get("LabelsUri"), training_bucket, problems),
        accepted_risks=_risks(document.get("AcceptedRisks", []), problems),
        seed=_seed(document.get("Seed", 0), problems),
        hyperparameters=_hyperparameters(document.get("HyperParameters", {}), problems),
        initial_weights=_initial_weights(document.get("InitialWeights"), training_bucket, problems),
    )
    if problems:
        raise InvalidRequest(problems)
    return request


def is_hyperparameter(name: str) -> bool:
    """Return whether model_code knows a hyperparameter of this name, with either sign between its words."""
    return name.replace("-", "_") in (*HYPERPARAMETERS, *WORKFLOWS_OWN) or name.startswith(FOREIGN_PREFIX)


def _manifest_key(value: Any, training_bucket: str, problems: list[str]) -> str:
    expected = f"s3://{training_bucket}/{COHORTS}<folder>/manifest.json (or labels.csv)"
    try:
        bucket, key = layout.parse_uri(value if isinstance(value, str) else "")
    except ValueError:
        problems.append(f"LabelsUri is {value!r:.300}, not {expected}.")
        return ""
    if bucket != training_bucket:
        problems.append(f"LabelsUri names the bucket {bucket}; labels are read from {expected}.")
    elif not key.startswith(COHORTS) or "/" not in key.removeprefix(COHORTS):
        problems.append(f"LabelsUri names no folder below {COHORTS}; it is of the form {expected}.")
    elif not key.lower().endswith(MANIFEST_ENDINGS):
        problems.append(f"LabelsUri ends neither in .json nor in .csv; it is of the form {expected}.")
    return key


def _initial_weights(value: Any, training_bucket: str, problems: list[str]) -> AskedWeights | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.keys() != set(WEIGHTS_FIELDS):
        problems.append(f"InitialWeights is {_kind(value)}, not an object with exactly {' and '.join(WEIGHTS_FIELDS)}.")
        return None
    uri, licence = value["Uri"], value["Licence"]
    try:
        bucket, key = layout.parse_uri(uri if isinstance(uri, str) else "")
    except ValueError:
        bucket, key = "", ""
    if bucket != training_bucket or not key.startswith(COHORTS) or key == COHORTS:
        problems.append(f"InitialWeights.Uri is {uri!r:.300}, not s3://{training_bucket}/{COHORTS}<name>.")
    if not isinstance(licence, str) or not licence.strip() or len(licence) > LONGEST_LICENCE:
        problems.append(
            f"InitialWeights.Licence is {licence!r:.80}, not a text of 1 to {LONGEST_LICENCE} characters that says "
            "under what licence the weights are used."
        )
        return None
    return AskedWeights(key=key, licence=licence)


def _risks(value: Any, problems: list[str]) -> tuple[Risk, ...]:
    if not isinstance(value, list):
        problems.append(f"AcceptedRisks is {_kind(value)}, not a list of codes such as {Risk.TOO_FEW_PATIENTS}.")
        return ()
    unknown = [one for one in value if not isinstance(one, str) or one not in set(Risk)]
    problems += [f"AcceptedRisks names {one!r:.80}, which is no risk; risks: {', '.join(Risk)}." for one in unknown]
    return tuple(risk for risk in Risk if risk in value)


def _seed(value: Any, problems: list[str]) -> int:
    if type(value) is not int or not 0 <= value <= MOST_SEED:
        problems.append(f"Seed is {value!r:.80}, not a whole number from 0 to {MOST_SEED}.")
        return 0
    return value


def _hyperparameters(value: Any, problems: list[str]) -> dict[str, str]:
    if not isinstance(value, Mapping):
        problems.append(f"HyperParameters is {_kind(value)}, not an object of names and values.")
        return {}
    if len(value) > MOST_HYPERPARAMETERS:
        problems.append(f"HyperParameters has {len(value)} entries; at most {MOST_HYPERPARAMETERS} are taken.")
    texts: dict[str, str] = {}
    for name, one in value.items():
        if name in WORKFLOWS_OWN:
            problems.append(f"HyperParameters sets {name!r}, which the workflow sets itself; use Seed for the seed.")
        elif isinstance(one, bool) or not isinstance(one, str | int | float):
            problems.append(f"The hyperparameter {name!r:.80} is {_kind(one)}, not a text or a number.")
        elif not 0 < len(name) <= LONGEST_NAME or len(str(one)) > LONGEST_VALUE:
            problems.append(f"The hyperparameter {name!r:.80} is too long for SageMaker.")
        elif name == "model_name" and not is_name(str(one)):
            problems.append(f"The hyperparameter model_name is {str(one)!r:.80}: {NAME_RULE}.")
        else:
            texts[name] = str(one)
    return texts


def _kind(value: Any) -> str:
    """Return the kind of a JSON value, in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
