from __future__ import annotations

import pytest

from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.shapes import check

REQUEST = {
    "TransformJobName": "job-1",
    "ModelName": "model",
    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://b/m.json"}}},
    "TransformOutput": {"S3OutputPath": "s3://b/out/"},
    "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
}


def problems(**changes):
    with pytest.raises(ServiceError) as error:
        check("CreateTransformJob", {**REQUEST, **changes})
    assert error.value.code == "ValidationException"
    return error.value.message


def test_a_good_request_passes():
    check("CreateTransformJob", REQUEST)
    check("CreateTransformJob", {**REQUEST, "Tags": [{"Key": "ärzte:batch", "Value": "a b+c=d@e"}]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelName": None}, "Value 'null' at 'modelName' failed to satisfy constraint: Member must not be null"),
        ({"TransformJobName": "a" * 64}, "less than or equal to 63"),
        ({"TransformJobName": "-a"}, "regular expression pattern"),
        ({"BatchStrategy": "Some"}, "enum value set: [MultiRecord, SingleRecord]"),
        ({"MaxPayloadInMB": -1}, "Member must have value greater than or equal to 0"),
        ({"MaxPayloadInMB": "6"}, "Member must be a integer"),
        ({"MaxPayloadInMB": True}, "Member must be a integer"),
        ({"Environment": {f"K{n}": "v" for n in range(17)}}, "length less than or equal to 16"),
        ({"Environment": {"1K": "v"}}, "'environment.key'"),
        ({"Tags": [{"Key": ""}]}, "'tags.1.member.value'"),
        ({"Nonsense": 1}, "Unknown parameter 'nonsense'"),
        (
            {"TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 0}},
            "transformResources.instanceCount",
        ),
    ],
)
def test_what_aws_would_refuse_is_refused_by_its_path(changes, message):
    assert message in problems(**changes)


def test_all_that_is_wrong_is_said_at_once():
    assert problems(TransformJobName="_", MaxPayloadInMB=-1).startswith("2 validation errors detected: ")


def test_an_operation_that_sagemaker_does_not_have():
    with pytest.raises(ServiceError, match="no operation CreateNonsense"):
        check("CreateNonsense", {})
