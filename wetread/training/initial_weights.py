"""Weights of this machine that a training is to start from: into the training bucket, by the hash of their bytes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from functions.aws.cohorts import MOST_WEIGHTS_BYTES
from functions.domain import layout
from functions.names import COHORTS
from wetread.connection import Connection
from wetread.console import note
from wetread.problems import ConfigProblem
from wetread.training.cohorts import checksum_of
from wetread.uploads.files import Source, check_link, opened


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights with the SHA-256 of its bytes, and the licence that the person says it has."""

    path: Path
    sha256: bytes
    licence: str

    @property
    def key(self) -> str:
        """Its key in the training bucket, which does not reveal the file's name."""
        return f"{COHORTS}initial-weights/{self.sha256.hex()}.pth"

    def request(self, bucket: str) -> dict[str, str]:
        """Return the field InitialWeights of an execution's input."""
        return {"Uri": layout.uri(bucket, self.key), "Licence": self.licence}


def read(path: Path | None, licence: str | None) -> WeightsFile | None:
    """Return the file that a person named with its licence, None if neither was named; raise ConfigProblem for half."""
    if path is None and licence is None:
        return None
    if path is None or not (licence or "").strip():
        raise ConfigProblem(
            "--initial-weights and --weights-licence go together.",
            'Say under what licence the weights are used, for example --weights-licence "BSD-3-Clause, torchvision".',
        )
    check_link(path)
    size = path.stat().st_size
    if not 0 < size <= MOST_WEIGHTS_BYTES:
        raise ConfigProblem(
            f"{path} has {size:,} bytes; of weights 1 to {MOST_WEIGHTS_BYTES:,} are taken.",
            "Give the state dict of a DenseNet alone, as torch.save(network.state_dict(), ...) writes it.",
        )
    with path.open("rb") as file:
        return WeightsFile(path, hashlib.file_digest(file, "sha256").digest(), str(licence).strip())


def send(connection: Connection, weights: WeightsFile) -> None:
    """Upload the weights unless the training bucket has them."""
    bucket, checksum = connection.deployment.training_bucket_name, base64.b64encode(weights.sha256).decode()
    if checksum_of(connection.s3, bucket, weights.key) == checksum:
        note("The initial weights are in the training bucket already.")
        return
    with opened(Source(weights.path, weights.key)) as body:
        connection.s3.put_object(
            Bucket=bucket,
            Key=weights.key,
            Body=body,
            ChecksumSHA256=checksum,
            ContentType="application/octet-stream",
        )
    note("Uploaded the initial weights.")
