from __future__ import annotations

import importlib.metadata

import pytest

from localcloud.patches import patching


@pytest.fixture
def sandbox(monkeypatch):
    """A module of the emulator with one function in it."""
    module = patching.emulator("core.arn")
    monkeypatch.setattr(module, "example", lambda first, second: (first, second), raising=False)
    return module


def test_another_release_of_the_emulator_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "1.6.0")
    with pytest.raises(patching.PatchError, match=r"MiniStack 1\.6\.0 is installed.*pip install"):
        patching.check_version()


def test_a_name_that_has_gone_is_named():
    with pytest.raises(patching.PatchError, match=r"core\.arn has no vanished"):
        patching.emulator("core.arn", "vanished")


def test_a_function_that_has_changed_is_refused(sandbox):
    with pytest.raises(patching.PatchError, match=r"core\.arn\.example takes \('first', 'second'\)"):
        patching.replace("core.arn", "example", ("first",), lambda original: original)


def test_a_function_is_replaced_by_what_is_built_of_it(sandbox):
    patching.replace(
        "core.arn", "example", ("first", "second"), lambda original: lambda *both: original(*reversed(both))
    )
    assert sandbox.example(1, 2) == (2, 1)


def test_a_resource_type_without_a_handler_is_named():
    with pytest.raises(patching.PatchError, match="no import handler of AWS::S3::Nothing"):
        patching.replace_handler("AWS::S3::Nothing", "import", lambda original: original)
