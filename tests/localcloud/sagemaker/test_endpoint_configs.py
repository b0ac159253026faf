"""Endpoint configurations: what is refused, what is remembered, and what may be forgotten."""

from __future__ import annotations

import pytest

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
INSTANCE = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 5}}


@pytest.fixture
def create(client, name):
    """Create a configuration of the test's model with one variant of `variant`."""

    def call(variant=INSTANCE, **members):
        variants = [{"VariantName": "main", "ModelName": name, **variant}]
        request = {"EndpointConfigName": name, "ProductionVariants": variants, **members}
        return client("sagemaker").create_endpoint_config(**request)["EndpointConfigArn"]

    return call


@pytest.fixture
def refused(client, create):
    def message(*arguments, **members):
        with pytest.raises(client("sagemaker").exceptions.ClientError) as error:
            create(*arguments, **members)
        return f"{error.value.response['Error']['Code']}: {error.value.response['Error']['Message']}"

    return message


def test_a_configuration_is_described_listed_and_deleted(client, model, create, name):
    model()
    sagemaker = client("sagemaker")
    arn = create(SERVERLESS, Tags=[{"Key": "a", "Value": "b"}], KmsKeyId="key")
    assert arn == f"{ARN}:endpoint-config/{name}"
    described = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert described["EndpointConfigArn"] == arn
    assert described["ProductionVariants"] == [{"VariantName": "main", "ModelName": name, **SERVERLESS}]
    assert described["KmsKeyId"] == "key"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    (summary,) = sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert (summary["EndpointConfigName"], summary["EndpointConfigArn"]) == (name, arn)

    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    for operation in (sagemaker.describe_endpoint_config, sagemaker.delete_endpoint_config):
        with pytest.raises(sagemaker.exceptions.ClientError, match=f'Could not find endpoint configuration "{arn}".'):
            operation(EndpointConfigName=name)


def test_a_name_cannot_be_used_twice(model, create, refused, name):
    model()
    arn = create()
    assert refused() == f'ValidationException: Cannot create already existing endpoint configuration "{arn}".'


def test_the_model_must_exist(refused, name):
    assert refused() == f'ValidationException: Could not find model "{ARN}:model/{name}".'


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({}, "needs both InstanceType and InitialInstanceCount, or else a ServerlessConfig"),
        ({"InstanceType": "ml.m5.xlarge"}, "needs both InstanceType and InitialInstanceCount"),
        ({**INSTANCE, **SERVERLESS}, "so it cannot have InitialInstanceCount or InstanceType"),
        ({**SERVERLESS, "InitialInstanceCount": 1}, "so it cannot have InitialInstanceCount"),
        ({**INSTANCE, "InstanceType": "ml.none"}, "enum value set"),
        ({"ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 201}}, "less than or equal to 200"),
    ],
)
def test_a_variant_has_either_instances_or_a_serverless_configuration(model, refused, variant, message):
    model()
    answer = refused(variant)
    assert answer.startswith("ValidationException: ")
    assert message in answer


def test_exactly_one_variant_with_a_model_is_supported(model, refused, name):
    model()
    variants = [{"VariantName": variant, "ModelName": name, **INSTANCE} for variant in ("a", "b")]
    assert "exactly one production variant" in refused(ProductionVariants=variants)
    assert "main has no ModelName" in refused(ProductionVariants=[{"VariantName": "main", **INSTANCE}])


DATA_CAPTURE = {
    "InitialSamplingPercentage": 1,
    "DestinationS3Uri": "s3://b/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("DataCaptureConfig", DATA_CAPTURE),
        ("AsyncInferenceConfig", {"OutputConfig": {}}),
        ("ShadowProductionVariants", [{"VariantName": "shadow"}]),
        ("ExplainerConfig", {}),
    ],
)
def test_what_is_not_supported_here_is_refused_by_its_name(model, refused, member, value):
    model()
    assert refused(**{member: value}).startswith(f"ValidationException: {member} is not supported here")


def test_serverless_needs_a_model_without_network_isolation(client, create, refused, artifact, job_role, name):
    container = {"Image": "x", "ModelDataUrl": artifact}
    client("sagemaker").create_model(
        ModelName=name, ExecutionRoleArn=job_role, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    assert f"serverless endpoints do not support network isolation, which model {name}" in refused(SERVERLESS)
    create(INSTANCE)
