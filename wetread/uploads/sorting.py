"""What becomes of each thing in a submission: sent, left out, or impossible to send; by the rules of ingest."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import IO

from functions.domain import instance as instances
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import header_of
from functions.domain.instance import Served
from untrusted.header import PREFIX, START, Header
from wetread.uploads.archives import ARCHIVES

REPAIRABLE = frozenset({RefusalCode.TRANSFER_SYNTAX_NOT_SERVED, RefusalCode.MULTI_FRAME_NOT_SERVED})
"""Codes of images that this service would read if they were stored otherwise: they are sent, so that a row says so."""


NO_SLICES = frozenset({RefusalCode.NOT_HOUNSFIELD, RefusalCode.TOO_FEW_PIXELS})
"""Codes of pictures that are no slices by their headers: maps and thumbnails."""


class Group(enum.Enum):
    """Why something is not sent, in the order of the listing: its noun, its plural, and what is said of it."""

    BY_NAME = ("file", "files", "left out by name: hidden, or what accompanies DICOM objects")
    NOT_DICOM = ("file", "files", "left out, not DICOM")
    ARCHIVE = ("archive", "archives", "not opened: .zip and .gz files are, but none inside of another")
    SPECIAL = ("pipe, socket or device", "pipes, sockets or devices", "left out")
    LINK = ("link", "links", "left out, leading out of the folder or nowhere: name what a link leads to")
    NOT_SERVED = ("DICOM object", "DICOM objects", "not for this service, not sent")
    FAILED = ("file or folder", "files or folders", "not submitted")

    def __init__(self, noun: str, nouns: str, what: str) -> None:
        self.noun = noun
        self.nouns = nouns
        self.what = what

    @property
    def fails(self) -> bool:
        """Whether it makes the command fail: a person may think that it was sent."""
        return self is Group.FAILED


@dataclass(frozen=True)
class Identifiers:
    """What a file says of its place: study, series and object, as they are in it; "" where it says nothing."""

    study: str
    series: str
    instance: str


@dataclass(frozen=True)
class Look:
    """What is seen of a file: why it is not sent, None if it is; and its identifiers, None where none can be read."""

    obstacle: tuple[Group, str] | None
    identifiers: Identifiers | None = None


@dataclass(frozen=True)
class Unsent:
    """Something that is not sent: its name, and why; ``reason`` is a sentence, or "" where the group says all."""

    name: str
    group: Group
    reason: str = ""


def look(body: IO[bytes], name: str, served: Served | None) -> Look:
    """Look at a file: whether it is sent, and what it says of its study.

    ``name`` is that of the bytes in ``body``, unpacked if they are. What is not DICOM is never sent: folders hold
    spreadsheets of patients. By the rules of ingest, ``served``, an object of another kind is not sent either, nor one
    that is too large; a damaged one is, so that it gets a row. Without ``served`` all DICOM is sent.
    """
    size = body.seek(0, os.SEEK_END)

    def head(length: int) -> bytes:
        body.seek(0)
        return body.read(length)

    if size == 0:
        return Look((Group.NOT_DICOM, "It has no bytes."))
    is_dicom = head(START).endswith(PREFIX)
    header: Header | None = None
    try:
        header = header_of(head, size)
        if served:
            instances.check(instances.describe(header), served)
    except Refusal as refusal:
        header = header or refusal.header
        if not is_dicom:
            is_archive = ARCHIVES.search(name)
            return Look((Group.ARCHIVE, "") if is_archive else (Group.NOT_DICOM, refusal.reason))
        if served and _is_of_another_kind(refusal, served):
            return Look((Group.NOT_SERVED, f"{refusal.code}: {refusal.reason}"))
    identifiers = _identifiers(header)
    try:
        if served:
            instances.check_size(size, served)
    except Refusal as refusal:
        return Look((Group.FAILED, f"{refusal.code}: {refusal.reason}"), identifiers)
    return Look(None, identifiers)


def _identifiers(header: Header | None) -> Identifiers | None:
    if header is None:
        return None
    return Identifiers(*(header.uid(f"{level}InstanceUID") for level in ("Study", "Series", "SOP")))


def is_of_another_kind(code: str | None) -> bool:
    """Return whether a refusal's code says that the object is not for this service, whatever is done to it."""
    return bool(code) and (code in NO_SLICES or (str(code).endswith("NotServed") and code not in REPAIRABLE))


def _is_of_another_kind(refusal: Refusal, served: Served) -> bool:
    """Return whether a refused object is not for this service; one without pixel data may be a report."""
    if refusal.code != RefusalCode.NO_PIXEL_DATA or refusal.header is None:
        return is_of_another_kind(refusal.code)
    return instances.describe(refusal.header).sop_class_uid not in served.sop_class_uids
