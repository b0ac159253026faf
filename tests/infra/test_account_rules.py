"""A stage with all that an account may demand: boundary, tags, VPC, its own key, its own bucket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.settings import ApproveSettings, DispatchSettings, Placement, from_environment
from infra.app import synthesise_config
from infra.config import ConfigError, load_stage
from tests.infra.conftest import Assembly, text
from tests.infra.permissions import FUNCTIONS, PROMOTERS

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
UPLOADS_KEY = "arn:aws:kms:eu-west-1:111122223333:key/9876abcd-12ab-34cd-56ef-1234567890ab"
SUBNETS, GROUPS = ["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"], ["sg-0a1b2c3d4e5f60718"]
TAGS = {"CostCentre": "4711", "Owner": "radiology = night shift"}
HOSPITAL: dict[str, Any] = {
    "permissions_boundary": "hospital-boundary",
    "tags": TAGS,
    "subnet_ids": SUBNETS,
    "security_group_ids": GROUPS,
    "data_key_arn": KEY,
    "uploads_bucket": "hospital-dicom",
    "uploads_key_arn": UPLOADS_KEY,
    "audit_trail": True,
}
TAGGED = [{"Key": key, "Value": value} for key, value in TAGS.items()]
VPC = {"Subnets": SUBNETS, "SecurityGroupIds": GROUPS}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Assembly]:
    def synthesise_settings(settings: dict[str, Any]) -> Assembly:
        directory = synthesise_config(tmp_path_factory.mktemp("tried"), load_stage({"tried": settings}, "tried"))
        (template,) = directory.glob("*.template.json")
        return Assembly(directory, json.loads(template.read_text()))

    return synthesise_settings


@pytest.fixture(scope="module")
def hospital(make: Callable[[dict[str, Any]], Assembly]) -> Assembly:
    return make(HOSPITAL)


def test_every_role_has_the_boundary(hospital: Assembly) -> None:
    for role in hospital.of_type("AWS::IAM::Role").values():
        boundary = text(role["PermissionsBoundary"])
        assert boundary == "arn:<AWS::Partition>:iam::<AWS::AccountId>:policy/hospital-boundary"


def test_a_boundary_may_be_an_arn_of_another_path(make: Callable[[dict[str, Any]], Assembly]) -> None:
    arn = "arn:aws:iam::111122223333:policy/security/boundary"
    roles = make({"permissions_boundary": arn}).of_type("AWS::IAM::Role").values()
    assert {role["PermissionsBoundary"] for role in roles} == {arn}


def test_every_resource_that_can_be_tagged_is(hospital: Assembly) -> None:
    untagged = set()
    for resource in hospital.template["Resources"].values():
        tags = resource.get("Properties", {}).get("Tags", [])
        given = {one["Key"]: one["Value"] for one in tags} if isinstance(tags, list) else tags
        if not given.items() >= TAGS.items():
            untagged.add(resource["Type"])
    assert untagged <= {
        "AWS::CloudWatch::Dashboard",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    }


def test_what_the_service_makes_itself_is_tagged_and_in_the_vpc(hospital: Assembly) -> None:
    dispatch = from_environment(DispatchSettings, hospital.environment("BatchDispatch"))
    assert Placement(resource_tags=dispatch.shape.resource_tags).tags == TAGGED
    for promoter in PROMOTERS:
        placement = from_environment(ApproveSettings, hospital.environment(promoter)).placement
        assert (placement.tags, placement.vpc_config) == (TAGGED, VPC)
        assert ("sagemaker:AddTags", _models(hospital)) in hospital.permissions(promoter)
    (machine,) = hospital.of_type("AWS::StepFunctions::StateMachine").values()
    states = json.loads(text(machine["DefinitionString"]))["States"]
    assert states["Train"]["Arguments"]["VpcConfig"] == VPC
    for job in ("Audit", "Optimise", "Evaluate"):
        assert states[job]["Arguments"]["NetworkConfig"] == {"EnableNetworkIsolation": True, "VpcConfig": VPC}
    assert all(states[job]["Arguments"]["Tags"] == TAGGED for job in ("Train", "Audit", "Optimise", "Evaluate"))
    assert hospital.template["Outputs"]["Placement"]["Description"]
    output = json.loads(hospital.template["Outputs"]["Placement"]["Value"])
    assert from_environment(Placement, output).tags == TAGGED


def _models(assembly: Assembly) -> str:
    (arn,) = {on for action, on in assembly.permissions("TrainingPromote") if action == "sagemaker:CreateModel"}
    return arn


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_in_a_vpc_has_its_network_and_its_code_no_part_of_ec2(hospital: Assembly, function: str) -> None:
    properties = hospital.named("AWS::Lambda::Function", function)
    assert properties["VpcConfig"] == {"SubnetIds": SUBNETS, "SecurityGroupIds": GROUPS}
    (denied,) = [one for one in hospital.statements(function) if one["Effect"] == "Deny"]
    assert set(denied["Action"]) == {one for one, _ in hospital.permissions(function) if one.startswith("ec2:")}
    assert denied["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


@pytest.mark.parametrize("role", ["ModelJob", "ModelEndpoint", "TrainingJob", *FUNCTIONS])
def test_interfaces_are_made_in_the_named_subnets_and_groups_alone(hospital: Assembly, role: str) -> None:
    (made,) = [
        one
        for one in hospital.statements(role)
        if one["Effect"] == "Allow" and "ec2:CreateNetworkInterface" in one["Action"]
    ]
    assert {text(on).rpartition(":")[2] for on in made["Resource"]} == {
        *(f"subnet/{one}" for one in SUBNETS),
        *(f"security-group/{one}" for one in GROUPS),
        "network-interface/*",
    }


def test_a_given_key_encrypts_everything_and_is_not_changed(hospital: Assembly) -> None:
    keys = hospital.of_type("AWS::KMS::Key")
    assert set(keys) == {"IntakePatientKey", "AuditTrailKey"}
    assert hospital.template["Outputs"]["DataKeyArn"]["Value"] == KEY
    for table in hospital.of_type("AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["KMSMasterKeyId"] == KEY
    for queue in hospital.of_type("AWS::SQS::Queue").values():
        assert queue["KmsMasterKeyId"] == KEY


def test_a_given_bucket_is_read_and_not_changed(hospital: Assembly) -> None:
    assert "StorageUploads" not in hospital.of_type("AWS::S3::Bucket")
    assert "hospital-dicom" not in json.dumps(hospital.of_type("AWS::S3::BucketPolicy"))
    rule = hospital.named("AWS::Events::Rule", "IntakeObjectCreated")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": ["hospital-dicom"]}}
    read = hospital.permissions("IntakeIngest")
    assert ("kms:Decrypt", UPLOADS_KEY) in read
    assert ("s3:GetObjectVersion", "arn:<AWS::Partition>:s3:::hospital-dicom/*") in read
    assert not {action for action, on in read if "hospital-dicom" in on and action.startswith(("s3:Put", "s3:Del"))}
    assert ("kms:GenerateDataKey", UPLOADS_KEY) in hospital.permissions("PeopleUploader")
    assert ("kms:Decrypt", UPLOADS_KEY) in hospital.permissions("PeopleApprover")
    assert text(hospital.template["Outputs"]["UploadsKeyArn"]["Value"]) == UPLOADS_KEY
    looks = hospital.permissions("PeopleExaminer")
    for action in ("kms:DescribeKey", "kms:GetKeyPolicy"):
        assert {on for verb, on in looks if verb == action} == {KEY, UPLOADS_KEY}
    assert ("s3:GetEncryptionConfiguration", "arn:<AWS::Partition>:s3:::hospital-dicom") in looks


def test_cfn_lint_finds_nothing_in_it(hospital: Assembly) -> None:
    assert not hospital.lint()


def test_a_stage_that_demands_nothing_has_nothing_of_it(default: Assembly) -> None:
    written = json.dumps(default.template)
    for name in ("PermissionsBoundary", "VpcConfig", '"Tags"', "ec2:", "Placement"):
        assert name not in written


PHYSICAL = (
    *("StateMachineName", "TrailName", "ModelPackageGroupName", "FunctionName", "BucketName", "TableName"),
    *("QueueName", "TopicName", "RoleName", "ManagedPolicyName", "AlarmName", "DashboardName", "LogGroupName"),
    *("LayerName", "AliasName", "Name"),
)
NAME_ANOTHERS_FUNCTION = (
    *("AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping"),
    "AWS::Lambda::Permission",
)


def test_two_stages_of_an_account_share_no_name(make: Callable[[dict[str, Any]], Assembly]) -> None:
    """A name that is not given is made of the stack's, so the stacks' names must differ too."""

    def names(settings: dict[str, Any]) -> set[tuple[str, str]]:
        assembly = make({"audit_trail": True, **settings})
        (template,) = assembly.directory.glob("*.template.json")
        given = {
            (resource["Type"], text(value))
            for resource in assembly.template["Resources"].values()
            for name, value in resource.get("Properties", {}).items()
            if name in PHYSICAL and resource["Type"] not in NAME_ANOTHERS_FUNCTION
        }
        assert len(given) == 3, "the state machine, the trail, the group of versions"
        assert not any("Export" in one for one in assembly.template["Outputs"].values())
        return given | {("stack", template.name)}

    assert not names({}) & names({"service_name": "wetread-test"})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"permissions_boundary": "arn:aws:iam::1:role/x"}, "permissions_boundary is 'arn:aws:iam::1:role/x': the ARN"),
        ({"permissions_boundary": "a/b"}, r"with its path, give the ARN"),
        ({"tags": {"aws:x": "1"}}, "aws: and wetread: are reserved"),
        ({"tags": {"Wetread:batch": "1"}}, "are reserved"),
        ({"tags": {"": "1"}}, "tags has the key ''"),
        ({"tags": {"a=b": "1"}}, "tags has the key 'a=b'"),
        ({"tags": {"k": "a,b"}}, "tags has 'k': 'a,b'"),
        ({"tags": {"k": "v" * 257}}, "at most 256"),
        ({"tags": {"k": "line\n"}}, "tags has 'k'"),
        ({"tags": {"Owner": "1", "owner": "2"}}, "keys that differ in more than case"),
        ({"tags": {f"k{number}": "" for number in range(41)}}, "tags has 41 keys: at most 40"),
        ({"tags": {f"k{number}": "v" * 200 for number in range(10)}}, r"tags has 20\d\d bytes: at most 1500"),
        ({"tags": {"k": 1}}, 'an object of texts, {"KEY": "VALUE"}, is expected'),
        ({"tags": ["k"]}, 'an object of texts, {"KEY": "VALUE"}, is expected'),
        ({"subnet_ids": SUBNETS}, "both or neither are expected"),
        ({"subnet_ids": ["vpc-1"], "security_group_ids": GROUPS}, r"subnet_ids is \['vpc-1'\]: at most 16"),
        ({"subnet_ids": SUBNETS, "security_group_ids": GROUPS * 2}, "security_group_ids is .* at most 5 different"),
        ({"data_key_arn": "alias/hospital"}, "data_key_arn is 'alias/hospital': the ARN of a key is expected"),
        ({"uploads_bucket": "arn:aws:s3:::x"}, "uploads_bucket is 'arn:aws:s3:::x': the name of an existing bucket"),
        ({"uploads_key_arn": KEY}, "and uploads_bucket empty"),
    ],
)
def test_a_wrong_demand_is_named_with_what_is_expected(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_stage({"bad": settings}, "bad")
