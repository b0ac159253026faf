"""The definition of the state machine, read as a document: its shape, its rules, its resource."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.config import StageConfig
from infra.workflow import longest_run
from tests.infra.asl import expressions, parse

JOBS = {"Audit", "Train", "Optimise", "Evaluate"}
CALLS = {"Snapshot", "GateData", "CountAttempt", "GateModel", "Promote"}
AGAIN = {"TryAgain?", "AwaitRoom", "AwaitRestart", "WhichJob?"}
NOTICES = {"Rejected", "Promoted", "AwaitingApproval", "NotifyFailed"}


@pytest.fixture(scope="module")
def states(definition: dict[str, Any]) -> dict[str, Any]:
    return dict(definition["States"])


def targets(state: dict[str, Any]) -> set[str]:
    found = {state.get("Next"), state.get("Default")}
    found |= {one["Next"] for one in (*state.get("Choices", ()), *state.get("Catch", ()))}
    return found - {None}


def test_it_is_a_jsonata_document_with_the_states_that_people_see(definition: dict[str, Any]) -> None:
    assert definition["QueryLanguage"] == "JSONata"
    choices = {"SnapshotTaken?", "DataSound?", "GoodEnough?", "Promoted?"}
    assert set(definition["States"]) == {"Begin", *JOBS, *CALLS, *choices, *AGAIN, *NOTICES, "EndedUntold", "Failed"}
    assert not [state for state in definition["States"].values() if state.get("QueryLanguage", "JSONata") != "JSONata"]


def test_every_state_is_reachable_and_every_next_exists(definition: dict[str, Any], states: dict[str, Any]) -> None:
    reached: set[str] = set()
    waiting = {definition["StartAt"]}
    while waiting:
        reached |= waiting
        waiting = set().union(*(targets(states[name]) for name in waiting)) - reached
    assert reached == set(states)


def test_every_state_continues_or_ends_and_never_both(states: dict[str, Any]) -> None:
    for name, state in states.items():
        ends = state.get("End", False) or state["Type"] in {"Succeed", "Fail"}
        goes_on = bool({"Next", "Default"} & set(state))
        assert ends != goes_on, name
    ends = {name for name, state in states.items() if not {"Next", "Default"} & set(state)}
    assert ends == {"Rejected", "Promoted", "AwaitingApproval", "EndedUntold", "Failed"}


def test_every_task_catches_everything_and_a_notice_follows(states: dict[str, Any]) -> None:
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}
    assert set(tasks) == JOBS | CALLS | NOTICES
    for name, task in tasks.items():
        (catcher,) = task["Catch"]
        assert catcher["ErrorEquals"] == ["States.ALL"], name
        if name in JOBS | CALLS:
            assert catcher["Next"] == ("NotifyFailed" if name in CALLS else "TryAgain?")
            assert catcher["Assign"]["failure"]["State"] == name
    assert states["TryAgain?"]["Default"] == states["WhichJob?"]["Default"] == "NotifyFailed"
    assert states["NotifyFailed"]["Catch"][0]["Next"] == "Failed"


def test_an_outcome_is_kept_even_when_the_notice_fails(states: dict[str, Any]) -> None:
    for name in NOTICES - {"NotifyFailed"}:
        (catcher,) = states[name]["Catch"]
        assert catcher["Next"] == "EndedUntold"
        assert catcher["Output"] == states[name]["Output"]
        assert states[name]["Output"]["Outcome"] == name


def test_only_passing_failures_are_tried_again(states: dict[str, Any]) -> None:
    retried = {
        name: [error for one in state["Retry"] for error in one["ErrorEquals"]]
        for name, state in states.items()
        if "Retry" in state
    }
    assert set(retried) == JOBS | CALLS
    for name, errors in retried.items():
        service = "SageMaker" if name in JOBS else "Lambda"
        assert all(error.startswith(f"{service}.") or error == "ThrottlingException" for error in errors), name
    for name in JOBS:
        (throttled,) = states[name]["Retry"]
        assert throttled["MaxAttempts"] <= 5, "SageMaker's error for a wrong request has the same name"


def test_a_job_is_waited_for_and_never_started_under_an_old_name(states: dict[str, Any]) -> None:
    for name in JOBS:
        resource = states[name]["Resource"]
        assert resource.startswith("arn:<AWS::Partition>:states:::sagemaker:create")
        assert resource.endswith("Job.sync")
        (job_name,) = (value for key, value in states[name]["Arguments"].items() if key.endswith("JobName"))
        assert "$run" in job_name
        assert "$states.context.State.RetryCount" in job_name


def test_every_expression_is_jsonata(definition: dict[str, Any]) -> None:
    found = list(expressions(definition))
    assert len(found) > 50
    for expression in found:
        parse(expression)
    assert json.dumps(definition).count("{%") == json.dumps(definition).count("%}") == len(found), (
        "an expression is half quoted"
    )


def test_the_linter_knows_every_field(definition: dict[str, Any], tmp_path: Path) -> None:
    def lint(document: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        role = "arn:aws:iam::111122223333:role/wetread"
        properties = {"RoleArn": role, "Definition": document}
        machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
        template = tmp_path / "template.json"
        template.write_text(json.dumps({"Resources": {"Machine": machine}}))
        command = [Path(sys.executable).with_name("cfn-lint"), "--", template]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    # The template's linter does not check a definition that is joined at deployment.
    concrete = json.loads(re.sub(r"<AWS::Partition>|\$\{AWS::\w+\}", "aws", json.dumps(definition)))
    result = lint(concrete)
    assert (result.returncode, result.stdout) == (0, "")
    concrete["States"]["Train"]["Parameters"] = {}
    assert "'Parameters' was unexpected" in lint(concrete).stdout, "the linter checks nothing"


def test_an_execution_lasts_longer_than_its_jobs_may(definition: dict[str, Any], states: dict[str, Any]) -> None:
    jobs = sum(states[name]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] for name in JOBS)
    assert definition["TimeoutSeconds"] == longest_run(StageConfig()).to_seconds() > jobs
    spot = StageConfig(training_spot=True, training_max_wait_seconds=200_000, processing_max_seconds=600)
    assert longest_run(spot).to_seconds() > 200_000 + 3 * 600


def test_it_is_standard_traced_encrypted_and_logs_no_data(default: Any) -> None:
    (machine,) = default.of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["StateMachineName"] == "wetread-training"
    assert machine.get("StateMachineType", "STANDARD") == "STANDARD"
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["EncryptionConfiguration"]["Type"] == "CUSTOMER_MANAGED_KMS_KEY"
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
    (destination,) = logging["Destinations"]
    assert "TrainingWorkflowLog" in destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]


def test_the_machine_is_created_after_its_roles_policy(default: Any) -> None:
    machine = default.resource("TrainingWorkflowStateMachine")
    assert any(one.startswith("TrainingWorkflowRoleDefaultPolicy") for one in machine["DependsOn"])


def test_log_deliveries_of_this_account_may_decrypt(default: Any) -> None:
    statements = default.named("AWS::KMS::Key", "StorageKey")["KeyPolicy"]["Statement"]
    (delivery,) = (one for one in statements if one["Principal"].get("Service") == "delivery.logs.amazonaws.com")
    assert delivery["Action"] == "kms:Decrypt"
    assert "kms:EncryptionContext:SourceArn" in delivery["Condition"]["StringEquals"]
