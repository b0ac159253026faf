"""S3 locations of job inputs and outputs: URIs, prefixes and manifests are resolved to objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.store import Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key or key prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Location:
        """Parse `s3://bucket/key`; raise ServiceError for anything else."""
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise invalid(f"{uri!r} is no S3 URI; s3://bucket/key is expected.")
        return cls(bucket, key)

    def below(self, name: str) -> S3Location:
        """Return the location of a key below this prefix."""
        return S3Location(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))


@dataclass(frozen=True)
class InputObject:
    """An input: its location, and its name relative to the prefix, which also names the output."""

    location: S3Location
    name: str


def resolve(s3: S3Client, source: Record, role_arn: str) -> list[InputObject]:
    """Return the objects that an S3DataSource names, in order; raise a ValidationException if there are none.

    As on AWS, a role that may not list gets the same error as a prefix without objects.
    """
    location = S3Location.parse(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        return _manifest(s3, location, source["S3Uri"])
    if source["S3DataType"] != "S3Prefix":
        raise invalid(f"S3DataType {source['S3DataType']} is not supported; use ManifestFile or S3Prefix.")
    try:
        keys = _list(s3, location)
    except ClientError:
        keys = []
    if not keys:
        raise invalid(
            f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that the '
            f"bucket exists in the selected region ({s3.meta.region_name}), that objects exist under that S3 prefix, "
            f'and that the role "{role_arn}" has "s3:ListBucket" permissions on bucket "{location.bucket}".'
        )
    folder = location.key.rsplit("/", 1)[0] + "/" if "/" in location.key else ""
    return [InputObject(S3Location(location.bucket, key), key.removeprefix(folder)) for key in keys]


def objects_below(s3: S3Client, folder: S3Location) -> list[InputObject]:
    """Return all objects below a folder, which may be empty; raise ClientError if the role may not list them."""
    prefix = folder.below("")
    return [InputObject(S3Location(prefix.bucket, key), key.removeprefix(prefix.key)) for key in _list(s3, prefix)]


def _list(s3: S3Client, prefix: S3Location) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
    return [entry["Key"] for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]


def _manifest(s3: S3Client, location: S3Location, uri: str) -> list[InputObject]:
    """Return the objects of a manifest: `[{"prefix": "s3://bucket/folder/"}, "name", ...]`."""
    try:
        entries = json.loads(s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read())
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise invalid(f"Could not read the manifest {uri}: {code}: {message}") from error
    except ValueError as error:
        raise invalid(f"The manifest {uri} is no JSON document: {error}") from error
    try:
        first, *names = entries
        prefix = S3Location.parse(first["prefix"])
    except (TypeError, KeyError, ValueError, ServiceError) as error:
        raise invalid(f'The manifest {uri} does not begin with {{"prefix": "s3://bucket/folder/"}}.') from error
    if not names or not all(isinstance(name, str) and name for name in names):
        raise invalid(f"The manifest {uri} names no objects, or entries that are no names.")
    return [InputObject(S3Location(prefix.bucket, prefix.key + name), name) for name in names]
