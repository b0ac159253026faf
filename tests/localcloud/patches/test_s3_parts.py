"""The SHA-256 of an object uploaded in parts is composite: in every answer, and in that of a copy.

A composite checksum is the checksum of the parts' checksums, followed by a dash and their number. Whether AWS passes it
on with a copy is not certain: localcloud/patches/s3.py quotes the two documents.
"""

from __future__ import annotations

import base64
import hashlib

import pytest

from functions.aws.objects import copy_version

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


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32"])
def test_the_service_learns_the_digest_of_the_bytes_from_a_copy_of_an_upload_in_parts(client, bucket, algorithm):
    s3 = client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    target = {"Bucket": bucket, "Key": "ward/a b.dcm"}
    upload = s3.create_multipart_upload(**target, ChecksumAlgorithm=algorithm)["UploadId"]
    done = []
    for number, body in enumerate(PARTS, 1):
        part = s3.upload_part(**target, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        done.append({"PartNumber": number, "ETag": part["ETag"], f"Checksum{algorithm}": part[f"Checksum{algorithm}"]})
    version = s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": done})["VersionId"]
    s3.put_object(**target, Body=b"a later version")
    whole = b"".join(PARTS)
    assert copy_version(s3, bucket, target["Key"], version, to=(bucket, "pinned")) == hashlib.sha256(whole).hexdigest()
    assert s3.get_object(Bucket=bucket, Key="pinned")["Body"].read() == whole


def test_a_copy_of_a_whole_object_has_the_checksum_of_its_bytes(client, bucket):
    client("s3").put_object(Bucket=bucket, Key="whole", Body=b"whole")
    source = {"Bucket": bucket, "Key": "whole"}
    asked = {"Bucket": bucket, "Key": "copy", "ChecksumAlgorithm": "SHA256"}
    copied = client("s3").copy_object(CopySource=source, **asked)["CopyObjectResult"]
    wanted = (base64.b64encode(_sha256(b"whole")).decode(), "FULL_OBJECT")
    assert (copied["ChecksumSHA256"], copied["ChecksumType"]) == wanted
