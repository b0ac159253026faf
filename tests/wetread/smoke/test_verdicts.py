"""Each probe's verdict, from answers as AWS would give them."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest

from functions.domain.row import Row, Status
from functions.domain.slices import Split
from tests.fakes.wire import client_error
from wetread.smoke import account
from wetread.smoke.phantoms import Marks, Upload, lengthened, slice_of, uploads, write_cohort
from wetread.smoke.table import Verdict
from wetread.smoke.training import hash_line
from wetread.smoke.uploads import outputs_line, row_line, timing_line

MARKS = Marks("0a1b2c3d", "2.25.1")
GOOD = Upload("R6", "limit.dcm", b"bytes", Status.COMPLETED)
ROW = Row(
    upload_id="1",
    updated_at="2026-11-29T00:00:00.000Z",
    status=Status.COMPLETED,
    content_sha256=hashlib.sha256(b"bytes").hexdigest(),
)


def connection(image_uri: str = "", **clients: Any) -> Any:
    deployment = SimpleNamespace(image_uri=image_uri, alarm_topic_arn="arn:topic", models_bucket_name="models")
    deployment.training_state_machine_arn = "arn:machine"
    return SimpleNamespace(stack="Wetread", deployment=deployment, client=lambda name: clients[name], **clients)


def pages(**answer: Any) -> Any:
    return lambda _operation: SimpleNamespace(paginate=lambda **_: [answer])


@pytest.mark.parametrize(
    ("changes", "has_champion", "verdict"),
    [
        ({}, True, Verdict.OK),
        ({"content_sha256": "00"}, True, Verdict.FAILED),
        ({"content_sha256": None}, True, Verdict.FAILED),
        ({"status": Status.FAILED, "code": "TooLarge"}, True, Verdict.FAILED),
        ({"status": Status.REFUSED, "code": "TooLarge", "content_sha256": None}, False, Verdict.FAILED),
        ({"status": Status.PENDING}, False, Verdict.LATER),
        ({"status": Status.PENDING}, True, Verdict.FAILED),
    ],
)
def test_a_row_is_what_its_object_deserves(changes: dict[str, Any], has_champion: bool, verdict: Verdict) -> None:
    assert row_line(GOOD, replace(ROW, **changes), has_champion=has_champion).verdict == verdict


def test_the_copy_of_an_object_in_parts_is_judged_without_a_champion() -> None:
    pending = replace(ROW, status=Status.PENDING)
    in_parts = replace(GOOD, in_parts=True)
    assert row_line(in_parts, pending, has_champion=False).verdict == Verdict.OK
    wrong = replace(pending, content_sha256="00")
    assert row_line(in_parts, wrong, has_champion=False).verdict == Verdict.FAILED


def test_an_upload_without_a_row_fails() -> None:
    assert row_line(GOOD, None, has_champion=True).verdict == Verdict.FAILED


def test_the_times_of_a_job_are_said_with_their_differences() -> None:
    start = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)
    times = {"CreationTime": start, "TransformStartTime": start + timedelta(seconds=150)}
    times["TransformEndTime"] = start + timedelta(seconds=180)
    line = timing_line({"TransformJobName": "j", "TransformJobStatus": "Completed", **times})
    assert line.verdict == Verdict.OK
    assert line.seen.endswith("150 s and 30 s")
    assert timing_line({"TransformJobName": "j", "TransformJobStatus": "Failed"}).verdict == Verdict.FAILED


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        (set(), Verdict.LATER),
        ({"outputs/j/x/0123.dcm.out"}, Verdict.OK),
        ({"outputs/j/0123.json"}, Verdict.FAILED),
    ],
)
def test_keys_of_outputs_must_name_uploads(keys: set[str], verdict: Verdict) -> None:
    assert outputs_line(keys, ["j"]).verdict == verdict


@pytest.mark.parametrize(
    ("variables", "verdict"),
    [({"run": '"0123"'}, Verdict.OK), ({"run": '"ABCD"'}, Verdict.FAILED), ({}, Verdict.LATER)],
)
def test_the_hash_of_step_functions_is_compared_where_it_is_shown(variables: dict, verdict: Verdict) -> None:
    events = [{"stateExitedEventDetails": {"name": "Begin", "assignedVariables": variables}}]
    assert hash_line(events, "0123").verdict == verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [(account.DOCKER_MANIFEST, Verdict.OK), ("application/vnd.oci.image.manifest.v1+json", Verdict.FAILED)],
)
@pytest.mark.parametrize(
    ("suffix", "asked"), [(":t1", {"imageTag": "t1"}), ("@sha256:ab", {"imageDigest": "sha256:ab"})]
)
def test_the_manifest_of_the_image_is_asked_of_ecr(kind: str, verdict: Verdict, suffix: str, asked: dict) -> None:
    def describe_images(**request: Any) -> dict[str, Any]:
        assert request == {"registryId": "111122223333", "repositoryName": "a/b", "imageIds": [asked]}
        return {"imageDetails": [{"imageManifestMediaType": kind}]}

    uri = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/a/b{suffix}"
    (line,) = account.image(connection(uri, ecr=SimpleNamespace(describe_images=describe_images)))
    assert line.verdict == verdict


def test_an_image_elsewhere_is_for_later() -> None:
    (line,) = account.image(connection("local/wetread:latest"))
    assert line.verdict == Verdict.LATER


def test_an_unconfirmed_mail_fails_and_the_alarm_asks_a_person_to_look() -> None:
    alarm = {"AlarmName": "Wetread-UploadsFailed", "AlarmActions": ["arn:topic"], "StateValue": "ALARM"}
    rung: list[dict] = []
    cloudwatch = SimpleNamespace(
        get_paginator=pages(MetricAlarms=[alarm]),
        set_alarm_state=lambda **request: rung.append(request),
        describe_alarms=lambda **_: {"MetricAlarms": [alarm]},
    )
    sns = SimpleNamespace(get_paginator=pages(Subscriptions=[{"SubscriptionArn": "PendingConfirmation"}]))
    subscribed, seen = account.mail(connection(sns=sns, cloudwatch=cloudwatch))
    assert subscribed.verdict == Verdict.FAILED
    assert seen.verdict == Verdict.LOOK
    assert [one["AlarmName"] for one in rung] == ["Wetread-UploadsFailed"]


@pytest.mark.parametrize(("code", "verdict"), [("404", Verdict.OK), ("403", Verdict.FAILED)])
def test_a_missing_artifact_is_404_to_one_who_may_list(code: str, verdict: Verdict) -> None:
    def head_object(**_: Any) -> None:
        raise client_error(code, "")

    (line,) = account.missing_artifact(connection(s3=SimpleNamespace(head_object=head_object)))
    assert line.verdict == verdict


def test_objects_are_of_the_asked_size_and_can_be_read() -> None:
    body = lengthened(slice_of(MARKS, 1), 100_000)
    assert len(body) == 100_000
    assert pydicom.dcmread(io.BytesIO(body)).StudyInstanceUID == MARKS.study
    made = {one.name: one for one in uploads(MARKS, 200_000)}
    assert len(made["at-the-limit.dcm"].body) == len(made["in-parts.dcm"].body) == 200_000
    with pytest.raises(ValueError, match="cannot be lengthened"):
        lengthened(body, 10)


@pytest.mark.parametrize("labels", [("normal", "cap", "covid"), ("no", "yes")])
def test_no_stage_can_promote_a_model_of_the_cohort(tmp_path, labels: tuple[str, ...]) -> None:
    entries = json.loads((write_cohort(tmp_path, MARKS, labels) / "manifest.json").read_text())
    of = {part: {one["content"]["label"] for one in entries if one["split"] == part} for part in Split}
    assert of[Split.TRAIN] == of[Split.VALIDATION] == set(labels)
    assert of[Split.TEST] == set(labels[:-1])
