"""A read of a study leaves a stage that asks for all ways out: by event, webhook, FHIR, DICOM; and is recalled."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from functions.aws.deliveries import Deliveries, Delivery
from functions.names import EVENT_SOURCE
from localcloud import cloud
from tests.e2e.bell import Bell
from tests.e2e.conftest import Service, running
from tests.e2e.test_studies import document, study_of, until, wait_for
from tests.fakes.receiver import Receiver, receiving
from tests.phi_leak import with_elements
from wetread.demo.phantoms import phantom_bytes
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
SLICES = 3
PATIENT = {
    "PatientName": "Qwx^Zwelda",
    "PatientID": "QWX-4711",
    "PatientBirthDate": "19210913",
    "AccessionNumber": "QWXACC-0815",
    "ImageComments": "Qwx comment",
}
SECRET = "Bearer of the webhook"
REASON = "Qwx: a trial of the recall"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("ways-out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WETREAD_HOME", str(home))
        secrets = cloud.start(PROJECT, tether=True).session().client("secretsmanager")
    settings = {
        "dicom_results": ["sr"],
        "fhir_results": True,
        "urgent_labels": ["normal", "cap", "covid"],
        "webhook_url": "https://hospital.example/wetread",
        "webhook_secret_arn": secrets.create_secret(Name="webhook", SecretString=SECRET)["ARN"],
    }
    with running(home, artifact, settings=settings) as service:
        yield service


@pytest.fixture
def receiver(asked: Service) -> Iterator[Receiver]:
    """The webhook's receiver, on this machine: the address in the settings must be a public one."""
    events = asked.connection.client("events")
    (destination,) = events.list_api_destinations()["ApiDestinations"]
    with receiving() as receiver:
        events.update_api_destination(Name=destination["Name"], InvocationEndpoint=receiver.url)
        yield receiver


class Heard:
    """A rule of a user's own, with a queue as its target."""

    def __init__(self, service: Service) -> None:
        events, self._sqs = service.connection.client("events"), service.connection.sqs
        self._service = service
        self._queue = self._sqs.create_queue(QueueName="worklist")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        pattern = {"source": [EVENT_SOURCE], "detail-type": [{"prefix": "Study Read"}]}
        events.put_rule(Name="worklist", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="worklist", Targets=[{"Id": "queue", "Arn": arn}])
        self.events: list[dict[str, Any]] = []

    def numbered(self, revision: int) -> dict[str, Any]:
        """Wait for the event of a revision."""
        return dict(until(lambda: self._find(revision), self._service))

    def _find(self, revision: int) -> dict[str, Any] | None:
        for message in self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            self.events.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return next((one for one in self.events if one["detail"]["Revision"] == revision), None)


def delivered(service: Service, study: str, revision: int) -> Delivery:
    """Wait until something became of the DICOM results of a revision."""
    deliveries = Deliveries(service.connection.dynamodb, service.connection.deployment.studies_table_name)
    found: Delivery = until(
        lambda: next((one for one in deliveries.of_study(study) if one.revision == revision), None), service
    )
    return found


def read(service: Service, key: str) -> bytes:
    bucket = service.connection.deployment.results_bucket_name
    return bytes(service.connection.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def dicom(service: Service, key: str) -> Dataset:
    return dcmread(io.BytesIO(read(service, key)))


def slices() -> dict[str, bytes]:
    """Return the slices of a study with a patient who must not be named."""
    bodies = (phantom_bytes("covid", 801, n, size=128, seed=5) for n in range(SLICES + 1))
    return {f"out/{n}.dcm": with_elements(body, PATIENT) for n, body in enumerate(bodies)}


def of_kind(receiver: Receiver, kind: str) -> list[dict[str, Any]]:
    """Return the details of the events of a kind that were posted."""
    return [body["detail"] for body in receiver.bodies if body["detail-type"] == kind]


def packed_again(artifact: Path, folder: Path) -> Path:
    """Return another archive of the same model."""
    again = folder / "model.tar.gz"
    again.write_bytes(gzip.compress(gzip.decompress(artifact.read_bytes())))
    return again


def test_a_read_goes_out_is_revised_and_is_recalled(asked: Service, receiver: Receiver, tmp_path: Path) -> None:
    registry, heard, bell = asked.connection.registry, Heard(asked), Bell(asked)
    bell.listen()
    version = registry.register(packed_again(asked.artifact, tmp_path)).model_package
    registry.promote(version)
    bodies = slices()
    late = {"out/late.dcm": bodies.pop(f"out/{SLICES}.dcm")}

    receiver.answers = [500, 200]
    study = study_of(asked.rows(asked.put_all(bodies)))
    first = document(asked, wait_for(asked, study, 1))
    event = heard.numbered(1)
    assert (event["detail-type"], event["detail"]["Class"]) == ("Study Read", first["Class"])
    assert event["detail"]["Priority"] == "Urgent"
    bundle = json.loads(read(asked, event["detail"]["FhirKey"]))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    until(lambda: len(of_kind(receiver, "Study Read")) == 2, asked)
    assert of_kind(receiver, "Study Read") == [event["detail"]] * 2
    (ready,) = until(lambda: of_kind(receiver, "Study Results Ready"), asked)
    assert {headers["Authorization"] for headers, _body in receiver.posts} == {SECRET}
    assert ready["Keys"] == [delivered(asked, study, 1).keys["sr"]]
    report = dicom(asked, ready["Keys"][0])
    assert report.PatientName == PATIENT["PatientName"]

    asked.rows(asked.put_all(late))
    wait_for(asked, study, 2)
    assert heard.numbered(2)["detail-type"] == "Study Read Revised"
    second = dicom(asked, delivered(asked, study, 2).keys["sr"])

    receiver.answers = [400]
    back = asked.command("model", "rollback", "--yes", "--reason", REASON)
    assert back.returncode == 0, back.stderr
    third = document(asked, wait_for(asked, study, 3))
    assert (third["Code"], third["Class"], third["Withdraws"]["Revision"]) == ("Withdrawn", None, 2)
    delivery = delivered(asked, study, 3)
    note = dicom(asked, delivery.keys["rejection"])
    assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
    (evidence,) = note.CurrentRequestedProcedureEvidenceSequence
    rejected = {
        one.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert rejected == {report.SOPInstanceUID, second.SOPInstanceUID}
    with bell.hastened("WebhookDeadLetters"):
        bell.rings("WebhookDeadLetters")
    (queue,) = (one for one in asked.connection.sqs.list_queues()["QueueUrls"] if "WebhookDeadLetters" in one)
    (message,) = asked.connection.sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["detail"]["Revision"] == 3

    said = [*heard.events, *receiver.bodies, first, third, bundle]
    for one in said:
        text = json.dumps(one, ensure_ascii=False)
        assert [name for name, value in PATIENT.items() if value in text] == []
        assert REASON not in text
    assert all(study not in json.dumps(one) for one in (*heard.events, *receiver.bodies))
