"""Why a run of the training workflow is refused: codes, reasons, and the ``verdict/1`` document with them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SCHEMA = "verdict/1"
MOST_REASONS = 50  # in the state machine, which carries 256 KiB at most; the document in S3 has all
LONGEST_MESSAGE = 600  # characters, in the state machine
MOST_LINES = 10  # of the manifest, named in one sentence
_ENTRIES = re.compile(r"\b[Ee]ntr(?:y|ies) \d+(?:(?:, | and )\d+\b(?! more))*")
_NUMBER = re.compile(r"\d+")


class Risk(enum.StrEnum):
    """Problems of labelled data that a person can accept by name.

    A run whose patients are TOO_FEW_TO_COMPARE is not promoted by that: a person still approves its version.
    """

    PATIENT_ACROSS_SPLIT = "PatientAcrossSplit"
    STUDY_ACROSS_SPLIT = "StudyAcrossSplit"
    SERIES_ACROSS_SPLIT = "SeriesAcrossSplit"
    TESTED_PATIENT_IN_TRAINING = "TestedPatientInTraining"
    TOO_FEW_PATIENTS = "TooFewPatients"
    TOO_FEW_TO_COMPARE = "TooFewToCompare"
    IDENTICAL_PIXELS_ACROSS_SPLIT = "IdenticalPixelsAcrossSplit"
    NEAR_IDENTICAL_PIXELS_ACROSS_SPLIT = "NearIdenticalPixelsAcrossSplit"
    SAME_PATIENT_ACROSS_SPLIT = "SamePatientAcrossSplit"
    CLASS_PREDICTABLE_FROM_ACQUISITION = "ClassPredictableFromAcquisition"
    CLASS_PREDICTABLE_FROM_PERSON = "ClassPredictableFromPerson"
    CLASS_PREDICTABLE_FROM_POSITION = "ClassPredictableFromPosition"
    CLASS_PREDICTABLE_FROM_BACKGROUND = "ClassPredictableFromBackground"
    AUDIT_UNDERPOWERED = "AuditUnderpowered"


class LabelProblem(enum.StrEnum):
    """Why no snapshot is taken: the execution's input, the manifest, an entry or all, weights, or the champion."""

    INVALID_INPUT = "InvalidInput"
    MISSING_MANIFEST = "MissingManifest"
    MALFORMED_MANIFEST = "MalformedManifest"
    MALFORMED_ENTRY = "MalformedEntry"
    UNKNOWN_LABEL = "UnknownLabel"
    MISSING_FILE = "MissingFile"
    AMBIGUOUS_FILE = "AmbiguousFile"
    UNREADABLE_HEADER = "UnreadableHeader"
    DUPLICATE = "Duplicate"
    MISSING_CLASS = "MissingClass"
    CONTRADICTORY_LABELS = "ContradictoryLabels"
    UNUSABLE_WEIGHTS = "UnusableWeights"
    CHAMPION_GONE = "ChampionGone"


class DataProblem(enum.StrEnum):
    """Why the data gate stays shut, whatever risks are accepted."""

    UNDECODABLE_SLICE = "UndecodableSlice"
    MALFORMED_SNAPSHOT = "MalformedSnapshot"
    MALFORMED_AUDIT = "MalformedAudit"


class ModelProblem(enum.StrEnum):
    """Why a candidate does not pass the model gate."""

    BALANCED_ACCURACY_TOO_LOW = "BalancedAccuracyTooLow"
    SENSITIVITY_TOO_LOW = "SensitivityTooLow"
    SPECIFICITY_TOO_LOW = "SpecificityTooLow"
    STUDY_SENSITIVITY_TOO_LOW = "StudySensitivityTooLow"
    AUC_TOO_LOW = "AUCTooLow"
    CALIBRATION_TOO_POOR = "CalibrationTooPoor"
    COVERAGE_TOO_LOW = "CoverageTooLow"
    WORSE_THAN_CHAMPION = "WorseThanChampion"
    WORSE_THAN_REFERENCE = "WorseThanReference"
    SUBGROUP_COLLAPSE = "SubgroupCollapse"
    UNDEFINED_METRIC = "UndefinedMetric"
    WHOLE_WORSE_THAN_FOLDS = "WholeWorseThanFolds"
    MALFORMED_EVALUATION = "MalformedEvaluation"


class PromotionProblem(enum.StrEnum):
    """Why a candidate that passed is not promoted."""

    CHAMPION_CHANGED = "ChampionChanged"


class Rest(enum.StrEnum):
    """The substitute for the reasons that a trimmed list omits."""

    MORE_REASONS = "MoreReasons"


Code = Risk | LabelProblem | DataProblem | ModelProblem | PromotionProblem | Rest


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One reason: ``message`` is a sentence without PHI; ``accepted`` is whether a person accepted this risk by name.

    ``line`` is the first line of the manifest that it concerns, 0 for the whole; the message names it.
    """

    code: Code
    message: str
    accepted: bool = False
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the reason as documents hold it."""
        return {"Code": self.code, "Message": self.message, "Accepted": self.accepted}


@dataclass(frozen=True)
class Verdict:
    """All reasons of one gate; it passes if a person has accepted each.

    ``checks`` are the thresholds that were asked, as the document holds them; empty where none was reached.
    """

    reasons: tuple[Reason, ...] = ()
    checks: tuple[Mapping[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the run continues."""
        return all(reason.accepted for reason in self.reasons)

    def accepting(self, risks: Iterable[str]) -> Verdict:
        """Return the verdict with the reasons of the named risks accepted. Only a Risk can be accepted."""
        named = set(risks)
        return Verdict(
            tuple(replace(one, accepted=isinstance(one.code, Risk) and one.code in named) for one in self.reasons),
            self.checks,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the verdict/1 document, with every reason in full, and the thresholds if any was reached."""
        document = {"Schema": SCHEMA, "Passed": self.passed, "Reasons": [reason.to_json() for reason in self.reasons]}
        return document | ({"Checks": [dict(one) for one in self.checks]} if self.checks else {})


def trimmed(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """Return the reasons as the state machine carries them: the first ones, and one that counts the rest.

    Unaccepted reasons come first, so that an omitted one never hides why a run was refused.
    """
    ordered = sorted(reasons, key=lambda reason: reason.accepted)
    shown = [reason.to_json() | {"Message": _short(reason.message)} for reason in ordered[:MOST_REASONS]]
    rest = ordered[MOST_REASONS:]
    if rest:
        more = Reason(
            code=Rest.MORE_REASONS,
            message=f"{len(rest)} more reasons are in the run's own document in the training bucket.",
            accepted=all(reason.accepted for reason in rest),
        )
        shown.append(more.to_json())
    return shown


@dataclass(frozen=True)
class Places:
    """What people call the entries of a labels file: a CSV file's by their lines, a JSON array's by their numbers.

    ``names`` are files' names, by number, that follow it: "entry 3 (IM3.dcm)". Only a person's own terminal gets them,
    since a file's name may be a person's.
    """

    are_lines: bool = True
    names: Mapping[int, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, labels: str, names: Mapping[int, str] | None = None) -> Places:
        """Return what the entries of a labels file are called, by the file's key, path or URI."""
        return cls(are_lines=labels.lower().endswith(".csv"), names=names or {})

    def named(self, numbers: Iterable[int]) -> str:
        """Return entries for a sentence: "line 3", "entries 3 and 7", "lines 3, 7, 9 and 12 more"."""
        distinct = sorted(set(numbers))
        one, several = ("line", "lines") if self.are_lines else ("entry", "entries")
        texts = [self._called(number) for number in distinct]
        if len(texts) == 1:
            return f"{one} {texts[0]}"
        if len(texts) > MOST_LINES:
            texts = [*texts[:MOST_LINES], f"{len(texts) - MOST_LINES} more"]
        return f"{several} {', '.join(texts[:-1])} and {texts[-1]}"

    def naming(self, message: str) -> str:
        """Return a reason's message from the cloud with the names of its entries."""
        return _ENTRIES.sub(lambda few: _NUMBER.sub(lambda one: self._called(int(one[0])), few[0]), message)

    def begin(self, numbers: Iterable[int]) -> str:
        """Return the same for the beginning of a sentence."""
        called = self.named(numbers)
        return called[:1].upper() + called[1:]

    def _called(self, number: int) -> str:
        return f"{number} ({self.names[number]})" if number in self.names else str(number)


def _short(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…"
