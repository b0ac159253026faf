"""Whom an erasure is about, and whether something is theirs: by the keyed hash that rows have, or by the object itself.

A row's hash alone does not always say it. Rows that were written before issuers were read have the hash of the bare
PatientID, whatever the object's issuer; so of these the object is read, while there is one.
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
from functions.domain.header import Header, header_of
from functions.domain.instance import as_uid
from functions.domain.row import NAMES, Row
from functions.names import IndexName
from wetread.problems import ConfigProblem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A header's text is taken as its bytes say, whatever its character set. What a person types is looked for in each that
# DICOM PS3.3 C.12.1.1.2 defines and that has the characters.
CHARACTER_SETS = (
    *("latin-1", *(f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 11, 15)), "shift_jis", "iso2022_jp"),
    *("iso2022_jp_2", "euc_kr", "iso2022_kr", "gb2312", "gbk", "gb18030", "utf-8"),
)

SAYING_NOTHING = frozenset({RefusalCode.NOT_DICOM, RefusalCode.EMPTY, RefusalCode.OBJECT_GONE})
NOT_GIVEN = frozenset({RefusalCode.ARCHIVED, RefusalCode.CUSTOMER_KEY, RefusalCode.FOREIGN_KEY})


class Verdict(enum.Enum):
    """Whose something is."""

    THEIRS = "theirs"
    OTHERS = "another's"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Identity:
    """What an object says of whom it is, as a header's text is taken.

    ``says_patient`` and ``says_study`` are False where the object could not be read so far.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    study: str = field(repr=False)  # not mapped: its row may have it by the stage's key or, an older one, without
    says_patient: bool = True
    says_study: bool = True


UNREAD = Identity("", "", "", says_patient=False, says_study=False)


@dataclass(frozen=True)
class Marks:
    """What a row, or an entry of a snapshot, keeps of whom it is."""

    patient_hash: str
    study_instance_uid: str


Look = Callable[[], Identity | None]
"""Reads the object that something came from; None for one that is gone or is no DICOM object."""


class Subject(Protocol):
    """A patient or a study."""

    kind: str
    hash: str

    def upload_ids(self, index: Index) -> Iterator[str]:
        """The Uploads that the index has of them; some may be another's."""

    def judge(self, marks: Marks, look: Look) -> Verdict:
        """Whose a row or an entry of a snapshot is; ``look`` is asked only where its hash does not say."""

    def verdict_of(self, identity: Identity | None) -> Verdict:
        """Whose an object is; nobody's that may be theirs is another's, and None is."""

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """The attributes by which a row of theirs is found, that this one lacks, with their values."""


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
        """The Uploads of the study."""
        for uid in dict.fromkeys(self._uids):
            start = None
            while True:
                page = index.query(IndexName.BY_STUDY, uid, start=start)
                yield from (row.upload_id for row in page.rows)
                start = page.next
                if start is None:
                    break

    def judge(self, marks: Marks, _look: Look) -> Verdict:
        """Theirs by the UID; nobody need look."""
        return Verdict.THEIRS if marks.study_instance_uid in self._uids else Verdict.OTHERS

    def verdict_of(self, identity: Identity | None) -> Verdict:
        """Theirs by the StudyInstanceUID, as ingest maps it or did."""
        if identity is None:
            return Verdict.OTHERS
        if set(self._mapped(identity.study)) & set(self._uids):
            return Verdict.THEIRS
        return Verdict.OTHERS if identity.says_study else Verdict.UNCLEAR

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """The StudyInstanceUID, of a row without one."""
        return {} if row.study_instance_uid else {NAMES["study_instance_uid"]: self._uid}

    def _mapped(self, text: str) -> tuple[str, str]:
        """The StudyInstanceUID that rows have for a text, and that rows from before 2026-11-28 have."""
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
        """The Uploads with the patient's hash, and with that of the bare PatientID."""
        for one in sorted(self._certain | self._bare):
            yield from index.of_patient(one)

    def judge(self, marks: Marks, look: Look) -> Verdict:
        """Theirs by a hash with the issuer; of the bare PatientID's hash the object decides.

        Where it is gone, the hash decides if no issuer is asked for, and otherwise nobody can say.
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
        """Theirs by PatientID and issuer."""
        if identity is not None and not identity.says_patient:
            return Verdict.UNCLEAR
        return Verdict.THEIRS if identity and self._is_of(identity) else Verdict.OTHERS

    def marks_lacking(self, row: Row) -> dict[str, str]:
        """The keyed hash, of a row without one."""
        return {} if row.patient_hash else {NAMES["patient_hash"]: self.hash}

    def _is_of(self, identity: Identity) -> bool:
        if identity.patient_id not in self._ids:
            return False
        if identity.issuer not in self._issuers:
            self.issuers_seen.add(identity.issuer)
            return False
        return True


def _readings(text: str) -> set[str]:
    """What a header's text may be for what a person types, by its character set."""
    found = set()
    for name in CHARACTER_SETS:
        try:
            found.add(text.strip(" \0").encode(name).decode("latin-1").strip(" \0"))
        except UnicodeEncodeError:
            continue
    return found


def identity_of(client: S3Client, bucket: str, key: str, version_id: str, size: int) -> Identity | None:
    """What an object version says of whom it is, as far as its header can be read and whether or not it has pixels.

    None for one that is gone or is no DICOM object, UNREAD for one that S3 does not give.
    """
    if size <= 0:  # S3 has no range of it
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
        return UNREAD  # of this object alone, or of all: each is named
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
