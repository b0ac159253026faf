"""The bills of materials: valid CycloneDX, the same bytes each time, and everything that is locked is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tests import sbom
from tests.locks import DICOM_LOCK, LAYER_LOCK, LOCK, REQUIREMENTS, ROOT, TORCH_LOCK, locked, pins

TORCH = {"torch": (pins(REQUIREMENTS)["torch"], locked(TORCH_LOCK)["torch"][1])}
BILLS = {
    "image": (sbom.image(), locked(LOCK) | TORCH),
    "layer": (sbom.layer(), locked(LAYER_LOCK)),
    "dicom_layer": (sbom.dicom_layer(), locked(DICOM_LOCK)),
}


def invalid(bill: dict[str, Any]) -> str:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    return str(error.data.message) if error else ""


@pytest.mark.parametrize("name", BILLS)
def test_it_is_valid(name: str) -> None:
    bill, _ = BILLS[name]
    assert invalid(bill) == ""
    assert invalid({key: value for key, value in bill.items() if key != "specVersion"}), "what is not valid is seen"


@pytest.mark.parametrize("name", BILLS)
def test_it_has_every_locked_package_with_every_hash(name: str) -> None:
    bill, packages = BILLS[name]
    listed = {
        one["name"]: (one["version"], [each["content"] for each in one["externalReferences"][0]["hashes"]])
        for one in bill["components"]
        if "externalReferences" in one
    }
    assert listed == packages
    assert all(hashes for _, hashes in listed.values())


def test_the_image_has_its_base_by_digest() -> None:
    parts = {one["name"]: one for one in BILLS["image"][0]["components"]}
    assert set(parts) - set(BILLS["image"][1]) == {"python"}
    digest = parts["python"]["hashes"][0]["content"]
    assert f"FROM python:{parts['python']['version']}@sha256:{digest}\n" in (ROOT / "model_code/Dockerfile").read_text()


@pytest.mark.parametrize("name", BILLS)
def test_each_part_is_named_as_scanners_know_it_and_states_its_licence(name: str) -> None:
    for one in BILLS[name][0]["components"]:
        known = PackageURL.from_string(one["purl"])
        assert known.name == one["name"]
        assert known.version in {one["version"], f"sha256:{one.get('hashes', [{}])[0].get('content')}"}
        assert one["type"] == "container" or one["licenses"][0]["license"]["name"]


def test_it_does_not_claim_to_be_complete() -> None:
    for bill, _ in BILLS.values():
        assert bill["compositions"] == [
            {"aggregate": "incomplete", "assemblies": [bill["metadata"]["component"]["bom-ref"]]}
        ]


def test_the_same_locks_give_the_same_bytes_and_others_another_serial_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sbom, "ROOT", tmp_path)
    monkeypatch.setattr(sbom, "FOLDER", tmp_path / "sbom")
    sbom.main()
    first = {file.name: file.read_bytes() for file in (tmp_path / "sbom").iterdir()}
    sbom.main()
    assert {file.name: file.read_bytes() for file in (tmp_path / "sbom").iterdir()} == first
    assert set(first) == {"image.cdx.json", "layer.cdx.json", "dicom_layer.cdx.json"}
    assert "sbom/image.cdx.json has" in capsys.readouterr().out
    assert not [file for file in first.values() if re.search(rb"20\d\d-\d\d-\d\dT", file)]
    changed = tmp_path / "layer.lock"
    changed.write_text(LAYER_LOCK.read_text().replace("pydicom==3.0.2", "pydicom==3.0.3"))
    monkeypatch.setattr(sbom, "LAYER_LOCK", changed)
    assert sbom.layer()["serialNumber"] != BILLS["layer"][0]["serialNumber"]


def test_a_base_image_without_a_digest_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.12-slim\n")
    monkeypatch.setattr(sbom, "DOCKERFILE", tmp_path / "Dockerfile")
    with pytest.raises(SystemExit, match="no base image by tag and digest"):
        sbom.image()
