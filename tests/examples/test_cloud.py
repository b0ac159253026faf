"""The examples that need a cloud: which one they speak to, and what they say without it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wetread.connection import Choice
from wetread.demo.phantoms import write_cohort
from wetread.scripting import add_cloud_options, chosen

EXAMPLES = Path(__file__).parents[2] / "examples"
ARGUMENTS = {
    "results_in_pandas.py": (),
    "studies_in_pandas.py": (),
    "retrain_and_compare.py": (".", "epochs=1"),
}
OF_AWS = ("AWS_", "WETREAD_")


def run(tmp_path: Path, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a person without an AWS account and without a local cloud."""
    write_cohort(tmp_path, patients=3, slices_per_patient=1, size=64)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OF_AWS)}
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), "WETREAD_HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name], *arguments]
    return subprocess.run(
        command, env=kept | alone | variables, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_every_example_that_has_a_cloud_is_tried() -> None:
    assert set(ARGUMENTS) == {one.name for one in EXAMPLES.glob("*.py") if "connect(" in one.read_text()}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_without_an_aws_account_there_is_one_sentence(tmp_path, name) -> None:
    done = run(tmp_path, name, AWS_DEFAULT_REGION="eu-west-1")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: There are no usable AWS credentials")
    assert "use --local" in line


def choice(*arguments: str) -> Choice:
    parser = argparse.ArgumentParser()
    add_cloud_options(parser)
    return chosen(parser.parse_args(arguments))


@pytest.mark.parametrize(("value", "local"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_variable_of_the_command_line_chooses_the_local_cloud(monkeypatch, value, local) -> None:
    monkeypatch.setenv("WETREAD_LOCAL", value)
    monkeypatch.setenv("WETREAD_STACK", "Other")
    assert (choice().local, choice().stack) == (local, "Other")
    assert choice("--local").local


def test_a_since_that_is_no_time_is_refused(tmp_path) -> None:
    done = run(tmp_path, "studies_in_pandas.py", "--since", "soon")
    assert done.returncode == 2
    assert "'soon' is no time" in done.stderr
    assert "Traceback" not in done.stderr
