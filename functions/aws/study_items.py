"""The items of the studies table: their names, and what is read from them and written to them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.aws.shards import plain
from functions.aws.trouble import loggable
from functions.domain.row import Row
from functions.domain.study import Revision, State, Study

logger = logging.getLogger(__name__)

STATE, MARKER, MEMBER, REVISION = "#study", "#marker", "member#", "revision#"
# Of the index of studies that the sweep looks for: open ones, and closed ones with a revision to announce.
OPEN, UNANNOUNCED = "open", "announce"
# Attributes by the fields of a Study.
NAMES = {
    "state": "State",
    "due_at": "DueAt",
    "quiet_until": "QuietUntil",
    "opened_at": "OpenedAt",
    "touches": "Touches",
    "erasures": "Erasures",
    "revision": "Revision",
    "inputs": "Inputs",
    "result_key": "ResultKey",
    "announced": "Announced",
    "marked_at": "MarkedAt",
    "rounds": "Rounds",
    "tried_at": "TriedAt",
}
WHILE_OPEN = ("QuietUntil", "OpenedAt", "MarkedAt", "Rounds")  # of an open study alone
IN_INDEX = ("Open", "DueAt")


@dataclass(frozen=True)
class Listed:
    """One member as the table lists it: an upload, and when it was received."""

    item: str
    upload_id: str
    received_at: str


def state_of(study: str) -> dict[str, str]:
    """Return the key of a study's state."""
    return {"StudyInstanceUID": study, "Item": STATE}


def member_of(row: Row) -> dict[str, Any]:
    """Return the item of a row's member: it lists the row, and says nothing more of it."""
    item = f"{MEMBER}{row.series_instance_uid or ''}#{row.upload_id}"
    return {"StudyInstanceUID": row.study_instance_uid or "", "Item": item, "ReceivedAt": row.received_at}


def upload_of(item: str) -> str:
    """Return the upload that a member's item lists."""
    return item.rpartition("#")[2]


def listed_in(item: Mapping[str, Any]) -> Listed:
    """Return the member in an item."""
    return Listed(item["Item"], upload_of(item["Item"]), item.get("ReceivedAt", ""))


def revision_name(number: int) -> str:
    """Return the name of a revision's item, by which they are in order."""
    return f"{REVISION}{number:06d}"


def study_in(item: Mapping[str, Any]) -> Study:
    """Return the study in the item of its state."""
    values: dict[str, Any] = {name: item[attribute] for name, attribute in NAMES.items() if attribute in item}
    values["state"] = State(plain(values.get("state", State.CLOSED)))
    return Study(study_instance_uid=item["StudyInstanceUID"], **values)


def is_study(item: Mapping[str, Any]) -> bool:
    """Return whether an item is a study's state; one that a person may have put must not hide others."""
    try:
        study_in(item)
    except (KeyError, ValueError, TypeError) as error:
        logger.error("an item is not a study", extra=loggable(error))
        return False
    return True


def last_of(revision: Revision, closed_at: str) -> dict[str, Any]:
    """Return what a study's state says of its last revision."""
    last = {
        "Revision": revision.number,
        "Inputs": revision.inputs,
        "ResultKey": revision.result_key,
        "ClosedAt": closed_at,
    }
    return last | ({"PredictedClass": revision.predicted_class} if revision.predicted_class else {})


def unchanged(study: Study, fence: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the condition that a study is open, its ``fence`` as it was read, and no erasure has begun since.

    A count that a study does not have yet must be absent still.
    """
    names, values = {"#State": "State"}, {":open": State.OPEN}
    expected: dict[str, Any] = {
        fence: study.touches if fence == "Touches" else study.opened_at,
        "Erasures": study.erasures,
    }
    terms = ["begins_with(#State, :open)"]
    for name, value in expected.items():
        names[f"#{name}"] = name
        if value:
            terms.append(f"#{name} = :was{name}")
            values[f":was{name}"] = value
        else:
            terms.append(f"attribute_not_exists(#{name})")
    return " AND ".join(terms), names, values
