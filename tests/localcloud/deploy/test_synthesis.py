"""The CDK app is run as the CDK command line runs it; here the app has a few lines."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from localcloud.deploy import synthesis
from tests.localcloud.example import PROJECT

APP = """
import json, os, pathlib, sys
out = pathlib.Path(os.environ["CDK_OUTDIR"])
out.mkdir()
context = json.loads(os.environ["CDK_CONTEXT_JSON"])
if context["stage"] == "broken":
    sys.exit("no such stage")
names = ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION", "PATH")
(out / "seen.json").write_text(json.dumps({"context": context, **{name: os.environ[name] for name in names}}))
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "infra").mkdir()
    (tmp_path / "functions").mkdir()
    (tmp_path / "infra/__init__.py").touch()
    (tmp_path / "infra/app.py").write_text(APP)
    (tmp_path / "cdk.json").write_text(json.dumps({"app": "-", "context": {"@aws-cdk/flag": True}}))
    return tmp_path


@pytest.fixture
def project(repository):
    command = (sys.executable, "-m", "infra.app")
    return replace(PROJECT, folder=repository, synthesise=command, sources=("infra", "functions", "cdk.json"))


def test_the_app_gets_stage_flags_account_and_the_environment_s_programs(project, tmp_path):
    synthesis.synthesise(project, "local", tmp_path / "out")
    seen = json.loads((tmp_path / "out/seen.json").read_text())
    assert seen["context"] == {"@aws-cdk/flag": True, "stage": "local"}
    assert (seen["CDK_DEFAULT_ACCOUNT"], seen["CDK_DEFAULT_REGION"]) == ("000000000000", "us-east-1")
    assert seen["PATH"].split(":")[0].endswith("bin")


def test_a_failing_app_is_quoted(project, tmp_path):
    with pytest.raises(synthesis.SynthesisError, match=r"(?s)failed for stage 'broken' with status 1:\nno such stage"):
        synthesis.synthesise(project, "broken", tmp_path / "out")


def test_the_fingerprint_follows_sources_and_stage_only(project, repository):
    before = synthesis.fingerprint(project, "local")
    (repository / "infra/__pycache__").mkdir()
    (repository / "infra/__pycache__/app.pyc").write_bytes(b"x")
    assert synthesis.fingerprint(project, "local") == before
    assert synthesis.fingerprint(project, "test") != before
    (repository / "functions/ingest.py").write_text("pass")
    changed = synthesis.fingerprint(project, "local")
    assert changed != before
    (repository / "functions/ingest.py").rename(repository / "functions/other.py")
    assert synthesis.fingerprint(project, "local") not in (before, changed)
