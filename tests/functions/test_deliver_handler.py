"""The handler ``deliver``: events in, partial batch responses out, and its parts from its environment."""

from __future__ import annotations

import json

import pytest

from functions import deliver
from functions.dicom_results.stage import Kind, LabelCode
from functions.settings import DeliverSettings, to_environment
from tests.fakes.dicom import STUDY
from tests.functions.flow.test_delivering import Clinic

SETTINGS = DeliverSettings(
    index_table="index",
    batches_table="batches",
    studies_table="studies",
    results_bucket="results",
    uploads_bucket="uploads",
    results_kept_days=0,
    hidden_keys_table="keys",
    data_key_arn="",
    service_name="wetread",
    software="1.2.3",
    dicom_results=("sr", "keys"),
    dicom_manufacturer="Example Clinic",
    series_number_base=5000,
    label_codes=("covid=840539006 SCT COVID-19",),
)


def test_events_become_results_and_a_malformed_one_fails_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = Clinic()
    clinic.take(1)
    monkeypatch.setattr(deliver, "_delivering", lambda: clinic.delivering)
    unknown = json.dumps({"detail": {"ResultKey": "studies/0/000001-0.json"}})
    bodies = [*clinic.announced(), "not JSON", unknown]
    records = [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]
    assert deliver.handler({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    (delivery,) = clinic.deliveries.of_study(STUDY)
    assert delivery.keys.keys() == {"sr", "card", "keys"}
    done = [vars(record) for record in caplog.records if record.message == "delivered"]
    assert [one["code"] for one in done] == ["", "NoSuchRevision"]
    assert "QWX-4711" not in str([vars(record) for record in caplog.records])


def test_its_parts_are_those_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in to_environment(SETTINGS).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    parts = deliver._delivering.__wrapped__()
    assert parts.kinds == (Kind.SR, Kind.KEYS)
    assert parts.stage.codes == {"covid": LabelCode(value="840539006", scheme="SCT", meaning="COVID-19")}
    assert (parts.stage.identity, parts.stage.software) == ("results", "1.2.3")
    assert parts.stage.series_number(Kind.KEYS) == 5002
    assert parts.originals.keys is not None
