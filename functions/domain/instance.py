"""Decides whether a DICOM Instance is served, and repairs non-conformant identities."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from functions.domain.errors import Refusal, RefusalCode
from functions.domain.place import PLACELESS, Place, place_of
from functions.domain.terms import MODALITIES
from untrusted import picture as pictures
from untrusted.header import NO_VALUE, Header
from untrusted.picture import Picture, PictureError, Pictures
from untrusted.sop_classes import modality_of_sop_class
from untrusted.walker import MOST_VALUE_BYTES

UID_PATTERN = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # DICOM PS3.5 section 9.1
UID_LENGTH = 64
NO_CODE = "(absent or no valid value)"
# An identifier that is not a UID: of a public data set, of a hashing anonymiser, of digits and dots. A text without any
# digit, or with a blank, a comma, ^, @ or a letter beyond ASCII is a person's by its form, or a word such as UNKNOWN.
IDENTIFIER = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9._:/+-]{1,128}={0,2}")
CT = "CT"
UUID_ROOT = "2.25."  # DICOM PS3.5 annex B.2: a UUID as a decimal number under this root is a UID

REPAIRED_UIDS = tuple(f"{level}InstanceUID was " for level in ("Study", "Series", "SOP"))
"""How the repairs of identifiers begin."""

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
    planes: tuple[str, ...] = Pictures.planes
    image_types: tuple[str, ...] = Pictures.image_types

    @property
    def pictures(self) -> Pictures:
        """The pictures of CT objects that are served."""
        return Pictures(planes=self.planes, image_types=self.image_types)


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
    picture: Picture | None = None  # of a CT object
    place: Place = PLACELESS


def is_uid(text: str) -> bool:
    """Return whether ``text`` is a UID by DICOM PS3.5 section 9.1."""
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None


def as_uid(text: str, uuid_of: UuidOf | None = None) -> str:
    """Return the UID for an identifier: a UID itself, the 2.25 form of a UUID, a hash of another IDENTIFIER.

    Returns "" for anything else, which may be a person's text. Other identifiers may be a patient's number or a date,
    which can be guessed: ``uuid_of`` hashes them with a key. Without it they are hashed as in rows from before
    2026-11-28. Queries by study apply both, so that people can query with the identifier in the file.
    """
    if is_uid(text):
        return text
    if _is_uuid(text):
        return f"{UUID_ROOT}{uuid.UUID(text).int}"
    return f"{UUID_ROOT}{(uuid_of or _uuid_of)(text).int}" if is_hashed(text) else ""


def is_hashed(text: str) -> bool:
    """Return whether ``as_uid`` hashes an identifier: it is neither a UID nor a UUID, nor a person's by its form."""
    return IDENTIFIER.fullmatch(text) is not None and not is_uid(text) and not _is_uuid(text)


def describe(header: Header, uuid_of: UuidOf | None = None) -> Instance:
    """Return the Instance of a header. Invalid UIDs are mapped with ``as_uid``, and the repair is recorded.

    If the reading ended early, unread attributes are absent; so is a PatientID without its issuer read.
    """
    repairs: list[str] = []

    def uid_of(keyword: str) -> str:
        text = header.uid(keyword)
        if text and not is_uid(text):
            kind = "a UUID" if _is_uuid(text) else "not well-formed"
            how = " by the stage's key" if uuid_of and is_hashed(text) else ""
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
    named = header.uid("MediaStorageSOPInstanceUID")
    if header.uid("SOPInstanceUID") not in {"", named}:
        repairs.append("MediaStorageSOPInstanceUID did not name this SOPInstanceUID: ignored.")
    patient, issuer = (bounded(keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    if not header.has_passed("IssuerOfPatientID"):  # the same PatientID may be another patient's there
        patient = issuer = ""
    sop_class = _sop_class(header, repairs)
    modality = _modality(header, repairs)
    seen = pictures.described(header) if modality == CT else None
    repairs += seen.assumptions if seen else ()
    return Instance(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
        modality=modality,
        transfer_syntax_uid=_uid_or_nothing(header.transfer_syntax),
        rows=max(header.number("Rows") or 0, 0),
        columns=max(header.number("Columns") or 0, 0),
        number_of_frames=pictures.frames(header) or 0,
        patient_id=patient,
        issuer_of_patient_id=issuer,
        repairs=(*repairs, *header.notes),
        picture=seen,
        place=place_of(header),
    )


def _sop_class(header: Header, repairs: list[str]) -> str:
    """Return the SOPClassUID: of the data set, else of the file meta information, with a repair."""
    if text := header.uid("SOPClassUID"):
        return _uid_or_nothing(text)
    if found := _uid_or_nothing(header.uid("MediaStorageSOPClassUID")):
        repairs.append("SOPClassUID was absent or empty: taken from the file meta information.")
    return found


def _modality(header: Header, repairs: list[str]) -> str:
    """Return the Modality, in capitals; where it is absent, that of the SOP class, with a repair."""
    if text := header.code("Modality"):
        return text if text in MODALITIES else ""
    if found := modality_of_sop_class(header):
        repairs.append(f"Modality was absent or empty: {found}, by the SOP class.")
    return found


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


def check(instance: Instance, served: Served) -> tuple[str, ...]:
    """Return notes on an Instance that this stage serves, one sentence each.

    Raises Refusal for another one, with the first reason that a person can act on.
    """
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
            "NumberOfFrames is not 1; objects of one frame are served. Send the frames as objects of their own.",
        )
    if not (instance.rows and instance.columns):
        raise Refusal(
            RefusalCode.MISSING_GEOMETRY,
            f"Rows is {instance.rows or NO_CODE} and Columns is {instance.columns or NO_CODE}; both must be positive.",
        )
    notes = _check_picture(instance, served)
    for keyword, value in (
        ("StudyInstanceUID", instance.study_instance_uid),
        ("SeriesInstanceUID", instance.series_instance_uid),
    ):
        if not value:
            raise Refusal(
                RefusalCode.MISSING_UID,
                f"{keyword} is absent, empty, or a text that may name a person, so the result could not be found; "
                "give it a UID.",
            )
    if served.conformance == "strict" and (instance.repairs or not instance.sop_instance_uid):
        problems = " ".join(instance.repairs) or "SOPInstanceUID was absent, empty or no identifier."
        raise Refusal(RefusalCode.NON_CONFORMANT, f"This stage is strict and the object needs repair: {problems}")
    return notes


def _check_picture(instance: Instance, served: Served) -> tuple[str, ...]:
    if instance.picture is None:
        return ()
    try:
        return pictures.check(instance.picture, served.pictures)
    except PictureError as error:
        raise Refusal(RefusalCode(error.code), error.reason) from None


def identified(instance: Instance, content_sha256: str) -> Instance:
    """Return the Instance with a SOPInstanceUID: its own, or one from the hash of its bytes, recorded as a repair."""
    if instance.sop_instance_uid:
        return instance
    note = "SOPInstanceUID was absent, empty or no identifier: made from the content's hash."
    return replace(
        instance,
        sop_instance_uid=f"{UUID_ROOT}{_uuid_of(content_sha256).int}",
        repairs=(*instance.repairs, note),
    )


def identity_was_repaired(repairs: Iterable[str]) -> bool:
    """Return whether one of an Instance's ``repairs`` gave it another UID, so that others know it by its own."""
    return any(one.startswith(REPAIRED_UIDS) for one in repairs)


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
