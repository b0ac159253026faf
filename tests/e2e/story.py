"""Send the markers through every path of the service, and keep the command line's output."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from functions.domain import layout
from functions.domain.row import Row
from functions.names import COHORTS
from tests.e2e import places
from tests.e2e.conftest import Service
from tests.e2e.places import KEYS_ALLOWED, Place
from tests.phi_leak import AS, IN_AN_OBJECT_EACH, KEY, MARKERS, number_of, planted, spoilt, with_elements
from wetread.demo.defects import DEFECTS
from wetread.demo.phantoms import LABELS, phantom_bytes, write_cohort

QUICK = ("--set", "epochs=1", "--set", "image_size=64", "--set", "batch_size=8")
# For a cohort on which no candidate can pass: the run is carried to its end all the same.
SMALL = ("--accept-risk", "TooFewPatients", "--accept-risk", "TooFewToCompare")


@dataclass
class Story:
    """A service that processed the markers, its rows, and the command line's output."""

    service: Service
    scratch: Path
    notices: str
    rows: dict[str, Row] = field(default_factory=dict)
    printed: list[Place] = field(default_factory=list)
    endpoint: list[Place] = field(default_factory=list)

    def command(self, *arguments: str, asked_by_key: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command and keep its output; only a query by key may print keys."""
        done = self.service.command(*arguments)
        allowed = KEYS_ALLOWED if asked_by_key else frozenset()
        said = (done.stdout + done.stderr).encode()
        self.printed.append(Place(f"printed/{' '.join(arguments[:1])}", said, allowed))
        return done


def listening_queue(service: Service) -> str:
    """Return a queue that receives the notices to people about runs."""
    connection = service.connection
    (topic,) = [
        one["TopicArn"] for one in connection.client("sns").list_topics()["Topics"] if "Notice" in one["TopicArn"]
    ]
    queue = connection.sqs.create_queue(QueueName="listening")["QueueUrl"]
    arn = connection.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    connection.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    connection.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def upload(story: Story) -> None:
    """Upload good objects, every defect, one overwritten and deleted at once, and one gone before ingest."""
    service = story.service
    bodies = {f"{MARKERS[KEY]}/good-{n}.dcm": marked(n) for n in range(3)}
    # An ImageType with a text counts as derived, and then the object does not count for its study; what may have text
    # in its pixels has no heat picture.
    counted = {"ImageType": r"ORIGINAL\PRIMARY\AXIAL", "BurnedInAnnotation": "NO"}
    bodies |= {f"{MARKERS[KEY]}/counted-{n}.dcm": with_elements(marked(60 + n), counted) for n in range(3)}
    bodies |= {f"{MARKERS[KEY]}/{one.name}.dcm": one.spoil(marked(10 + n)) for n, one in enumerate(DEFECTS)}
    bodies |= {f"{MARKERS[KEY]}/{keyword} as {form}.dcm": body for keyword, form, body in spoilt(marked(39))}
    uploads = {key: put(service, key, body) for key, body in bodies.items()}
    fleeting = f"{MARKERS[KEY]}/fleeting.dcm"
    uploads |= {f"{fleeting} {n}": put(service, fleeting, marked(40 + n)) for n in range(2)}
    bucket = service.connection.deployment.uploads_bucket_name
    service.connection.s3.delete_object(Bucket=bucket, Key=fleeting)
    uploads |= {key: put(service, key, body) for key, body in markers_of_studies()}
    uploads["gone"] = announce_what_is_gone(service, f"{MARKERS[KEY]}/gone.dcm")
    story.rows = service.rows(uploads)


def markers_of_studies() -> Iterator[tuple[str, bytes]]:
    """Yield senders' markers, with the patient's texts where nothing is read, and where a UID is expected."""
    named = {"SeriesInstanceUID": "1.2.840.99.1", "NumberOfInstances": 1, "SeriesDescription": MARKERS["PatientName"]}
    good = {"Schema": "complete/1", "StudyInstanceUID": "1.2.840.99", "Series": [named], "Patient": dict(MARKERS)}
    bad = good | {"StudyInstanceUID": MARKERS["PatientName"]}
    for name, document in (("good", good), ("bad", bad)):
        yield f"{MARKERS[KEY]}/{name}.complete.json", json.dumps(document).encode()


def marked(patient: int) -> bytes:
    """Return one slice with the markers."""
    return planted(phantom_bytes(LABELS[patient % 3], 600 + patient, 0, size=96, seed=17), f"-{patient}")


def put(service: Service, key: str, body: bytes) -> str:
    """Upload with metadata and a tag, as some exporters do."""
    bucket, said = service.connection.deployment.uploads_bucket_name, MARKERS["metadata"]
    answer = service.connection.s3.put_object(
        Bucket=bucket, Key=key, Body=body, Metadata={"patient": said}, Tagging=f"patient={said}"
    )
    return layout.upload_id(key, answer["VersionId"])


def announce_what_is_gone(service: Service, key: str) -> str:
    """Send S3's event of a version that is gone."""
    bucket = service.connection.deployment.uploads_bucket_name
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "size": 9, "version-id": "0123", "sequencer": "01"}}
    event = {"time": "2026-11-26T00:00:00Z", "detail-type": "Object Created", "detail": detail}
    service.connection.sqs.send_message(QueueUrl=service.queue_url("Uploads"), MessageBody=json.dumps(event))
    return layout.upload_id(key, "0123")


def submit(story: Story, folder: Path) -> None:
    """Submit by the command line a folder and files named after the patient."""
    export = folder / MARKERS[KEY]
    export.mkdir()
    (export / f"{MARKERS[KEY]}.dcm").write_bytes(marked(50))
    (export / "spoilt.dcm").write_bytes(DEFECTS[-3].spoil(marked(51)))
    assert story.command("submit", str(export), "--wait", asked_by_key=True).returncode == 1


def labelled(folder: Path) -> Path:
    """Write a cohort with the markers, its files and folder named after the patient."""
    cohort = folder / MARKERS[KEY]
    written = write_cohort(cohort, patients=30, slices_per_patient=1, size=96)
    entries = json.loads((cohort / "manifest.json").read_text())
    for number, (one, entry) in enumerate(zip(written, entries, strict=True)):
        entry["filename"] = f"{MARKERS[KEY]} {number}.dcm"
        (cohort / entry["filename"]).write_bytes(planted(one.path.read_bytes(), f"-{number}"))
        one.path.unlink()
    (cohort / "manifest.json").write_text(json.dumps(entries))
    return cohort


def train(story: Story, cohort: Path) -> None:
    """Run the workflow to the model gate, and read its report."""
    # The person who has the labels at hand is shown the files that reasons are about.
    story.command("train", "--labels", str(cohort), "--wait", *QUICK, *SMALL, asked_by_key=True)
    run = story.service.connection.runs.newest(1)[0]
    assert run.output["EvaluationUri"], run
    story.command("runs", run.run_id, "--report", str(cohort.parent / "report.html"))


def experiment(story: Story, cohort: Path) -> str:
    """Run an experiment on the cohort to its end, and register its artifact as a version."""
    done = story.command("experiment", "--labels", str(cohort), *QUICK)
    assert done.returncode == 0, done.stderr
    uri = done.stdout.strip()
    assert story.command("model", "register", uri).returncode == 0
    return uri


def ask_an_endpoint(story: Story, artifact: str, folder: Path) -> None:
    """Invoke a real-time endpoint with that artifact on good objects and every defect, and delete it."""
    export = folder / MARKERS[KEY]
    export.mkdir()
    asked_about = {"good": marked(70), **{one.name: one.spoil(marked(71)) for one in DEFECTS}}
    asked_about |= {f"{keyword} as {form}": body for keyword, form, body in spoilt(marked(72))}
    for name, body in asked_about.items():
        (export / f"{MARKERS[KEY]} {name}.dcm").write_bytes(body)
    files = [str(path) for path in sorted(export.iterdir())]
    assert story.command("endpoint", "up", "--artifact", artifact).returncode == 0
    try:
        asked = story.command("endpoint", "invoke", *files, asked_by_key=True)
        assert asked.returncode == 1, "the defects cannot be read"
        story.command("endpoint", "invoke", *files, "--json", asked_by_key=True)
        story.endpoint += places.endpoint(story.service.connection)
    finally:
        assert story.command("endpoint", "down").returncode == 0


SEEN_BY_THE_CONTAINER_ALONE = (
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"),
)


def train_on_spoilt_slices(story: Story, cohort: Path) -> None:
    """Train on slices with markers in deciding elements: those that ingest reads, and those that it does not."""
    for alone in (False, True):
        folder = cohort.parent / f"spoilt {alone}"
        shutil.copytree(cohort, folder)
        kinds = [
            (keyword, form)
            for keyword in IN_AN_OBJECT_EACH
            for form in ("text", "code", "digits")
            if (keyword in SEEN_BY_THE_CONTAINER_ALONE) is alone
        ]
        for file, (keyword, form) in zip(sorted(folder.glob("*.dcm")), kinds, strict=False):
            file.write_bytes(with_elements(file.read_bytes(), {keyword: AS[form](number_of(keyword))}))
        assert story.command("train", "--labels", str(folder), "--wait", *QUICK, asked_by_key=True).returncode == 1


def train_on_bad_labels(story: Story, cohort: Path) -> None:
    """Train on labels with a patient in the column of classes, of splits, and instead of the header."""
    bad = cohort.parent / "bad"
    shutil.copytree(cohort, bad)
    entries = json.loads((bad / "manifest.json").read_text())
    entries[0]["content"]["label"] = MARKERS["label"]
    entries[1]["split"] = MARKERS["PatientName"]
    entries[2]["filename"] = f"{MARKERS[KEY]} absent.dcm"
    uri = store(story.service, "bad/manifest.json", json.dumps(entries).encode())
    no_header = f"{MARKERS['PatientName']},{MARKERS['label']}\n{MARKERS['PatientID']},covid\n".encode()
    for labels in (uri, store(story.service, "bad/labels.csv", no_header)):
        assert story.command("train", "--labels", labels, "--wait").returncode == 1
        assert story.command("experiment", "--labels", labels, *QUICK).returncode == 1
    (bad / "manifest.json").write_text(json.dumps(entries))
    assert story.command("train", "--labels", str(bad), asked_by_key=True).returncode == 2


def store(service: Service, name: str, body: bytes) -> str:
    """Put a labels file into the training bucket; return its URI."""
    bucket, key = service.connection.deployment.training_bucket_name, f"{COHORTS}{name}"
    service.connection.s3.put_object(Bucket=bucket, Key=key, Body=body)
    return layout.uri(bucket, key)


def ask(story: Story) -> None:
    """Run the queries of people."""
    version = story.service.connection.registry.versions()[0].model_package
    for arguments in (
        ("status",),
        ("runs",),
        ("runs", "--json"),
        ("doctor",),
        ("model", "list"),
        ("model", "show", version),
    ):
        story.command(*arguments)
    for arguments in (("results",), ("results", "--json"), ("results", "--csv")):
        story.command(*arguments, asked_by_key=True)
