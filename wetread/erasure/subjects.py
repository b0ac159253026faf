"""The subject of an erasure, and whether data belongs to it: by the keyed hash of rows, or by the object itself.

A row's hash alone does not always decide. Rows that were written before issuers were read have the hash of the bare
PatientID, whatever the object's issuer. For these the object is read while it exists.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from functions.aws.index import Index
from functions.aws.items import error_code
from functions.aws.objects import DENIED, read_head, refusals
from functions.aws.patients import Patients
from functions.aws.trouble import OF_KMS
from functions.domain import instance as instances
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import header_of
from functions.domain.instance import as_uid
from functions.domain.row import NAMES, Row
from functions.names import IndexName
from untrusted.header import Header
from wetread.problems import ConfigProblem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Header text is compared as bytes. A person's input is encoded in each character set of DICOM PS3.3 C.12.1.1.2 that has
# its characters.
CHARACTER_SETS = (
    *("latin-1", *(f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 11, 15)), "shift_jis", "iso2022_jp"),
    *("iso2022_jp_2", "euc_kr", "iso2022_kr", "gb2312", "gbk", "gb18030", "utf-8"),
)

SAYING_NOTHING = frozenset({RefusalCode.NOT_DICOM, RefusalCode.EMPTY, RefusalCode.OBJECT_GONE})
NOT_GIVEN = frozenset({RefusalCode.ARCHIVED, RefusalCode.CUSTOMER_KEY, RefusalCode.FOREIGN_KEY})


class Verdict(enum.Enum):
    """The subject that data belongs to."""

    THEIRS = "theirs"
    OTHERS = "another's"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Identity:
    """An object's patient and study as its header has them, decoded as latin-1.

    ``says_patient`` and ``says_study`` are False if the object could not be read that far.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    study: str = field(repr=False)  # not mapped: rows have it mapped by the stage's key, older rows without it
    says_patient: bool = True
    says_study: bool = True


UNREAD = Identity("", "", "", says_patient=False, says_study=False)


@dataclass(frozen=True)
class Marks:
    """The identifying values of a row or of a snapshot's entry."""

    patient_hash: str
    study_instance_uid: str


Look = Callable[[], Identity | None]
"""Reads the source object's identity; None if the object is gone or is not DICOM."""


class Subject(Protocol):
    """A patient or a study."""

    kind: str
    hash: str

    def upload_ids(self, index: Index) -> Iterator[str]:
        """Yield the index's Uploads of the subject; some may belong to another."""

    def judge(self, marks: Marks, look: Look) -> Verdict:
        """Return the subject of a row or snapshot entry; ``look`` is called only if the hash does not decide."""

    def verdict_of(self, identity: Identity | None) -> Verdict:
        """Return the subject of an object: OTHERS only if it is certain, or the identity is None."""

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """Return the attributes (name: value) that the subject's rows are found by and this row lacks."""


class Study:
    """A study, by its StudyInstanceUID as the file or a row says it."""

    kind = "study"

    def __init__(self, text: str, patients: Patients) -> None:
        self._uuid_of = patients.uuid_of
        self._uids = self._mapped(text.strip(" \0"))
        self._uid = self._uids[0]
        if not self._uid:
            raise ConfigProblem("--study is no UID and no UUID.", "Give the StudyInstanceUID of a row or of a file.")
        self.hash = patients.hash_of_study(self._uid)

    def upload_ids(self, index: Index) -> Iterator[str]:
        """Yield the Uploads of the study."""
        for uid in dict.fromkeys(self._uids):
            yield from (row.upload_id for row in index.find(IndexName.BY_STUDY, uid))

    def judge(self, marks: Marks, _look: Look) -> Verdict:
        """Decide by the UID alone, without reading the object."""
        return Verdict.THEIRS if marks.study_instance_uid in self._uids else Verdict.OTHERS

    def verdict_of(self, identity: Identity | None) -> Verdict:
        """Decide by the StudyInstanceUID, mapped as ingest does or did before 2026-11-28."""
        if identity is None:
            return Verdict.OTHERS
        if set(self._mapped(identity.study)) & set(self._uids):
            return Verdict.THEIRS
        return Verdict.OTHERS if identity.says_study else Verdict.UNCLEAR

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """Return the StudyInstanceUID if the row has none."""
        return {} if row.study_instance_uid else {NAMES["study_instance_uid"]: self._uid}

    def _mapped(self, text: str) -> tuple[str, str]:
        """Return the StudyInstanceUID of rows for a text, and that of rows from before 2026-11-28."""
        return as_uid(text, self._uuid_of), as_uid(text)


class Patient:
    """A patient, by PatientID and IssuerOfPatientID ("" for objects that name none)."""

    kind = "patient"

    def __init__(self, patient_id: str, issuer: str, patients: Patients) -> None:
        self._ids, self._issuers = _readings(patient_id), _readings(issuer)
        self.has_issuer = self._issuers != {""}
        if "" in self._ids:
            raise ConfigProblem("--patient is empty.", "Give a PatientID; objects without one are erased by --study.")
        hashes = {patients.hash_of(one, by) or "" for one in self._ids for by in self._issuers}
        self.hash = patients.hash_of(sorted(self._ids)[0], sorted(self._issuers)[0]) or ""
        bare = {patients.hash_of(one) or "" for one in self._ids}
        self._certain, self._bare = hashes - bare, bare
        self.issuers_seen: set[str] = set()

    def upload_ids(self, index: Index) -> Iterator[str]:
        """Yield the Uploads with the patient's hash, and with that of the bare PatientID."""
        for one in sorted(self._certain | self._bare):
            yield from index.of_patient(one)

    def judge(self, marks: Marks, look: Look) -> Verdict:
        """Decide by a hash with the issuer; for the bare PatientID's hash, by the object.

        If the object is gone, the hash decides if no issuer is given; otherwise the answer is UNCLEAR.
        """
        if marks.patient_hash in self._certain:
            return Verdict.THEIRS
        if marks.patient_hash not in self._bare:
            return Verdict.OTHERS
        seen = look()
        if seen is None or not seen.says_patient:
            return Verdict.UNCLEAR if self._certain else Verdict.THEIRS
        return self.verdict_of(seen)

    def verdict_of(self, identity: Identity | None) -> Verdict:
        """Decide by PatientID and issuer."""
        if identity is not None and not identity.says_patient:
            return Verdict.UNCLEAR
        return Verdict.THEIRS if identity and self._is_of(identity) else Verdict.OTHERS

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """Return the keyed hash if the row has none."""
        return {} if row.patient_hash else {NAMES["patient_hash"]: self.hash}

    def _is_of(self, identity: Identity) -> bool:
        if identity.patient_id not in self._ids:
            return False
        if identity.issuer not in self._issuers:
            self.issuers_seen.add(identity.issuer)
            return False
        return True


def _readings(text: str) -> set[str]:
    """Return the latin-1 readings that a person's input may have in a header, one a character set."""
    found = set()
    for name in CHARACTER_SETS:
        try:
            found.add(text.strip(" \0").encode(name).decode("latin-1").strip(" \0"))
        except UnicodeEncodeError:
            continue
    return found


def identity_of(client: S3Client, bucket: str, key: str, version_id: str, size: int) -> Identity | None:
    """Return an object version's patient and study, as far as its header can be read; pixels are not needed.

    None if it is gone or is not DICOM, UNREAD if S3 does not give it.
    """
    if size <= 0:  # S3 refuses a range of an empty object
        return None

    def head(length: int) -> bytes:
        with refusals(client, bucket, key, version_id, data_key_arn=""):
            return read_head(client, bucket, key, version_id, length)

    header: Header | None
    try:
        header = header_of(head, size)
    except Refusal as refusal:
        if refusal.code in NOT_GIVEN:
            return UNREAD
        if refusal.code in SAYING_NOTHING:
            return None
        header = refusal.header
    except ClientError as error:
        if error_code(error) not in DENIED and not error_code(error).startswith(OF_KMS):
            raise
        return UNREAD  # one object or all of them: each is named
    if header is None:
        return UNREAD
    seen = instances.describe(header)
    return Identity(
        seen.patient_id,
        seen.issuer_of_patient_id,
        header.text("StudyInstanceUID"),
        says_patient=header.has_passed("IssuerOfPatientID"),
        says_study=header.has_passed("StudyInstanceUID"),
    )
