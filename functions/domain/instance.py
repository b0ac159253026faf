"""Decides whether a DICOM Instance is served, and repairs non-conformant identities."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import NO_VALUE, Header
from functions.domain.terms import MODALITIES
from untrusted.walker import MOST_VALUE_BYTES

UID_PATTERN = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # DICOM PS3.5 section 9.1
UID_LENGTH = 64
NO_CODE = "(absent or no valid value)"
GUESSABLE = re.compile(r"[0-9.]+")
UUID_ROOT = "2.25."  # DICOM PS3.5 annex B.2: a UUID as a decimal number under this root is a UID

UuidOf = Callable[[str], uuid.UUID]
"""Hashes an identifier with the stage's key."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a stage serves. ``conformance`` is ``strict`` (any repair is a refusal) or ``repair``."""

    sop_class_uids: tuple[str, ...]
    modalities: tuple[str, ...]
    transfer_syntax_uids: tuple[str, ...]
    max_object_bytes: int
    conformance: str


@dataclass(frozen=True, kw_only=True)
class Instance:
    """The identity and geometry of one DICOM Instance; Rows and Columns in pixels, ``repairs`` one sentence each.

    All texts but ``patient_id`` are written to rows and reasons, so they are UIDs, a defined term, or "".
    ``sop_instance_uid`` is "" for an Instance without one, until ``identified`` makes one.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    transfer_syntax_uid: str
    rows: int
    columns: int
    number_of_frames: int
    patient_id: str = field(repr=False)  # only ever hashed, never stored or logged
    issuer_of_patient_id: str = field(default="", repr=False)  # as the patient_id, which is unique within its issuer
    repairs: tuple[str, ...] = ()


def is_uid(text: str) -> bool:
    """Return whether ``text`` is a UID by DICOM PS3.5 section 9.1."""
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None


def as_uid(text: str, uuid_of: UuidOf | None = None) -> str:
    """Return the UID for an identifier: a UID itself, the 2.25 form of a UUID, a hash of other digits and dots.

    Returns "" for anything else, which may be a person's text. Digits and dots may be a patient's number or a date,
    which can be guessed: ``uuid_of`` hashes them with a key. Without it they are hashed as in rows from before
    2026-11-28. Queries by study apply both, so that people can query with the identifier in the file.
    """
    if is_uid(text):
        return text
    if _is_uuid(text):
        return f"{UUID_ROOT}{uuid.UUID(text).int}"
    return f"{UUID_ROOT}{(uuid_of or _uuid_of)(text).int}" if is_guessable(text) else ""


def is_guessable(text: str) -> bool:
    """Return whether ``as_uid`` hashes an identifier: digits and dots that are neither a UID nor a UUID."""
    return GUESSABLE.fullmatch(text) is not None and not is_uid(text) and not _is_uuid(text)


def describe(header: Header, uuid_of: UuidOf | None = None) -> Instance:
    """Return the Instance of a header. Invalid UIDs are mapped with ``as_uid``, and the repair is recorded.

    If the reading ended early, unread attributes are absent; so is a PatientID without its issuer read.
    """
    repairs: list[str] = []

    def uid_of(keyword: str) -> str:
        text = header.text(keyword)
        if text and not is_uid(text):
            kind = "a UUID" if _is_uuid(text) else "not well-formed"
            how = " by the stage's key" if uuid_of and is_guessable(text) else ""
            if uid := as_uid(text, uuid_of):
                repairs.append(f"{keyword} was {kind}, not a UID: mapped under 2.25{how}.")
            return uid
        return text

    def bounded(keyword: str) -> str:
        if (text := header.text(keyword)) == NO_VALUE:
            repairs.append(f"{keyword} was longer than {MOST_VALUE_BYTES} bytes: counts as absent.")
            return ""
        return text

    study, series, sop = (uid_of(f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
    named = header.meta_text("MediaStorageSOPInstanceUID")
    if header.text("SOPInstanceUID") and named != header.text("SOPInstanceUID"):
        repairs.append("MediaStorageSOPInstanceUID did not name this SOPInstanceUID: ignored.")
    patient, issuer = (bounded(keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    if not header.has_passed("IssuerOfPatientID"):  # the same PatientID may be another patient's there
        patient = issuer = ""
    frames = header.text("NumberOfFrames")
    return Instance(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=_uid_or_nothing(header.text("SOPClassUID")),
        modality=modality if (modality := header.text("Modality")) in MODALITIES else "",
        transfer_syntax_uid=_uid_or_nothing(header.meta_text("TransferSyntaxUID")),
        rows=header.number("Rows") or 0,
        columns=header.number("Columns") or 0,
        number_of_frames=int(frames) if re.fullmatch(r"[0-9]{1,12}", frames) else int(not frames),
        patient_id=patient,
        issuer_of_patient_id=issuer,
        repairs=tuple(repairs),
    )


def check_size(object_bytes: int, served: Served) -> None:
    """Raise Refusal by size alone, before a byte is read."""
    if object_bytes == 0:
        raise Refusal(RefusalCode.EMPTY, "The object has no bytes.")
    if object_bytes > served.max_object_bytes:
        raise Refusal(
            RefusalCode.TOO_LARGE,
            f"The object has {object_bytes} bytes; this service takes at most {served.max_object_bytes} "
            "(the setting max_payload_mb).",
        )


def check(instance: Instance, served: Served) -> None:
    """Raise Refusal for an Instance that this stage does not serve, with the first reason that a person can act on."""
    if instance.sop_class_uid not in served.sop_class_uids:
        raise Refusal(
            RefusalCode.SOP_CLASS_NOT_SERVED,
            f"SOPClassUID {instance.sop_class_uid or NO_CODE} is not served; served: {_list(served.sop_class_uids)}.",
        )
    if instance.modality not in served.modalities:
        raise Refusal(
            RefusalCode.MODALITY_NOT_SERVED,
            f"Modality {instance.modality or NO_CODE} is not served; served: {_list(served.modalities)}.",
        )
    if instance.transfer_syntax_uid not in served.transfer_syntax_uids:
        raise Refusal(
            RefusalCode.TRANSFER_SYNTAX_NOT_SERVED,
            f"TransferSyntaxUID {instance.transfer_syntax_uid or NO_CODE} is not served; transcode the object to "
            "Explicit VR Little Endian, say.",
        )
    if instance.number_of_frames != 1:
        raise Refusal(
            RefusalCode.MULTI_FRAME_NOT_SERVED,
            "NumberOfFrames is not 1; one-frame objects are served.",
        )
    if not (instance.rows and instance.columns):
        raise Refusal(
            RefusalCode.MISSING_GEOMETRY,
            f"Rows is {instance.rows} and Columns is {instance.columns}; both must be positive.",
        )
    for keyword, value in (
        ("StudyInstanceUID", instance.study_instance_uid),
        ("SeriesInstanceUID", instance.series_instance_uid),
    ):
        if not value:
            raise Refusal(
                RefusalCode.MISSING_UID,
                f"{keyword} is absent, empty, or neither a UID nor a UUID, so nobody could ask for the result.",
            )
    if served.conformance == "strict" and (instance.repairs or not instance.sop_instance_uid):
        problems = " ".join(instance.repairs) or "SOPInstanceUID was absent or empty."
        raise Refusal(RefusalCode.NON_CONFORMANT, f"This stage is strict and the object needs repair: {problems}")


def identified(instance: Instance, content_sha256: str) -> Instance:
    """Return the Instance with a SOPInstanceUID: its own, or one from the hash of its bytes, recorded as a repair."""
    if instance.sop_instance_uid:
        return instance
    note = "SOPInstanceUID was absent or empty: made from the content's hash."
    return replace(
        instance,
        sop_instance_uid=f"{UUID_ROOT}{_uuid_of(content_sha256).int}",
        repairs=(*instance.repairs, note),
    )


def _uuid_of(text: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, text)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _uid_or_nothing(text: str) -> str:
    return text if is_uid(text) else ""


def _list(values: tuple[str, ...]) -> str:
    return ", ".join(sorted(values))
