"""The second layer: complete, locked, and for Lambda's processor whatever machine builds it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra import dicom_layer, layer
from infra.dicom_layer import DISTRIBUTIONS, LOCK
from infra.layer import LayerError
from tests.locks import locked

ARM64 = 183  # the machine in the header of an ELF file
MOST_UNPACKED = 250 * 1024**2  # Lambda's, code and layers together


def test_the_two_layers_have_all_that_highdicom_requires() -> None:
    there = {canonicalize_name(name) for name in (*DISTRIBUTIONS, *layer.DISTRIBUTIONS)}
    for name in DISTRIBUTIONS:
        needed = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        wanted = {canonicalize_name(one.name) for one in needed if not one.marker or one.marker.evaluate({"extra": ""})}
        assert wanted <= there, name


def test_the_lock_is_of_the_versions_that_the_tests_run_with() -> None:
    assert {name: version for name, (version, _) in locked(LOCK).items()} == {
        name: importlib.metadata.version(name) for name in DISTRIBUTIONS
    }


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "changed.lock"
    lock.write_text(f"packaging=={importlib.metadata.version('packaging')} --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(dicom_layer, "LOCK", lock)
    with pytest.raises(LayerError, match=r"changed\.lock for Lambda, which the setting dicom_results needs"):
        dicom_layer.build(tmp_path)


@pytest.mark.check
def test_the_layer_is_for_arm_and_fits(tmp_path: Path) -> None:
    """It needs the package index, as `make setup` does."""
    dicom_layer.build(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    machines = {path.read_bytes()[18] for path in files if path.suffix == ".so"}
    assert machines == {ARM64}
    first = tmp_path / "first"
    first.mkdir()
    layer.build(first)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < MOST_UNPACKED
    assert not [path for path in files if "__pycache__" in path.parts or path.name in {"RECORD", "direct_url.json"}]


@pytest.mark.check
def test_the_layer_is_the_same_however_often_it_is_built(tmp_path: Path) -> None:
    built = []
    for name in ("one", "two"):
        dicom_layer.build(tmp_path / name)
        folder = tmp_path / name / "python"
        built.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert built[0] == built[1]


def test_the_function_s_modules_need_nothing_else(tmp_path: Path) -> None:
    """Import the handler with the packages of both layers, here in this machine's builds, and no others."""
    for name in (*DISTRIBUTIONS, *layer.DISTRIBUTIONS):
        for file in importlib.metadata.distribution(name).files or []:
            top = file.parts[0]
            link = tmp_path / top
            if top != ".." and not link.is_symlink():
                link.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import functions.deliver, functions.dicom_results.making; "
        "print(functions.deliver.handler.__name__)"
    )
    root = str(Path(layer.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path), root],
        check=False,
        capture_output=True,
        text=True,
        env={"POWERTOOLS_SERVICE_NAME": "wetread"},
    )
    assert run.stdout == "handler\n", run.stderr
