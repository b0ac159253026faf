"""cdk-nag's packs over the default stage: every finding is acknowledged, and every acknowledgement has a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra import compliance, grants
from infra.app import synthesise

PACKS = {"AwsSolutions", "HIPAA.Security"}


@dataclass
class Acknowledged:
    """Replaces CDK's Validations and records acknowledgements, so that the packs report every finding."""

    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    found: set[tuple[str, str]] = field(default_factory=set)
    packs: set[str] = field(default_factory=set)
    path: str = ""

    def of(self, scope: Any) -> Any:
        if isinstance(scope, cdk.App):
            return cdk.Validations.of(scope)
        self.path = scope.node.path
        return self

    def acknowledge(self, *rules: cdk.Acknowledgment) -> None:
        self.reasons.update(((self.path, rule.id), rule.reason) for rule in rules)

    def read(self, report: Path) -> None:
        for pack in json.loads(report.read_text())["pluginReports"]:
            self.packs.add(pack["pluginName"])
            for violation in pack["violations"]:
                paths = (one["constructPath"] for one in violation["violatingConstructs"])
                self.found.update((path, violation["ruleName"]) for path in paths)


@pytest.fixture(scope="module")
def acknowledged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acknowledged]:
    """Run a synthesis that fails, since CDK gets no acknowledgement; return acknowledgements and findings."""
    folder, known = tmp_path_factory.mktemp("findings"), Acknowledged()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compliance, "Validations", known)
        with pytest.raises(RuntimeError, match="ValidationFailed"):
            synthesise(folder, "default")
    known.read(folder / "validation-report.json")
    return known


def _covers(acknowledgement: tuple[str, str], finding: tuple[str, str]) -> bool:
    (scope, rule), (path, found) = acknowledgement, finding
    return rule == found and f"{path}/".startswith(f"{scope}/")


def test_both_packs_have_run(acknowledged: Acknowledged) -> None:
    assert acknowledged.packs >= PACKS
    assert {rule.partition("-")[0] for _, rule in acknowledged.found} == PACKS


def test_every_finding_is_fixed_or_acknowledged(acknowledged: Acknowledged) -> None:
    reasons = acknowledged.reasons
    assert not [one for one in acknowledged.found if not any(_covers(known, one) for known in reasons)]


def test_every_acknowledgement_has_a_finding(acknowledged: Acknowledged) -> None:
    found = acknowledged.found
    assert not [one for one in acknowledged.reasons if not any(_covers(one, finding) for finding in found)]


def test_every_acknowledgement_says_why_in_one_sentence(acknowledged: Acknowledged) -> None:
    for reason in acknowledged.reasons.values():
        assert len(reason.split()) >= 4
        assert reason[0].isupper()
        assert reason.endswith(".")


@pytest.mark.parametrize(("arn", "because"), [("arn:aws:s3:::a/*", ""), ("arn:aws:s3:::a", "No pattern needs this.")])
def test_a_grant_gives_a_reason_for_patterns_and_for_nothing_else(arn: str, because: str) -> None:
    role: Any = None
    with pytest.raises(ValueError, match="A reason is expected"):
        grants.allow(role, "s3:GetObject", on=[arn], because=because)


def test_a_finding_without_an_acknowledgement_fails_the_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.storage.acknowledge", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesise(tmp_path, "default")
    report = json.loads((tmp_path / "validation-report.json").read_text())
    assert {pack["pluginName"] for pack in report["pluginReports"] if pack["violations"]} == {"HIPAA.Security"}
