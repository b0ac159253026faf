"""Heat pictures of closed studies, over the AWS in memory: which slices have one, and why others have none."""

from __future__ import annotations

import base64
import json
import logging
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from functions.aws.deliveries import Delivery, announced
from functions.aws.objects import Uploads
from functions.dicom_results.slice_pixels import LONGEST_SIDE, MOST_BYTES
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain.errors import Refusal, RefusalCode
from functions.flow.picturing import Picturing
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, NORMAL
from tests.fakes.wire import client_error
from tests.fakes.workflow import Workflow
from tests.fakes.world import RESULTS, UPLOADS
from tests.functions.dicom_results.rows import rows
from tests.functions.dicom_results.studies import OVER, PATIENT, read, slice_of, subject
from tests.functions.flow.test_delivering import Clinic

HOUNSFIELD = {"RescaleIntercept": -1024, "RescaleSlope": 1, "BurnedInAnnotation": "NO"}


def grid(hot: float = 9.0) -> dict[str, Any]:
    """Return an answer's Grid, 2 x 2: covid is hot at the upper right."""
    values = struct.pack("<12e", *[0.0] * 8, 0, hot, 0, 0)
    data = base64.b64encode(values).decode()
    return {
        "Classes": 3,
        "Rows": 2,
        "Columns": 2,
        "Encoding": "float16-le-base64",
        "Data": data,
        "Over": OVER.as_dict(),
    }


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def take(clinic: Clinic, *numbers: int, probabilities: dict[str, float] = LESION, **attributes: Any) -> Delivery:
    """Let a study be read and delivered; return what became of its last revision."""
    values = PATIENT | HOUNSFIELD | {"grid": grid()} | attributes
    clinic.deliver(*[clinic.send(n, probabilities, **values) for n in numbers])
    clinic.read()
    clinic.sweep()
    delivery = clinic.results()[-1]
    assert delivery
    return delivery


def test_each_slice_that_the_class_rests_on_has_a_picture(clinic: Clinic) -> None:
    delivery = take(clinic, 1, 2, 3, 4)
    assert sorted(delivery.keys) == ["card", "heat-1", "heat-2", "heat-3", "keys", "sr"]
    assert not delivery.undrawn
    stored = clinic.stored()
    sources = [stored[f"000001-heat-{n}.dcm"].SourceImageSequence[0].ReferencedSOPInstanceUID for n in (1, 2, 3)]
    document = clinic.document()
    assert sources == [one["SOPInstanceUID"] for one in document["Evidence"]["covid"]]
    (kept,) = clinic.deliveries.of_study(STUDY)
    assert kept.keys["heat-2"].endswith("/000001-heat-2.dcm")


def test_heat_is_where_the_answer_s_grid_says(clinic: Clinic) -> None:
    take(clinic, 1)
    picture = clinic.stored()["000001-heat-1.dcm"].pixel_array[:LONGEST_SIDE].mean(axis=2)
    quarters = [half.mean() for row in np.array_split(picture, 2) for half in np.array_split(row, 2, axis=1)]
    assert int(np.argmax(quarters)) == 1


def test_a_delivery_that_died_before_its_last_write_makes_the_same_bytes_again(clinic: Clinic) -> None:
    clinic.deliver(clinic.send(1, LESION, **PATIENT, **HOUNSFIELD, grid=grid()))
    clinic.read()
    clinic.sweep()
    (event,) = clinic.announced()
    bodies = []
    for _ in range(2):
        delivery = clinic.delivering.deliver(announced(event))
        assert delivery
        bodies.append(clinic.s3.objects.pop((RESULTS, delivery.keys["heat-1"])))
        clinic.deliveries.forget(STUDY, 1)
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("probabilities", [NORMAL, {"normal": 0.4, "cap": 0.3, "covid": 0.3}])
def test_a_study_of_the_reference_class_has_no_pictures(clinic: Clinic, probabilities: dict[str, float]) -> None:
    delivery = take(clinic, 1, 2, probabilities=probabilities)
    assert sorted(delivery.keys) == ["card", "keys", "sr"]
    assert delivery.undrawn == {"heat": NoPictureCode.NO_FINDING}


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"grid": None}, NoPictureCode.NO_GRID),
        ({"grid": {name: value for name, value in grid().items() if name != "Over"}}, NoPictureCode.NO_GRID),
        ({"BurnedInAnnotation": "YES"}, NoPictureCode.BURNED_IN),
        ({"BurnedInAnnotation": "PERHAPS"}, NoPictureCode.BURNED_IN),
        ({"PixelData": bytes(64)}, NoPictureCode.UNDECODABLE),
        ({"SamplesPerPixel": 3}, NoPictureCode.UNDECODABLE),
        ({"RescaleSlope": None}, NoPictureCode.UNDECODABLE),
        ({"BitsStored": 0}, NoPictureCode.UNDECODABLE),
    ],
)
def test_a_slice_without_a_picture_has_a_code_and_its_study_has_all_else(
    clinic: Clinic, attributes: dict[str, Any], code: NoPictureCode
) -> None:
    delivery = take(clinic, 1, **attributes)
    assert sorted(delivery.keys) == ["card", "keys", "sr"]
    assert delivery.undrawn == {"heat-1": code}
    assert [one.undrawn for one in clinic.deliveries.of_study(STUDY)] == [{"heat-1": code}]


def test_one_slice_without_a_picture_takes_none_from_the_others(clinic: Clinic) -> None:
    clinic.deliver(
        clinic.send(1, LESION, **PATIENT, **HOUNSFIELD, grid=grid()),
        clinic.send(2, LESION, **PATIENT, **(HOUNSFIELD | {"BurnedInAnnotation": "YES"}), grid=grid()),
        clinic.send(3, LESION, **PATIENT, **HOUNSFIELD, grid=grid()),
    )
    clinic.read()
    clinic.sweep()
    (delivery,) = clinic.results()
    assert delivery
    (missing,) = delivery.undrawn
    assert {*delivery.keys, missing} == {"sr", "card", "keys", "heat-1", "heat-2", "heat-3"}


def test_of_many_slices_three_have_pictures(clinic: Clinic) -> None:
    evidence = tuple(slice_of(1, n) for n in range(1, 6))
    many = subject(findings=tuple(replace(one, evidence=evidence) for one in read().findings))
    pictures = Picturing(results=clinic.delivering.results, originals=clinic.delivering.originals).pictures(
        many, rows()
    )
    assert not list(pictures.drawn)
    assert pictures.undrawn == dict.fromkeys(("heat-1", "heat-2", "heat-3"), NoPictureCode.NO_GRID)


def closed(clinic: Clinic, *numbers: int) -> str:
    """Let a study be read and closed; return the key of its document, which was not delivered yet."""
    clinic.deliver(*[clinic.send(n, LESION, **PATIENT, **HOUNSFIELD, grid=grid()) for n in numbers])
    clinic.read()
    clinic.sweep()
    (event,) = clinic.announced()
    return announced(event)


def changed(clinic: Clinic, number: int, **changes: Any) -> None:
    """Change attributes of the row of a slice."""
    (row,) = [one for one in clinic.rows() if one.instance_number == number]
    clinic.dynamodb.tables["index"][row.upload_id] |= changes


def test_a_slice_that_was_deleted_meanwhile_has_a_code(clinic: Clinic) -> None:
    key = closed(clinic, 1, 2)
    (row,) = [one for one in clinic.rows() if one.instance_number == 2]
    del clinic.s3.versions[UPLOADS, row.key, row.version_id]
    assert NoPictureCode.SLICE_GONE in delivered(clinic, key).undrawn.values()


def test_other_bytes_than_the_model_has_read_are_not_drawn(clinic: Clinic) -> None:
    key = closed(clinic, 1)
    changed(clinic, 1, ContentSHA256={"S": "0" * 64})
    assert delivered(clinic, key).undrawn == {"heat-1": NoPictureCode.OTHER_BYTES}


def test_a_large_object_is_not_fetched(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    key = closed(clinic, 1)
    changed(clinic, 1, Size={"N": str(MOST_BYTES + 1)})
    asked: list[int] = []
    head = Uploads.head

    def noted(uploads: Uploads, key: str, version: str, length: int) -> bytes:
        asked.append(length)
        return head(uploads, key, version, length)

    monkeypatch.setattr(Uploads, "head", noted)
    assert delivered(clinic, key).undrawn == {"heat-1": NoPictureCode.TOO_LARGE}
    assert MOST_BYTES not in asked


def test_an_answer_of_another_version_than_the_revision_s_is_not_drawn(clinic: Clinic) -> None:
    key = closed(clinic, 1)
    (row,) = clinic.rows()
    answer = json.loads(clinic.s3.objects[RESULTS, str(row.prediction_key)]) | {"ModelPackage": "wetread/99"}
    clinic.s3.objects[RESULTS, str(row.prediction_key)] = json.dumps(answer).encode()
    assert delivered(clinic, key).undrawn == {"heat-1": NoPictureCode.READ_AGAIN}


def test_an_answer_that_has_expired_has_a_code(clinic: Clinic) -> None:
    key = closed(clinic, 1)
    (row,) = clinic.rows()
    del clinic.s3.objects[RESULTS, str(row.prediction_key)]
    assert delivered(clinic, key).undrawn == {"heat-1": NoPictureCode.NO_GRID}


@pytest.mark.parametrize("operation", ["results", "uploads"])
def test_trouble_with_aws_is_tried_again(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    key = closed(clinic, 1)
    get = clinic.s3.get_object

    def fail(**request: Any) -> Any:
        if (operation == "uploads" and f"-{MOST_BYTES - 1}" in request["Range"]) or (
            operation == "results" and request["Key"].startswith("predictions/")
        ):
            raise client_error("SlowDown", 503)
        return get(**request)

    with monkeypatch.context() as patch:
        patch.setattr(clinic.s3, "get_object", fail)
        with pytest.raises(Exception, match="SlowDown"):
            clinic.delivering.deliver(key)
    assert "heat-1" in delivered(clinic, key).keys


def test_a_refusal_of_s3_is_a_code(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    key = closed(clinic, 1)
    head = Uploads.head

    def refused(uploads: Uploads, key: str, version: str, length: int) -> bytes:
        if length == MOST_BYTES:
            raise Refusal(RefusalCode.ARCHIVED, "It is archived.")
        return head(uploads, key, version, length)

    monkeypatch.setattr(Uploads, "head", refused)
    assert delivered(clinic, key).undrawn == {"heat-1": NoPictureCode.SLICE_GONE}


def test_pictures_of_a_withdrawn_version_are_rejected_too(clinic: Clinic) -> None:
    take(clinic, 1, 2)
    before = {one.SOPInstanceUID for one in clinic.stored().values()}
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    clinic.results()
    note = clinic.stored()["000002-rejection.dcm"]
    named = [one.ReferencedSOPSequence[0] for one in note.ContentSequence if "ReferencedSOPSequence" in one]
    assert {one.ReferencedSOPInstanceUID for one in named} == before
    assert len(before) == 5, "two pictures among them"


def test_pictures_of_a_study_that_is_erased_meanwhile_are_deleted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = closed(clinic, 1)
    write, written = clinic.delivering.results.write_bytes_once, []

    def erased_meanwhile(at: str, body: bytes, content_type: str) -> bool:
        if "heat" in at:
            written.append(at)
            for row in clinic.rows():
                clinic.dynamodb.tables["index"][row.upload_id]["Status"] = {"S": "Erased"}
        return write(at, body, content_type)

    monkeypatch.setattr(clinic.delivering.results, "write_bytes_once", erased_meanwhile)
    delivered(clinic, key)
    assert written
    assert not clinic.stored()


def test_a_picture_has_nothing_of_the_patient_in_the_table_or_the_log(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    take(clinic, 1, 2)
    tables = json.dumps(clinic.dynamodb.tables, default=str) + caplog.text
    assert not [one for one in ("QWX-4711", "Jörg", "19600101", "Referrer") if one in tables]


def delivered(clinic: Clinic, key: str) -> Delivery:
    """Return what becomes of a revision."""
    delivery = clinic.delivering.deliver(key)
    assert delivery
    return delivery
