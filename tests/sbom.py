"""The deployed packages as CycloneDX bills of materials: `make sbom` writes them into build/sbom/.

image.cdx.json has the image's base and Python packages, layer.cdx.json the packages of the functions' layer, and
dicom_layer.cdx.json those of the layer of DICOM results; each with the SHA-256 of every wheel that may be installed; of
torch, those of the builds for CPUs, which are the default. The same locks give the same bytes. Not in it: the Debian
packages and the Python of the base image, and libraries inside wheels.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.licences import licence_of
from tests.locks import DICOM_LOCK, LAYER_LOCK, LOCK, REQUIREMENTS, ROOT, TORCH_LOCK, UNLOCKED, locked, pins

FOLDER = ROOT / "build/sbom"
DOCKERFILE = ROOT / "model_code/Dockerfile"
BASE = re.compile(r"^FROM (?P<name>[^:@\s]+):(?P<tag>[^@\s]+)@sha256:(?P<digest>[0-9a-f]{64})$", re.MULTILINE)
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"

Component = dict[str, Any]


def image() -> dict[str, Any]:
    """Return the bill of the container image."""
    (_, wheels) = locked(TORCH_LOCK)[UNLOCKED]
    # Without the local label of the version: advisories name none.
    torch = _package(UNLOCKED, pins(REQUIREMENTS)[UNLOCKED], wheels)
    torch["description"] = "The build for CPUs. A stage whose torch_index_url is of builds for CUDA has another one."
    return _bill("wetread-model", "container", [_base(), torch, *_packages(LOCK)])


def layer() -> dict[str, Any]:
    """Return the bill of the functions' layer."""
    return _bill("wetread-layer", "application", _packages(LAYER_LOCK))


def dicom_layer() -> dict[str, Any]:
    """Return the bill of the layer of DICOM results."""
    return _bill("wetread-dicom-layer", "application", _packages(DICOM_LOCK))


def _bill(name: str, kind: str, components: list[Component]) -> dict[str, Any]:
    subject = {"bom-ref": name, "type": kind, "name": name, "version": metadata.version("wetread")}
    parts = sorted(components, key=lambda one: str(one["bom-ref"]))
    bill = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": parts,
        "compositions": [{"aggregate": "incomplete", "assemblies": [name]}],
    }
    return bill | {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill, sort_keys=True))}"}


def _base() -> Component:
    found = BASE.search(DOCKERFILE.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{DOCKERFILE.name} names no base image by tag and digest.")
    name, tag, digest = found.group("name", "tag", "digest")
    purl = f"pkg:oci/{name}@sha256%3A{digest}?tag={tag}"
    hashes = [{"alg": "SHA-256", "content": digest}]
    return {"bom-ref": purl, "type": "container", "name": name, "version": tag, "purl": purl, "hashes": hashes}


def _packages(lock: Path) -> list[Component]:
    return [_package(name, version, hashes) for name, (version, hashes) in locked(lock).items()]


def _package(name: str, version: str, wheels: list[str]) -> Component:
    """Return a package; its reference of type ``distribution`` has the hashes of its wheels."""
    purl = f"pkg:pypi/{name}@{version}"
    hashes = [{"alg": "SHA-256", "content": one} for one in wheels]
    distribution = {"type": "distribution", "url": purl, "comment": "each wheel that Linux may take", "hashes": hashes}
    return {
        "bom-ref": purl,
        "type": "library",
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"name": licence_of(name)}}],
        "externalReferences": [distribution],
    }


def main() -> None:
    """Write all and say where."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, bill in (("image", image()), ("layer", layer()), ("dicom_layer", dicom_layer())):
        file = FOLDER / f"{name}.cdx.json"
        file.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)} has {len(bill['components'])} components.\n")


if __name__ == "__main__":
    main()
