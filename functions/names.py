"""The names that the code and the template share: key prefixes, run documents, indexes, metrics.

Standard library only, since infra imports this module too.
"""

from __future__ import annotations

import enum

# Work bucket.
INSTANCES = "instances/"
BATCHES = "batches/"
OUTPUTS = "outputs/"
EXPRESS = "express/"  # and the name of a run in the express lane: its beginning and its end
# Results bucket.
PREDICTIONS = "predictions/"
STUDIES = "studies/"  # and the hash of a StudyInstanceUID: the documents of a study's revisions
DICOM_RESULTS = "dicom/"  # and the same hash: objects with a patient's name, which no other prefix has
# Models bucket.
ARTIFACTS = "artifacts/"
# Training bucket.
COHORTS = "cohorts/"
SLICES = "slices/"
RUNS = "runs/"
CHECKPOINTS = "checkpoints/"  # and the run id; before 2026-11-29 below the folder of a run
# Below the folder of a run, which is RUNS, the run id and a slash.
AUDIT = "audit/audit.json"
EVALUATION = "evaluation/evaluation.json"
REPORT = "evaluation/report.html"
AUDIT_REPORT = "audit/report.html"
CANDIDATE = "optimised/model.tar.gz"

# Batches table.
PATIENT = "PATIENT#"  # and the keyed hash: the runs that measured models on a patient

# A run id is this many leading hex digits of the SHA-256 of the execution's name: `layout.run_id` in Python, and
# `workflow_states.RUN` in the state machine.
RUN_ID_DIGITS = 12


# How SageMaker begins the reason of a job that failed by no fault of its objects. For the second that is only likely:
# SageMaker reports it too for a host that ended, which an object may have caused.
NO_CAPACITY, INTERNAL_ERROR = "CapacityError", "InternalServerError"


class IndexName(enum.Enum):
    """A global secondary index of the rows, with all attributes: its name, partition key and sort key."""

    BY_STUDY = ("ByStudy", "StudyInstanceUID", "ReceivedAt")
    BY_SERIES = ("BySeries", "SeriesInstanceUID", "ReceivedAt")
    BY_KEY = ("ByKey", "Key", "ReceivedAt")
    BY_STATUS = ("ByStatus", "Status", "ReceivedAt")
    BY_CLASS = ("ByClass", "PredictedClass", "CompletedAt")
    BY_JOB = ("ByJob", "TransformJobName", "ReceivedAt")
    BY_MODEL = ("ByModel", "ModelPackage", "CompletedAt")

    def __init__(self, title: str, partition: str, sort: str) -> None:
        self.title = title
        self.partition = partition
        self.sort = sort


# The index that only an erasure reads. Sparse, keys only, no sort key: an entry is written with its row or when the
# row's erasure begins, and not again when the row changes.
BY_PATIENT = "ByPatient"
PATIENT_HASH = "PatientHash"  # its partition key


class StudyIndexName(enum.Enum):
    """A global secondary index of the studies: its name, partition key and sort key. Sparse: only `#study` has these.

    BY_DUE has the open studies, for the sweep. The others are for people: the studies that were read, by class and all.
    """

    BY_DUE = ("ByDue", "Open", "DueAt")
    BY_CLASS = ("ByClass", "PredictedClass", "ClosedAt")
    BY_STATE = ("ByState", "State", "ClosedAt")

    def __init__(self, title: str, partition: str, sort: str) -> None:
        self.title = title
        self.partition = partition
        self.sort = sort


METRIC_NAMESPACE = "Wetread"
EVENT_SOURCE = "wetread"  # of the service's own events


class StudyEvent(enum.StrEnum):
    """The detail types of the service's own events."""

    READ = "Study Read"
    REVISED = "Study Read Revised"
    WITHDRAWN = "Study Read Withdrawn"  # an earlier answer, and perhaps replaced at once
    RESULTS = "Study Results Ready"  # the DICOM results of a revision are in the bucket


REVISION_EVENTS = (StudyEvent.READ, StudyEvent.REVISED, StudyEvent.WITHDRAWN)


class Metric(enum.StrEnum):
    """Every metric that the functions emit and the alarms watch. ``service`` is its only dimension."""

    UPLOADS_ACCEPTED = "UploadsAccepted"
    UPLOADS_REFUSED = "UploadsRefused"
    UPLOADS_NOT_TAKEN = "UploadsNotTaken"
    UPLOADS_COMPLETED = "UploadsCompleted"
    UPLOADS_FAILED = "UploadsFailed"
    JOBS_SUBMITTED = "JobsSubmitted"
    JOBS_FAILED = "JobsFailed"
    PENDING = "Pending"
    OLDEST_PENDING_SECONDS = "OldestPendingSeconds"
    SLOTS_BUSY = "SlotsBusy"
    MODEL_MISSING = "ModelMissing"
    BUDGET_REACHED = "BudgetReached"
    SWEEP_REPAIRS = "SweepRepairs"
    STUDIES_READ = "StudiesRead"
    OLDEST_OPEN_STUDY_SECONDS = "OldestOpenStudySeconds"
    CANDIDATES_PROMOTED = "CandidatesPromoted"
    CANDIDATES_REJECTED = "CandidatesRejected"
    APPROVALS_REFUSED = "ApprovalsRefused"
