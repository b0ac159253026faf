"""What a state machine's role must be able to do before the machine can be created."""

from __future__ import annotations

import json

import pytest

PASS = {"Pass": {"Type": "Pass", "End": True}}


def test_step_functions_must_be_able_to_assume_the_role(client, machine):
    with pytest.raises(client("stepfunctions").exceptions.ClientError, match=r"AccessDenied.*authorized to assume"):
        machine(PASS, trusted="lambda.amazonaws.com")


@pytest.mark.parametrize("action", ["events:PutTargets", "events:PutRule", "events:DescribeRule"])
def test_the_end_of_a_job_is_heard_of_through_a_rule(client, machine, processing, action):
    with pytest.raises(client("stepfunctions").exceptions.ClientError, match="not authorized to create managed-rule"):
        machine({"Process": processing()}, without=action)
    machine(PASS, without=action)


def test_an_update_is_checked_as_well(client, machine, processing):
    arn = machine(PASS, without="events:PutRule")
    definition = {"QueryLanguage": "JSONata", "StartAt": "Process", "States": {"Process": processing()}}
    with pytest.raises(client("stepfunctions").exceptions.ClientError, match="managed-rule"):
        client("stepfunctions").update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))


def test_cloudformation_s_state_machines_are_checked_and_run(client, role, start, finished, until, name):
    """The template that CDK makes: a definition joined of parts, a key, a log group and tracing."""
    roles = {trusted: role(f"{trusted}.amazonaws.com") for trusted in ("states", "lambda")}
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Pass", "States": PASS})
    half = len(definition) // 2
    properties = {
        "DefinitionString": {"Fn::Join": ["", [definition[:half], definition[half:]]]},
        "StateMachineType": "STANDARD",
        "EncryptionConfiguration": {
            "Type": "CUSTOMER_MANAGED_KMS_KEY",
            "KmsKeyId": key,
            "KmsDataKeyReusePeriodSeconds": 300,
        },
        "LoggingConfiguration": {
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Log", "Arn"]}}}],
            "IncludeExecutionData": False,
            "Level": "ERROR",
        },
        "TracingConfiguration": {"Enabled": True},
    }

    def deploy(stack, role_arn):
        machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**properties, "RoleArn": role_arn}}
        template = {
            "Resources": {"Log": {"Type": "AWS::Logs::LogGroup"}, "Machine": machine},
            "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}},
        }
        client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))

        def settled():
            (found,) = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        return until(settled)

    assert deploy(f"{name}-refused", roles["lambda"])["StackStatus"].startswith("ROLLBACK")
    stack = deploy(name, roles["states"])
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    arn = stack["Outputs"][0]["OutputValue"]
    assert client("stepfunctions").describe_state_machine(stateMachineArn=arn)["roleArn"] == roles["states"]
    assert finished(start(arn, {"a": 1}))["output"] == {"a": 1}
