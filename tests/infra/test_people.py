"""The policies for people, where tests of the running service do not reach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from infra.app import ROOT
from infra.config import StageConfig
from infra.service import Service
from tests.infra.conftest import Assembly, text
from tests.infra.permissions import PEOPLE, on, to

MOST_CHARACTERS = 6_144
"""Of a managed policy, without spaces."""
LONGEST_NAME = "x" * 90
CONDITIONS = {
    "PeopleUploader": {"s3"},
    "PeopleReader": {"s3", "dynamodb", "states"},
    "PeopleLabeller": {"s3", "states"},
}


def deployed(value: Any) -> Any:
    """Return a part of the template with references replaced by long names."""
    if isinstance(value, dict):
        if {"Ref", "Fn::GetAtt", "Fn::Join"} & set(value):
            return re.sub(r"<[^>]*>", LONGEST_NAME, text(value))
        return {key: deployed(one) for key, one in value.items()}
    return [deployed(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("policy", PEOPLE)
def test_a_policy_is_short_enough_for_iam_and_attached_to_nothing(default: Assembly, policy: str) -> None:
    properties = default.named("AWS::IAM::ManagedPolicy", policy)
    document = json.dumps(deployed(properties["PolicyDocument"]), separators=(",", ":"))
    assert len(document) <= MOST_CHARACTERS
    assert not {"Roles", "Users", "Groups"} & set(properties)


@pytest.mark.parametrize("policy", PEOPLE)
def test_people_use_the_data_key_only_through_a_service(default: Assembly, policy: str) -> None:
    statements = [one for one in default.statements(policy) if "kms:" in str(one["Action"])]
    if policy == "PeopleExaminer":  # it reads no data
        assert {action for one in statements for action in one["Action"]} == {"kms:DescribeKey", "kms:GetKeyPolicy"}
        return
    (statement,) = statements
    assert text(statement["Resource"]) == "<StorageKey>"
    through = {text(one).partition(".")[0] for one in statement["Condition"]["StringEquals"]["kms:ViaService"]}
    assert through == CONDITIONS.get(policy, {"s3", "dynamodb", "sqs"})


@pytest.mark.parametrize("policy", PEOPLE)
def test_no_person_changes_permissions_deletes_data_or_scans(default: Assembly, policy: str) -> None:
    allowed = {action for action, _ in default.permissions(policy)}
    assert not [action for action in allowed if "*" in action]
    writes = {action for action in allowed if re.search(":(Put|Create|Attach|Set)", action)}
    assert writes <= {"s3:PutObject", "dynamodb:PutItem", "sagemaker:CreateModel"}
    assert "dynamodb:Scan" not in allowed
    deletes = {one for one in default.permissions(policy) if ":Delete" in one[0]}
    copies, standings = ("s3:DeleteObject", "<StorageWork>/instances/*"), ("dynamodb:DeleteItem", "<StorageBatches>")
    assert deletes == ({copies, standings} if policy == "PeopleApprover" else set())


def test_an_uploader_reads_nothing_but_the_outputs_of_the_stack(default: Assembly) -> None:
    allowed = default.permissions("PeopleUploader")
    assert to(allowed, "s3") == {
        ("s3:PutObject", "<StorageUploads>/*"),
        ("s3:AbortMultipartUpload", "<StorageUploads>/*"),
    }
    assert {action.partition(":")[0] for action, _ in allowed} == {"s3", "kms", "cloudformation", "servicequotas"}
    assert to(allowed, "servicequotas") == {
        (f"servicequotas:{verb}", "*")
        for verb in ("GetServiceQuota", "ListServiceQuotas", "ListAWSDefaultServiceQuotas")
    }


def test_an_examiner_reads_no_data_and_changes_nothing(default: Assembly) -> None:
    verbs = {action.partition(":")[2] for action, _ in default.permissions("PeopleExaminer")}
    assert not [verb for verb in verbs if not verb.startswith(("Get", "List", "Describe"))]
    assert "s3:GetObject" not in {action for action, _ in default.permissions("PeopleExaminer")}


def test_an_approver_changes_what_serves_and_no_batch(default: Assembly) -> None:
    (writes,) = (one for one in default.statements("PeopleApprover") if "dynamodb:PutItem" in one["Action"])
    assert text(writes["Resource"]) == "<StorageBatches>"
    assert writes["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CHAMPION", "PROMOTION#*", "WITHDRAWN#*", "UNMARKED"]}
    }


def test_where_keys_are_hidden_only_an_approver_may_read_them(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path), context=json.loads((ROOT / "cdk.json").read_text())["context"])
    Service(app, "Wetread", config=StageConfig(keys="hashed", image_uri="image"))
    template = json.loads((Path(app.synth().directory) / "Wetread.template.json").read_text())
    hidden = Assembly(tmp_path, template)
    may = {policy: on(hidden.permissions(policy), "<StorageKeys>") for policy in PEOPLE}
    assert may == {one: set[str]() for one in PEOPLE} | {"PeopleApprover": {"dynamodb:BatchGetItem"}}


def test_only_an_administrator_queries_by_patient(default: Assembly) -> None:
    for policy in PEOPLE:
        assert not on(default.permissions(policy), "<StorageIndex>/index/ByPatient")
        assert "kms:GenerateMac" not in {action for action, _ in default.permissions(policy)}
