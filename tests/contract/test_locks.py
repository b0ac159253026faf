"""The image's lock has what its requirements have but torch, with a hash for each wheel; the image is built by it."""

from __future__ import annotations

import re

from tests.locks import REQUIREMENTS, ROOT, UNLOCKED, locked, pins


def test_the_lock_has_every_requirement_in_its_version_and_nothing_else() -> None:
    wanted = {name: version for name, version in pins(REQUIREMENTS).items() if name != UNLOCKED}
    assert {name: version for name, (version, _) in locked().items()} == wanted
    assert all(hashes for _, hashes in locked().values())


def test_its_versions_are_those_that_the_tests_run_with() -> None:
    tested = pins(ROOT / "constraints.txt")
    assert not {name: version for name, (version, _) in locked().items() if tested.get(name, version) != version}


def test_the_image_installs_by_it_builds_nothing_and_checks_that_nothing_is_missing() -> None:
    dockerfile = re.sub(r"\\\n\s+", "", (ROOT / "model_code/Dockerfile").read_text())
    (locked_install, torch_install) = re.findall(r"pip install ([^&\n]+)", dockerfile)
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "model_code/requirements.lock"):
        assert option in locked_install
    assert "--only-binary :all:" in torch_install
    assert f"torch=={pins(REQUIREMENTS)['torch']}" in torch_install
    assert "&& pip check" in dockerfile
