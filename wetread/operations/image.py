"""The check of the container's image: SageMaker trains with an OCI image, and then refuses to make a model of it."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.operations.check import CheckResult
from wetread.problems import FORBIDDEN

PERMISSION = "ecr:DescribeImages on the image's repository"
DOCKERS = "application/vnd.docker.distribution.manifest.v2+json"
IN_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws|[a-z0-9.]+)/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
GONE = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})
BUILD = (
    "Build it with `docker build --provenance=false --output type=image,oci-mediatypes=false`, push it under another "
    "tag, and deploy that as `image_uri`; or leave `image_uri` out, and deploy."
)


def check(connection: Connection) -> CheckResult:
    """Check that the image is in this region's ECR with docker's kind of manifest."""
    uri = connection.deployment.image_uri
    place = IN_ECR.fullmatch(uri)
    if place is None:
        return _result(f"{uri} is not in ECR", "AWS's SageMaker takes an image from ECR only.", is_known=False)
    region, here = place["region"], connection.session.region_name
    if region != here:
        what = f"{uri} is in {region}: SageMaker takes images of {here} alone"
        return _result(what, "Push it to ECR there, and deploy that as `image_uri`.")
    try:
        return _judged(uri, _describe(connection, place).get("imageManifestMediaType"))
    except ClientError as error:
        code = error_code(error)
        if code in GONE:
            return _result(f"{uri} is not there ({code}): no job can start", f"Push it again. {BUILD}")
        if code not in FORBIDDEN:
            raise
        needs = f"Needs {PERMISSION}; if account {place['account']} is another one, by its repository's policy too."
        return _result(f"could not ask about {uri}: {code}", needs, is_known=False)


def _judged(uri: str, kind: str | None) -> CheckResult:
    """Judge the media type of an image's manifest; None if ECR does not say it."""
    if kind is None:
        return _result(f"ECR does not say the type of the manifest of {uri}", "Look at it.", is_known=False)
    if kind != DOCKERS:
        return _result(f"{uri} has a manifest of the type {kind}: CreateModel refuses it, so no champion", BUILD)
    return _result(f"{uri} has docker's manifest")


def _describe(connection: Connection, place: re.Match[str]) -> Any:
    """Ask the ECR of the image's account for it."""
    named = {"imageDigest": place["digest"]} if place["digest"] else {"imageTag": place["tag"] or "latest"}
    images = connection.client("ecr").describe_images(
        registryId=place["account"], repositoryName=place["repository"], imageIds=[named]
    )
    return images["imageDetails"][0]


def _result(found: str, remedy: str = "", *, is_known: bool = True) -> CheckResult:
    return CheckResult("Image", found, remedy, is_known)
