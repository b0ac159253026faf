"""Image assets of a cloud assembly: recorded in the local ECR as docker would push them, without being built.

A current docker keeps images as OCI manifests (containerd's image store, the default of docker 29), and cdk-assets runs
`docker build` and `docker push`. Only an asset whose `dockerOutputs` say `oci-mediatypes=false` gets docker's own
manifest, which SageMaker's CreateModel needs (aws/amazon-sagemaker-feedback#180).
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import boto3

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKERS_OWN = "oci-mediatypes=false"


class Images:
    """The image assets of one deployment."""

    def __init__(self, session: boto3.Session):
        self._ecr = session.client("ecr")

    def publish(self, asset: dict[str, Any], repository: str) -> None:
        """Record the image of an asset in `repository`, under its destination's tag."""
        (destination,) = asset["destinations"].values()
        media_type = media_type_of(asset["source"])
        with contextlib.suppress(self._ecr.exceptions.RepositoryAlreadyExistsException):
            self._ecr.create_repository(repositoryName=repository)
        tag = destination["imageTag"]
        # The tag makes the manifest, and so its digest, the image's own.
        manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "annotations": {"tag": tag}})
        self._ecr.put_image(
            repositoryName=repository, imageManifest=manifest, imageManifestMediaType=media_type, imageTag=tag
        )


def media_type_of(source: dict[str, Any]) -> str:
    """Return the media type of the manifest that a current docker pushes for an asset's source."""
    outputs = source.get("dockerOutputs") or []
    return DOCKER if any(_DOCKERS_OWN in output.split(",") for output in outputs) else OCI
