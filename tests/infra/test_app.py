from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.app import ROOT


def synthesise_as_the_cli_does(outdir: Path, context: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    # No PATH: node must be found beside the interpreter, as in an environment that is not activated.
    environment = {"PATH": "", "CDK_OUTDIR": str(outdir), "CDK_CONTEXT_JSON": json.dumps(context)}
    command = [sys.executable, "-m", "infra.app"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_command_synthesises_silently_into_the_folder_of_the_cli(tmp_path: Path) -> None:
    result = synthesise_as_the_cli_does(tmp_path, {"stage": "local"})
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    template = json.loads((tmp_path / "Wetread.template.json").read_text())
    assert template["Outputs"]["Slots"]["Value"] == "1"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (
            {"stage": "prod"},
            "Stage 'prod' is not among the stages of cdk.json (default, local). Name one of these, or add it there.\n",
        ),
        ({"stages": {"default": {"slots": 0}}}, "Stage 'default' in cdk.json: slots is 0: 1 to 100 is expected.\n"),
    ],
)
def test_a_wrong_stage_ends_in_one_sentence(tmp_path: Path, context: dict[str, Any], message: str) -> None:
    result = synthesise_as_the_cli_does(tmp_path, context)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


@pytest.mark.parametrize(
    "arguments",
    [["infra.rights", "key", "nowhere", "111122223333", "eu-west-1"], ["infra.state_checks", "made", "nowhere"]],
)
def test_the_other_commands_find_node_too_and_end_in_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    environment = {"PATH": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Stage 'nowhere' is not among the stages of cdk.json"), result.stderr


def test_the_cli_is_given_the_same_command() -> None:
    assert json.loads((ROOT / "cdk.json").read_text())["app"].endswith("python -m infra.app")
