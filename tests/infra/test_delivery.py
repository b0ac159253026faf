"""DICOM results in the template: nothing of them by default, and all that they need in a stage that asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import dicom_layer
from infra.app import synthesise_config
from infra.config import ConfigError, load_stage
from tests.infra.conftest import Assembly

SETTINGS = {
    "dicom_results": ["sr", "card", "keys", "heat"],
    "dicom_results_days": 14,
    "dicom_manufacturer": "Example Clinic",
    "label_codes": {"covid": "840539006 SCT COVID-19", "normal": "17621005 SCT Normal"},
    "image_uri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/wetread:1",
}


def stub(folder: Path) -> None:
    """Build a layer without the package index."""
    (folder / "python").mkdir()
    (folder / "python/highdicom.py").write_text("")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_layer, "build", stub)
        folder = synthesise_config(tmp_path_factory.mktemp("asked"), load_stage({"asked": SETTINGS}, "asked"))
    (template,) = Path(folder).glob("*.template.json")
    return Assembly(Path(folder), json.loads(template.read_text()))


def test_a_stage_that_does_not_ask_has_nothing_of_them(default: Any) -> None:
    assert not [name for name in default.of_type("AWS::Lambda::Function") if "Deliver" in name]
    assert len(default.of_type("AWS::Lambda::LayerVersion")) == 1
    assert not [name for name in default.of_type("AWS::SQS::Queue") if "Deliver" in name]
    assert "dicom/" not in json.dumps(default.template["Resources"])


def test_the_function_has_the_stage_s_settings_and_a_second_layer(asked: Assembly) -> None:
    environment = asked.environment("DeliveryDeliver")
    assert environment["DICOM_RESULTS"] == "sr,card,keys,heat"
    assert environment["LABEL_CODES"] == "covid=840539006 SCT COVID-19,normal=17621005 SCT Normal"
    assert (environment["DICOM_MANUFACTURER"], environment["SERIES_NUMBER_BASE"]) == ("Example Clinic", "9901")
    layers = {name: len(one["Layers"]) for name, one in asked.of_type("AWS::Lambda::Function").items()}
    assert layers.pop("DeliveryDeliver") == 2
    assert set(layers.values()) == {1}, "no other function loads it"


def test_the_service_s_own_events_reach_the_function_which_is_bounded(asked: Assembly) -> None:
    rule = asked.named("AWS::Events::Rule", "DeliveryAnnounced")
    assert rule["EventPattern"] == {
        "source": ["wetread"],
        "detail-type": ["Study Read", "Study Read Revised", "Study Read Withdrawn"],
        "detail": {"Service": ["wetread"]},
    }
    (mapping,) = [
        one
        for name, one in asked.of_type("AWS::Lambda::EventSourceMapping").items()
        if name.startswith("DeliveryDeliver")
    ]
    assert (mapping["BatchSize"], mapping["ScalingConfig"]) == (1, {"MaximumConcurrency": 2})
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_results_expire_with_their_versions(asked: Assembly) -> None:
    rules = asked.named("AWS::S3::Bucket", "StorageResults")["LifecycleConfiguration"]["Rules"]
    (rule,) = [one for one in rules if one["Id"] == "ExpireDicomResults"]
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("dicom/", 14)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_the_function_writes_results_and_reads_none_back(asked: Assembly) -> None:
    allowed = {
        action
        for statement in asked.statements("DeliveryDeliver")
        if "dicom/" in json.dumps(statement["Resource"])
        for action in _list(statement["Action"])
    }
    assert allowed == {"s3:PutObject", "s3:DeleteObjectVersion"}


def test_the_function_announces_what_it_has_made(asked: Assembly) -> None:
    assert "events:PutEvents" in {action for action, _ in asked.permissions("DeliveryDeliver")}


def test_it_reads_answers_only_to_draw_them(asked: Assembly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reads_answers(assembly: Assembly) -> bool:
        return any("predictions/" in json.dumps(one["Resource"]) for one in assembly.statements("DeliveryDeliver"))

    monkeypatch.setattr(dicom_layer, "build", stub)
    without = synthesise_config(tmp_path, load_stage({"plain": SETTINGS | {"dicom_results": ["sr"]}}, "plain"))
    (template,) = Path(without).glob("*.template.json")
    assert reads_answers(asked)
    assert not reads_answers(Assembly(Path(without), json.loads(template.read_text())))


def test_its_dead_letters_ring(asked: Assembly) -> None:
    alarms = json.dumps(list(asked.of_type("AWS::CloudWatch::Alarm").values()))
    assert "DeliveryRevisionsDeadLetters" in alarms


def test_the_template_is_sound(asked: Assembly) -> None:
    assert asked.lint() == ""


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("dicom_results", ["sr", "pdf"], "a list of sr, card, keys, heat, or []"),
        ("dicom_results_days", 0, "1 to 36500"),
        ("dicom_manufacturer", "", "1 to 64 ASCII characters"),
        ("dicom_manufacturer", "a\\b", "without backslashes"),
        ("series_number_base", 0, "1 to 999000"),
        ("label_codes", {"flu": "1 SCT Flu"}, "label_codes has 'flu'"),
        ("label_codes", {"covid": "840539006 COVID-19"}, "is such a code"),
        ("label_codes", {"covid": "840539006 SCT COVID, the disease"}, "without backslashes and commas"),
        ("label_codes", {"covid": "12345678901234567 SCT COVID"}, "at most 16 characters"),
    ],
)
def test_wrong_settings_are_refused(setting: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_stage({"asked": SETTINGS | {setting: value}}, "asked")
    assert said in str(refused.value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
