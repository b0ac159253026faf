"""A service in memory with two patients, for tests that erase one of them."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

from functions.aws.keys import Keys
from functions.domain import layout
from functions.domain.row import Row
from tests.fakes.dicom import ct
from tests.fakes.workflow import TRAINING, Workflow, entry
from tests.fakes.world import MODELS, RESULTS, UPLOADS, WORK, World, answer
from wetread.erasure.erasure import Erased, Erasing
from wetread.erasure.subjects import Patient, Study, Subject

ARN = "arn:aws:iam::111111111111:user/eraser"
THEIRS, OTHERS = "1.2.77", "1.2.88"


class DeadLetters:
    """A dead letter queue that hides received messages."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = list(bodies)
        self.shown = False

    def receive_message(self, **_: Any) -> Any:
        messages = [{"Body": body, "ReceiptHandle": body} for body in self.bodies if not self.shown]
        self.shown = True
        return {"Messages": messages}

    def delete_message(self, **request: Any) -> None:
        self.bodies.remove(request["ReceiptHandle"])


class Clinic:
    """A service in memory with two patients: one to be erased, and another one."""

    def __init__(self, world: World | None = None) -> None:
        self.workflow = Workflow(world)
        self.world = self.workflow.world
        self.world.set_champion()
        self.letters = DeadLetters()
        self.running: list[str] = []
        deployment = SimpleNamespace(
            uploads_bucket_name=UPLOADS,
            work_bucket_name=WORK,
            results_bucket_name=RESULTS,
            models_bucket_name=MODELS,
            training_bucket_name=TRAINING,
            batches_table_name="batches",
            dead_letter_queue_urls=["https://sqs/dead"],
        )
        clients = self.world.clients
        self.connection: Any = SimpleNamespace(
            deployment=deployment,
            index=self.world.index,
            studies=self.world.studies,
            keys=Keys(clients["dynamodb"], "keys", self.patients),
            s3=clients["s3"],
            sqs=self.letters,
            dynamodb=clients["dynamodb"],
            registry=self.workflow.registry,
            champions=self.world.champions,
            caller_arn=ARN,
            runs=SimpleNamespace(running=lambda: [SimpleNamespace(run_id=run) for run in self.running]),
        )

    @property
    def patients(self) -> Any:
        return self.world.ingesting.patients

    def take(self, key: str, version: str = "v1", **attributes: Any) -> Row:
        """Upload an object and ingest it."""
        number = len(self.world.s3.versions)
        body = ct(**{"SOPInstanceUID": f"1.2.9.{number}", "PixelData": number.to_bytes(128, "big"), **attributes})
        return self.world.ingesting.take(self.world.upload(key, body, version))

    def read(self) -> str:
        """Run a job on the waiting uploads to its end; return its name."""
        self.world.wait(300)
        (name,) = self.world.dispatching.run()
        self.world.sagemaker.end(name, answer)
        self.world.collecting.collect(name)
        return name

    def erasing(self, subject: Subject | None = None, **options: Any) -> Erasing:
        subject = subject or Patient("P-1", "", self.patients)
        return Erasing(self.connection, subject, **{"settled_seconds": 0, "sleep": lambda _: None, **options})

    def erase(self, subject: Subject | None = None) -> Erased:
        return self.erasing(subject).erase(lambda _rows: None)

    def erase_until(self, writes: int, subject: Subject | None = None) -> None:
        """Erase, interrupted after so many writes."""
        left = [writes]

        def interfere(operation: str, when: str) -> None:
            if when == "after" and operation.startswith(("delete", "put", "update")):
                left[0] -= 1
                if not left[0]:
                    raise KeyboardInterrupt

        for wire in self.world.clients.values():
            wire.interfere = interfere
        with contextlib.suppress(KeyboardInterrupt):
            self.erase(subject)
        for wire in self.world.clients.values():
            wire.interfere = lambda *_: None

    def everything(self) -> dict[Any, Any]:
        """Return all that buckets and tables hold."""
        s3, tables = self.world.s3, self.world.dynamodb.tables
        found: dict[Any, Any] = {**s3.objects, **s3.versions}
        found |= {(table, key): dict(item) for table, items in tables.items() for key, item in items.items()}
        return found

    def record(self) -> dict[str, Any]:
        (item,) = (item for key, item in self.world.dynamodb.tables["batches"].items() if key.startswith("ERASURE#"))
        return item


def two_patients() -> Clinic:
    """Both with results, waiting uploads, refused ones, a shared key, and older versions."""
    clinic = Clinic()
    for patient, study in (("P-1", THEIRS), ("P-2", OTHERS)):
        uids = {"PatientID": patient, "StudyInstanceUID": study}
        clinic.take(f"{patient}/read.dcm", **uids)
        clinic.take(f"{patient}/read.dcm", "v2", **uids)
        clinic.take("shared.dcm", f"of-{patient}", **uids)
        clinic.take(f"{patient}/refused.dcm", Modality="MR", **uids)
    clinic.read()
    for patient, study in (("P-1", THEIRS), ("P-2", OTHERS)):
        clinic.take(f"{patient}/waiting.dcm", PatientID=patient, StudyInstanceUID=study)
    clinic.world.s3.markers |= {(UPLOADS, "P-1/read.dcm", "m1"), (UPLOADS, "shared.dcm", "m2")}
    clinic.world.s3.parts += [(UPLOADS, "P-1/read.dcm", "part-1"), (UPLOADS, "P-2/read.dcm", "part-2")]
    return clinic


def traces(clinic: Clinic, *texts: str) -> list[Any]:
    return [
        where
        for where, what in clinic.everything().items()
        if any(text in repr(where) or text.encode() in (what if isinstance(what, bytes) else repr(what).encode())
               for text in texts)
    ]  # fmt: skip


def old_row(clinic: Clinic, key: str, **attributes: Any) -> Row:
    """Return a row as it was written before issuers were read."""
    row = clinic.take(key, **attributes)
    item = clinic.world.dynamodb.tables["index"][row.upload_id]
    item["PatientHash"] = {"S": clinic.patients.hash_of(attributes["PatientID"])}
    return row


REPORT = ct(PatientID="P-1", StudyInstanceUID=THEIRS, PixelData=None, Modality="SR")
CUT = ct(PatientID="P-1", StudyInstanceUID=THEIRS)[:-8209]


def subject_of(clinic: Clinic, *, by_study: bool) -> Subject:
    return Study(THEIRS, clinic.patients) if by_study else Patient("P-1", "", clinic.patients)


def put_cohort_of_both(clinic: Clinic, manifest: str = "manifest.json") -> dict[str, Any]:
    """Run the Snapshot state on a cohort with slices of both; return its answer."""
    clinic.workflow.put_cohort()
    entries = json.loads(clinic.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    for number in range(4):
        patient, study = (("P-1", THEIRS), ("P-2", OTHERS))[number % 2]
        uids = {"PatientID": patient, "StudyInstanceUID": study, "SOPInstanceUID": f"1.2.66.{number}"}
        clinic.workflow.put(f"{patient}-{number}.dcm", ct(**uids))
        entries.append(entry(f"{patient}-{number}.dcm", "cap"))
    if manifest == "labels.csv":
        lines = ["filename,label", *(f'"{one["filename"]}",{one["content"]["label"]}' for one in entries)]
        clinic.world.s3._delete((TRAINING, "cohorts/c/manifest.json"), "m1")
        clinic.workflow.put("labels.csv", "\n".join(lines).encode(), "m2")
        uri = layout.uri(TRAINING, "cohorts/c/labels.csv")
    else:
        uri = clinic.workflow.put_manifest(entries, "m2")
        clinic.world.s3._delete((TRAINING, "cohorts/c/manifest.json"), "m1")
    taken = clinic.workflow.take(uri)
    assert taken["Taken"], taken
    return taken


def old_refused(clinic: Clinic, key: str, body: bytes, **changes: str) -> Row:
    """Return a row as it was written before refused objects were described."""
    row = clinic.world.ingesting.take(clinic.world.upload(key, body))
    item = clinic.world.dynamodb.tables["index"][row.upload_id]
    for name in ("PatientHash", "StudyInstanceUID", "SeriesInstanceUID"):
        item.pop(name, None)
    item.update({name: {"S": value} for name, value in changes.items()})
    return row
