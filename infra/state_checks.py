"""Write what a release check asks Step Functions: `python -m infra.state_checks FOLDER [STAGE]`.

The synthesised definition with example names in place of those that only a deployment gives, and requests of TestState
for the states that no other check sees before a deployment. Nothing is called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.app import synthesise
from infra.config import ConfigError

ACCOUNT, REGION = "111122223333", "eu-west-1"
PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::URLSuffix": "amazonaws.com"}
ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/11111111-2222-3333-4444-555555555555",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{name}",
}
"""Type of a resource -> an example of its ARN. A resource of another type is called by its name in lower case."""
MACHINE = "AWS::StepFunctions::StateMachine"
RUN = "0123456789ab"
NO_ROOM = "The account-level service limit 'ml.m5.2xlarge for training job usage' is 1 Instances"


def rendered(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only state machine's definition of a template, with example names and ARNs."""
    resources = template["Resources"]
    (machine,) = [one["Properties"] for one in resources.values() if one["Type"] == MACHINE]
    document: dict[str, Any] = json.loads(_text(machine["DefinitionString"], resources))
    return document


def _text(value: Any, resources: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_text(part, resources) for part in parts)
    if "Fn::Sub" in value:
        text = str(value["Fn::Sub"])
        for name, example in PSEUDO.items():
            text = text.replace(f"${{{name}}}", example)
        return text
    name = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    if name in PSEUDO:
        return PSEUDO[name]
    arn = ARNS.get(resources[name]["Type"])
    return arn.format(account=ACCOUNT, region=REGION, name=name) if arn else str(name).lower()


def requests_of(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return requests of TestState by file name: a job's end, a failure without room, and its notice.

    The state Begin is not among them: Step Functions takes the execution's name, its only input, with a mock alone, and
    mocks for tasks alone. `wetread smoke` compares it in a run.
    """
    asked = {"definition": json.dumps(definition), "inspectionLevel": "DEBUG", "input": "{}"}
    snapshot = {
        "HyperParameters": {"epochs": "1"},
        "Seed": 0,
        "SlicesManifestUri": f"s3://training/runs/{RUN}/slices.manifest",
        "SnapshotUri": f"s3://training/runs/{RUN}/snapshot.json",
        "Champion": None,
    }
    digests = [{"MetricName": f"model:digest_{number}", "Value": float(number)} for number in range(6)]
    trained = {
        "TrainingJobName": f"wetread-train-{RUN}-0",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://training/runs/{RUN}/training/model.tar.gz"},
        "FinalMetricDataList": digests,
    }
    failure = {"State": "Train", "Error": "SageMaker.ResourceLimitExceededException", "Cause": NO_ROOM}
    counted = {"run": RUN, "waits": 0, "restarts": 0}
    states: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
        "Train": (counted | {"snapshot": snapshot}, trained),
        "TryAgain?": (counted | {"failure": failure}, None),
        "NotifyFailed": (counted | {"failure": failure}, {"MessageId": "1"}),
    }
    requests = {}
    for name, (variables, result) in states.items():
        mock = {"mock": {"result": json.dumps(result), "fieldValidationMode": "PRESENT"}} if result else {}
        requests[f"{name.rstrip('?')}.json"] = {
            **asked,
            "stateName": name,
            "variables": json.dumps(variables),
            **mock,
        }
    return requests


def write(folder: Path, template: Mapping[str, Any]) -> list[Path]:
    """Write `asl.json` and the requests into ``folder``; return their paths."""
    definition = rendered(template)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in {"asl.json": definition, **requests_of(definition)}.items():
        path = folder / name
        path.write_text(json.dumps(document, indent=2))
        written.append(path)
    return written


def main() -> None:
    """Synthesise a stage (default: `default`) and write its files; print their paths."""
    if len(sys.argv) not in {2, 3}:
        sys.exit("Usage: python -m infra.state_checks FOLDER [STAGE]")
    folder, stage = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "default"
    try:
        (template,) = synthesise(folder / "cdk.out", stage).glob("*.template.json")
    except ConfigError as error:
        sys.exit(str(error))
    for path in write(folder, json.loads(template.read_text())):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
