from __future__ import annotations

from typing import Any

from tests.infra.conftest import text


def test_every_new_object_of_the_uploads_bucket_reaches_the_queue_or_its_dead_letters(default: Any) -> None:
    rule = default.named("AWS::Events::Rule", "IntakeObjectCreated")
    pattern = rule["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    ((name, value),) = pattern["detail"]["bucket"].items()
    assert name == "name"
    assert "StorageUploads" in value[0]["Ref"]
    (target,) = rule["Targets"]
    assert "IntakeUploadsQueue" in target["Arn"]["Fn::GetAtt"][0]
    assert "IntakeUploadsDeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]


def test_eventbridge_may_send_to_the_queue_for_its_rule_only(default: Any) -> None:
    policy = default.named("AWS::SQS::QueuePolicy", "IntakeUploadsQueuePolicy")["PolicyDocument"]["Statement"]
    (allowed,) = (one for one in policy if one["Effect"] == "Allow")
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    ((source, rule),) = allowed["Condition"]["ArnEquals"].items()
    assert (source, text(rule)) == ("aws:SourceArn", "<IntakeObjectCreated>")


def test_ingest_takes_uploads_by_fifty(default: Any) -> None:
    mapping = default.named("AWS::Lambda::EventSourceMapping", _mapping_of(default, "IntakeIngest"))
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (50, 1)


def test_the_patient_key_makes_hashes_and_nothing_else(default: Any) -> None:
    key = default.named("AWS::KMS::Key", "IntakePatientKey")
    assert (key["KeySpec"], key["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")


def _mapping_of(assembly: Any, function: str) -> str:
    mappings = assembly.of_type("AWS::Lambda::EventSourceMapping")
    (found,) = (name for name, mapping in mappings.items() if function in mapping["FunctionName"]["Ref"])
    return str(found)
