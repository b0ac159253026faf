"""What is recorded of the champion: the version that new batches use, its predecessors, and what was withdrawn."""

from __future__ import annotations

from dataclasses import dataclass

from functions.domain.verdict import PromotionProblem, Reason


@dataclass(frozen=True, kw_only=True)
class Champion:
    """``model_name`` is SageMaker's Model, ``model_package`` "<group>/<version>", ``previous`` its predecessor.

    ``promoted_by`` is an ARN. It and ``weights_sha256`` are "" for versions promoted before they were recorded.
    ``reference`` is the version that later candidates are compared with, too ("" for the champion itself), and
    ``behind`` how far the champion's balanced accuracy may be below that one's. ``study`` is the rule by which studies
    that it reads are read, as JSON, "" for the simple one; only the history keeps it. ``script_sha256`` is the digest
    of its artifact's script, "" for versions registered before it was recorded.
    """

    model_name: str
    model_package: str
    model_package_arn: str
    artifact_sha256: str
    promoted_at: str
    previous: str = ""
    weights_sha256: str = ""
    promoted_by: str = ""
    reference: str = ""
    behind: float = 0.0
    study: str = ""
    script_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A version became champion: when it last did (ISO 8601), by whom (an ARN), and its predecessor.

    ``previous`` is "" for the first champion, ``promoted_by`` where it was not recorded. ``reference``, ``behind`` and
    ``study`` are those of the Champion.
    """

    model_package: str
    promoted_at: str
    previous: str
    promoted_by: str = ""
    reference: str = ""
    behind: float = 0.0
    study: str = ""


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """A version's results are void: since when (ISO 8601), why, and by whom (an ARN).

    ``rescored_at`` and ``rescored_by`` are when and by whom its uploads were last sent to be read again, "" for never.
    """

    model_package: str
    withdrawn_at: str
    reason: str
    withdrawn_by: str = ""
    rescored_at: str = ""
    rescored_by: str = ""


def is_champion(current: Champion | None, model_package: str) -> bool:
    """Return whether a version is the champion; "" asks whether there is no champion."""
    return (current.model_package if current else "") == model_package


def champion_changed(model_package: str, evaluated_against: str) -> Reason:
    """Return why a version is not promoted that was compared with an earlier champion ("" for none)."""
    compared = evaluated_against or "no champion at all"
    message = (
        f"{model_package} was compared with {compared}, and another version has been promoted since; start the run "
        "again."
    )
    return Reason(code=PromotionProblem.CHAMPION_CHANGED, message=message)
