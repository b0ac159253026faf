"""The SHA-256 of an object uploaded in parts is composite: in every answer, and in that of a copy.

Amazon S3 User Guide, "Checking object integrity": a composite checksum is the checksum of the parts' checksums,
followed by a dash and their number. botocore's model of CopyObject: the source's
checksum "will be copied to the new object".
"""

from __future__ import annotations

import base64
import hashlib

import pytest

PARTS = (b"a" * (5 << 20), b"b" * 1000)


def _sha256(body):
    return hashlib.sha256(body).digest()


COMPOSITE = base64.b64encode(_sha256(b"".join(map(_sha256, PARTS)))).decode() + "-2"


@pytest.fixture
def in_parts(client, bucket):
    """Upload PARTS with SHA256; return the answer of CompleteMultipartUpload."""
    s3 = client("s3")
    target = {"Bucket": bucket, "Key": "parts"}
    upload = s3.create_multipart_upload(**target, ChecksumAlgorithm="SHA256")["UploadId"]
    done = []
    for number, body in enumerate(PARTS, 1):
        part = s3.upload_part(**target, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        done.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    return s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": done})


def test_completion_and_head_agree_on_a_composite_checksum(client, bucket, in_parts):
    assert (in_parts["ChecksumSHA256"], in_parts["ChecksumType"]) == (COMPOSITE, "COMPOSITE")
    head = client("s3").head_object(Bucket=bucket, Key="parts", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (COMPOSITE, "COMPOSITE")


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("asked", [{"ChecksumAlgorithm": "SHA256"}, {}])
def test_a_copy_passes_on_the_composite_checksum(client, bucket, asked, versioned, request):
    s3 = client("s3")
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = request.getfixturevalue("in_parts").get("VersionId")
    source = {"Bucket": bucket, "Key": "parts", **({"VersionId": version} if versioned else {})}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **asked)["CopyObjectResult"]
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (copied["ChecksumSHA256"], copied["ChecksumType"]) == (COMPOSITE, "COMPOSITE")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (COMPOSITE, "COMPOSITE")


def test_a_copy_of_a_whole_object_has_the_checksum_of_its_bytes(client, bucket):
    client("s3").put_object(Bucket=bucket, Key="whole", Body=b"whole")
    source = {"Bucket": bucket, "Key": "whole"}
    asked = {"Bucket": bucket, "Key": "copy", "ChecksumAlgorithm": "SHA256"}
    copied = client("s3").copy_object(CopySource=source, **asked)["CopyObjectResult"]
    wanted = (base64.b64encode(_sha256(b"whole")).decode(), "FULL_OBJECT")
    assert (copied["ChecksumSHA256"], copied["ChecksumType"]) == wanted
