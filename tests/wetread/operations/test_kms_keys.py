"""The stage's keys: a key that cannot be used, and a policy that lacks a statement, are found with their remedy."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from infra.app import synthesise_config
from infra.config import StageConfig
from infra.rights import key as policy_of_rights
from wetread.operations import kms_keys
from wetread.operations.check import CheckResult

ACCOUNT, REGION = "111122223333", "eu-west-1"
DATA = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/data"
UPLOADS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/uploads"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `python -m infra.rights key` prints for an existing data key."""
    config = StageConfig(image_uri="local/wetread:latest")
    folder = synthesise_config(tmp_path_factory.mktemp("assembly"), config)
    template = json.loads((folder / f"{config.stack_name}.template.json").read_text())
    return policy_of_rights(template, ACCOUNT, REGION)


@pytest.fixture
def keyed(connection):
    """A connection to a stage with a given data key and a given uploads key."""
    connection.deployment = dataclasses.replace(connection.deployment, data_key_arn=DATA, uploads_key_arn=UPLOADS)
    return connection


def results(connection: Any) -> dict[str, CheckResult]:
    return {one.name: one for check in kms_keys.checks(connection) for one in check.results()}


def test_the_policy_that_a_key_of_yours_needs_is_well(keyed, policy) -> None:
    keyed.account.key_policies = {DATA: policy, UPLOADS: {"Statement": policy["Statement"][:1]}}
    assert [one.remedy for one in results(keyed).values()] == ["", ""]


@pytest.mark.parametrize(
    ("number", "lacking"),
    [
        (0, ["the account's root"]),
        (1, ["logs.eu-west-1.amazonaws.com"]),
        (2, ["cloudwatch.amazonaws.com", "events.amazonaws.com"]),
        (3, ["delivery.logs.amazonaws.com"]),
    ],
)
def test_each_statement_that_the_policy_lacks_is_named(keyed, policy, number, lacking) -> None:
    statements = policy["Statement"]
    assert len(statements) == 4, "a new statement of the stack's key belongs into the check"
    keyed.account.key_policies[DATA] = {"Statement": [one for one in statements if one is not statements[number]]}
    found = results(keyed)["Data key"]
    assert not found.well
    assert all(one in found.found for one in lacking)
    assert f"python -m infra.rights key STAGE {ACCOUNT} {REGION}" in found.remedy


def test_a_policy_for_named_roles_alone_lets_no_other_policy_decide(keyed) -> None:
    role = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/a"}, "Action": "kms:*"}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "kms:*"}
    other = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "kms:*"}
    keyed.account.key_policies[UPLOADS] = {"Statement": [role, denied, other]}
    assert "the account's root" in results(keyed)["Uploads key"].found


@pytest.mark.parametrize("root", [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "*"])
def test_a_policy_may_be_one_statement_and_name_the_account_in_each_form(keyed, root) -> None:
    keyed.account.key_policies[UPLOADS] = {
        "Statement": {"Effect": "Allow", "Principal": {"AWS": [root]}, "Action": ["kms:*"], "Resource": "*"}
    }
    assert results(keyed)["Uploads key"].well


def test_a_policy_may_name_what_it_does_not_allow(keyed, policy) -> None:
    """IAM's NotAction allows all others."""
    root = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Resource": "*"}
    others = policy["Statement"][1:]
    keyed.account.key_policies[DATA] = {"Statement": [root | {"NotAction": "kms:ScheduleKeyDeletion"}, *others]}
    assert results(keyed)["Data key"].remedy == ""
    keyed.account.key_policies[DATA] = {"Statement": [root | {"NotAction": ["kms:Decrypt"]}, *others]}
    assert "the account's root" in results(keyed)["Data key"].found


@pytest.mark.parametrize(
    ("state", "command"),
    [("Disabled", "enable-key"), ("PendingDeletion", "cancel-key-deletion"), ("Creating", "Wait")],
)
def test_a_key_that_cannot_be_used_has_the_command_that_mends_it(keyed, state, command) -> None:
    keyed.account.key["KeyState"] = state
    found = results(keyed)["Data key"]
    assert found.found == f"{DATA} is {state}: nothing can be read or written"
    assert command in found.remedy


def test_a_key_of_another_kind_or_none_is_a_fault(keyed) -> None:
    keyed.account.key["KeySpec"] = "RSA_2048"
    assert "RSA_2048" in results(keyed)["Data key"].found
    keyed.account.no_keys.add(DATA)
    assert results(keyed)["Data key"].found == f"{DATA} does not exist: nothing of the stage can be read"


def test_a_stage_without_an_uploads_key_is_asked_for_one_key(connection) -> None:
    assert list(results(connection)) == ["Data key"]
