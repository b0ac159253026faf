"""Record the IAM requests of the whole story, with IAM enforced, for every role.

Runs the end-to-end tests (a quarter of an hour) in clouds that record each IAM request, and keeps the requests in
tests/infra/questions.json, with construct names instead of names, and prefixes instead of keys and runs. The offline
tests then remove each statement and check that one of these requests would be denied.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from functions.names import (
    ARTIFACTS,
    BATCHES,
    CHECKPOINTS,
    COHORTS,
    DICOM_RESULTS,
    EXPRESS,
    INSTANCES,
    OUTPUTS,
    PREDICTIONS,
    RUNS,
    SLICES,
    STUDIES,
)
from tests.instruments import VARIABLE, iam_recorder, loaded_with

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "tests" / "infra" / "questions.json"
STORY = (
    *("test_service.py", "test_training.py", "test_doors.py", "test_sweep.py", "test_people.py", "test_studies.py"),
    *("test_express.py", "test_dicom_results.py", "test_ways_out.py"),
)
LOGICAL_ID = re.compile(r"[0-9A-F]{8}$")
# Names by the local cloud's CloudFormation: stack, logical id, a random end.
NAME = re.compile(r"(?i)^wetread-(?P<id>[a-z0-9]+)-[0-9a-f]{13}(\.fifo)?$")
# The part of a name that identifies a batch, run or version. The endpoint has a fixed name.
RUN = re.compile(r"(?<=[/:]wetread)(?!-endpoint$)(-(?:train|audit|optimise|evaluate))?[-/].*")
WORKFLOW = "wetread-training"
OF_TEST = "/test"
"""The end of the session's ARN when a test assumes a role for requests that the service does not make."""
OF_STACK = "aws:principaltag/aws:cloudformation:logical-id"
CONDITIONS = ("s3:prefix", "iam:passedtoservice", "sagemaker:networkisolation", "events:source")
PREFIXES = (
    *(INSTANCES, BATCHES, OUTPUTS, PREDICTIONS, EXPRESS),
    *(ARTIFACTS, CHECKPOINTS, COHORTS, SLICES, RUNS, STUDIES, DICOM_RESULTS),
)


def story() -> list[str]:
    """Return the command of the story: the end-to-end tests, which pytest leaves out unless all markers are taken."""
    return [sys.executable, "-m", "pytest", "-m", "", *(str(ROOT / "tests" / "e2e" / one) for one in STORY)]


def record() -> None:
    """Run the story and keep its requests."""
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "questions.jsonl"
        environment = {**os.environ, VARIABLE: loaded_with("iam_recorder"), iam_recorder.VARIABLE: str(recorded)}
        subprocess.run(story(), cwd=ROOT, env=environment, check=True)
        keep(recorded.read_text().splitlines())


def keep(lines: Iterable[str]) -> None:
    """Write the requests of a record, each once."""
    asked = [one for one in map(json.loads, lines) if not one["principal_arn"].endswith(OF_TEST)]
    distilled = {json.dumps(distil(one)) for one in asked if OF_STACK in one["principal_keys"]}
    requests = [json.loads(one) for one in sorted(distilled)]
    KEPT.write_text("[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in requests) + "\n]\n")
    print(f"{len(requests)} requests of {len({role for role, *_ in requests})} roles in {KEPT.relative_to(ROOT)}")


def distil(request: dict[str, Any]) -> list[Any]:
    """Return role, action, resource and conditions, as the template's tests read them."""
    role = LOGICAL_ID.sub("", request["principal_keys"][OF_STACK])
    context = {key: request["service_context"].get(key) for key in CONDITIONS}
    if context["s3:prefix"] is not None:
        context["s3:prefix"] = _below(context["s3:prefix"])
    resource = _resource(request["resource_arn"], request["action"])
    return [role, request["action"], resource, {key: value for key, value in context.items() if value is not None}]


def _resource(arn: str, action: str) -> str:
    if arn == "*":
        return arn  # of a list
    service, _, _, *parts = arn.split(":")[2:]
    if service == "kms":
        # Functions ask KMS for hashes by one key alone; the other is only looked at, since services use it.
        return "<IntakePatientKey>" if action == "kms:GenerateMac" else "<StorageKey>"
    head, _, rest = ":".join(parts).partition("/")
    if service == "s3":
        return _construct(head) + (f"/{_below(rest)}" if rest else "")
    if service in {"dynamodb", "iam"}:
        head, _, rest = rest.partition("/")
    name = _construct(head.rpartition(":")[2])
    if name:
        return name + (f"/{rest}" if rest else "")
    whole = ":".join(parts)
    if service == "states":
        return _of_workflow(whole)
    if service == "lambda":
        whole = re.sub(r"(?<=event-source-mapping:).*", "…", whole)
    if service == "cloudformation":
        whole = re.sub(r"(?<=/)[^/]*$", "…", whole)
    return f"arn:<AWS::Partition>:{service}:<AWS::Region>:<AWS::AccountId>:{RUN.sub(_shortened, whole)}"


def _of_workflow(name: str) -> str:
    kind, _, rest = name.partition(":")
    machine = rest.partition(":")[0].replace(WORKFLOW, "<TrainingWorkflowStateMachine>")
    if kind == "stateMachine":
        return machine
    return f"arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:{kind}:{machine}:…"


def _shortened(found: re.Match[str]) -> str:
    purpose = found[1] or ""
    return f"{purpose}{found[0][len(purpose)]}…"


def _construct(name: str) -> str:
    """Return the construct of a physical name, as tests write it, or ""."""
    found = NAME.match(name)
    return f"<{_spelt(found['id'])}>" if found else ""


def _spelt(logical_id: str) -> str:
    # Buckets are named in lower case.
    name = re.sub(r"(?i)[0-9a-f]{8}$", "", logical_id)
    return name if name != name.lower() else f"Storage{name.removeprefix('storage').capitalize()}"


def _below(key: str) -> str:
    prefix, slash, _ = key.partition("/")
    return f"{prefix}{slash}…" if f"{prefix}/" in PREFIXES else "…"
