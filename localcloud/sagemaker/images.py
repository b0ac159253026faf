"""The manifest of a model's image: CreateModel refuses OCI's, training and processing jobs take it.

Seen on AWS: aws/amazon-sagemaker-feedback#180 (the message), mlflow/mlflow#13834, moby/buildkit#5480. An image that is
not in the local ECR is taken, since nothing is known of its manifest.
"""

from __future__ import annotations

import re

from localcloud.patches.patching import emulator
from localcloud.sagemaker.errors import invalid

_URI = re.compile(r"[0-9]+\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/(?P<repository>[^:@]+)(?:@(?P<digest>.+)|:(?P<tag>.+))?")
_REFUSED = frozenset({"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"})


def check_manifest(image: str) -> None:
    """Raise a ValidationException for an image whose manifest in the local ECR CreateModel does not take."""
    uri = _URI.fullmatch(image)
    if uri is None:
        return
    found = emulator("services.ecr", "_images")._images.get(uri["repository"]) or []
    for known in found:
        matches = (
            known["imageDigest"] == uri["digest"] if uri["digest"] else (uri["tag"] or "latest") in known["imageTags"]
        )
        if matches and known["imageManifestMediaType"] in _REFUSED:
            raise invalid(f"Unsupported manifest media type {known['imageManifestMediaType']}")
