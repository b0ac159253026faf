"""The synthesised stages, once per session, and a reader of templates."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.app import synthesise, synthesise_config
from infra.config import load_stage

EXPRESS = {"express": True, "tick_delay_seconds": 3, "tick_window_seconds": 2, "express_concurrency": 3}
RESULTS = {"dicom_results": ["sr", "card", "keys", "heat"], "fhir_results": True}


def text(value: Any) -> str:
    """Return a template's value with references as construct names, without CDK's hash suffixes."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{_name(value['Ref'])}>"
    if "Fn::GetAtt" in value:
        return f"<{_name(value['Fn::GetAtt'][0])}>"
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    separator, parts = value["Fn::Join"]
    return str(separator).join(map(text, parts))


def _name(logical_id: str) -> str:
    return re.sub(r"[0-9A-F]{8}$", "", logical_id)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Assembly:
    """One synthesised stage."""

    directory: Path
    template: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return construct name -> properties of every resource of a type; fail when there are no such resources."""
        found = {_name(k): r["Properties"] for k, r in self.template["Resources"].items() if r["Type"] == kind}
        assert found, f"the template has no {kind}"
        return found

    def named(self, kind: str, name: str) -> dict[str, Any]:
        return self.of_type(kind)[name]

    def resource(self, name: str) -> dict[str, Any]:
        """Return the whole resource, with its deletion policies."""
        (found,) = (r for k, r in self.template["Resources"].items() if _name(k) == name)
        return dict(found)

    def environment(self, function: str) -> dict[str, str]:
        variables = self.named("AWS::Lambda::Function", function)["Environment"]["Variables"]
        return {name: text(value) for name, value in variables.items()}

    def statements(self, role: str) -> Iterator[dict[str, Any]]:
        managed = self.of_type("AWS::IAM::ManagedPolicy")
        inline = [
            policy
            for policy in self.of_type("AWS::IAM::Policy").values()
            if f"<{role}Role>" in map(text, policy["Roles"])
        ]
        for policy in [managed[role]] if role in managed else inline:
            yield from policy["PolicyDocument"]["Statement"]

    def lint(self) -> str:
        """Return what cfn-lint reports of the template, "" if nothing; raise CalledProcessError if it cannot run."""
        (template,) = self.directory.glob("*.template.json")
        # W3005: beside a role's ARN CDK always writes DependsOn the role, so that its policies exist first.
        command = [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W3005", "--", template]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if not result.stdout:
            result.check_returncode()
        return result.stdout

    def permissions(self, role: str) -> set[tuple[str, str]]:
        """Return all (action, resource) pairs of a role ("ModelJob"), or of a policy for people ("PeopleReader")."""
        return {
            (action, text(resource))
            for statement in self.statements(role)
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
        }


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Assembly]:
    def synthesise_stage(stage: str) -> Assembly:
        directory = synthesise(tmp_path_factory.mktemp(stage), stage)
        return Assembly(directory, json.loads((directory / "Wetread.template.json").read_text()))

    return synthesise_stage


@pytest.fixture(scope="session")
def default(synthesised: Callable[[str], Assembly]) -> Assembly:
    return synthesised("default")


@pytest.fixture(scope="session")
def local(synthesised: Callable[[str], Assembly]) -> Assembly:
    return synthesised("local")


@pytest.fixture(scope="session")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, Any]], Assembly]:
    def synthesise_settings(settings: Mapping[str, Any]) -> Assembly:
        folder = Path(synthesise_config(tmp_path_factory.mktemp("asked"), load_stage({"asked": settings}, "asked")))
        (template,) = folder.glob("*.template.json")
        return Assembly(folder, json.loads(template.read_text()))

    return synthesise_settings


@pytest.fixture(scope="session")
def asked(configured: Callable[[Mapping[str, Any]], Assembly]) -> Assembly:
    """Return a stage as the default one, with the express lane."""
    return configured(EXPRESS)


@pytest.fixture(scope="session")
def whole(configured: Callable[[Mapping[str, Any]], Assembly]) -> Assembly:
    """Return a stage with every function."""
    return configured(EXPRESS | RESULTS)


@pytest.fixture(scope="session")
def definition(default: Assembly) -> dict[str, Any]:
    """Return the state machine's definition, with construct names for names and ARNs."""
    (machine,) = default.of_type("AWS::StepFunctions::StateMachine").values()
    return dict(json.loads(text(machine["DefinitionString"])))


@pytest.fixture(scope="session")
def machine(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition with names and ARNs as a deployment gives them."""
    document = json.dumps(definition)
    for name, value in {
        "<StorageTraining>": "wetread-training",
        "<TrainingJobRole>": "arn:aws:iam::111122223333:role/wetread-training",
        "<StorageKey>": "arn:aws:kms:eu-west-1:111122223333:key/0",
        "<Notices>": "arn:aws:sns:eu-west-1:111122223333:notices",
    }.items():
        document = document.replace(name, value)
    return dict(json.loads(document))
