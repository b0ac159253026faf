"""What the image is built from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([\w.]+)$")


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    matches = [PIN.match(line) for line in lines]
    return {match[1].lower().replace("_", "-"): match[2] for match in matches if match}


def test_every_requirement_is_an_exact_pin_that_the_tests_run_with() -> None:
    image, tested = pins(ROOT / "model_code" / "requirements.txt"), pins(ROOT / "constraints.txt")
    lines = [line for line in (ROOT / "model_code" / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]
    assert len(image) == len(lines)
    differing = {
        name: (version, tested[name]) for name, version in image.items() if tested.get(name, version) != version
    }
    assert not differing
    assert {"torch", "monai", "pydicom", "python-gdcm", "uvicorn"} <= set(image)


@pytest.mark.parametrize("name", ["pylibjpeg-libjpeg", "wetread"])
def test_what_the_image_must_not_hold(name: str) -> None:
    assert name not in pins(ROOT / "model_code" / "requirements.txt")


def test_the_image_runs_the_package() -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "model_code"]' in dockerfile


def test_nvidias_container_runtime_shows_the_image_its_gpus() -> None:
    """With the variable unset it shows none, and the container would answer on the CPU of a GPU host."""
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    assert "ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility" in dockerfile


def test_what_the_image_is_built_upon_is_named_by_its_digest() -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (.*)$", dockerfile, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.12\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base) for base in bases)


def test_an_image_that_is_built_without_a_word_has_torch_for_processors() -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    assert re.search(r"^ARG TORCH_INDEX_URL=https://download\.pytorch\.org/whl/cpu$", dockerfile, re.MULTILINE)


def test_nvidias_runtime_gives_the_container_its_gpus() -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    variables = dict(re.findall(r"(?:^ENV | )([A-Z_]+)=(\S+)", dockerfile, re.MULTILINE))
    assert variables["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


def test_no_bytecode_of_the_image_has_a_date() -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", dockerfile)
    assert installs
    assert all("--no-compile" in one for one in installs)
    compiled = re.findall(r"python -m compileall (.*)", dockerfile)
    assert len(compiled) == 2, "of the packages, and of our own code"
    assert all("-f --invalidation-mode unchecked-hash" in one for one in compiled), "over what a start of Python wrote"
    assert not [one for one in compiled if "-j" in one], "bytes would depend on which process compiled what"
