"""What is deployed is locked: all of it, in the tested versions, with a hash for each wheel; and the locks are used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.locks import CONSTRAINTS, LAYER_LOCK, LOCK, REQUIREMENTS, ROOT, locked, of_image, of_layer, pins


@pytest.mark.parametrize(("lock", "wanted"), [(LOCK, of_image()), (LAYER_LOCK, of_layer())])
def test_a_lock_has_all_that_is_deployed_in_its_version_and_nothing_else(lock: Path, wanted: dict[str, str]) -> None:
    assert {name: version for name, (version, _) in locked(lock).items()} == wanted
    assert all(hashes for _, hashes in locked(lock).values())


def test_the_images_versions_are_those_that_the_tests_run_with() -> None:
    tested = pins(CONSTRAINTS)
    assert not {name: version for name, version in of_image().items() if tested.get(name, version) != version}


def test_set_up_installs_the_layer_by_its_lock_before_all_else() -> None:
    first, second = re.findall(r"pip install (.+)", (ROOT / "Makefile").read_text())
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "infra/layer.lock"):
        assert option in first
    assert "constraints.txt" in second, "which leaves what is there in its version"


def test_the_image_installs_by_it_builds_nothing_and_checks_that_nothing_is_missing() -> None:
    dockerfile = re.sub(r"\\\n\s+", "", (ROOT / "model_code/Dockerfile").read_text())
    (locked_install, torch_install) = re.findall(r"pip install ([^&\n]+)", dockerfile)
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "model_code/requirements.lock"):
        assert option in locked_install
    assert "--only-binary :all:" in torch_install
    assert f"torch=={pins(REQUIREMENTS)['torch']}" in torch_install
    assert "&& pip check" in dockerfile
