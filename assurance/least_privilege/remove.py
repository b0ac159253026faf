"""Remove each needed statement from a running cloud, run a story without it, and restore it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assurance.least_privilege.hosting import Hosting
from assurance.least_privilege.policies import without
from assurance.least_privilege.stage import RoleStage
from assurance.least_privilege.story import Story
from assurance.least_privilege.training import APPROVE, PROMOTE, Approval, Promotion, Retraining
from assurance.least_privilege.uploads import Run, Sweep, Upload, finish
from localcloud.home import home_of
from tests.infra.conftest import Assembly
from tests.infra.needs import Statement, needed
from wetread.project import PROJECT

STORIES: dict[str, Callable[[RoleStage], Story]] = {
    APPROVE: Approval,  # first, since it needs the first model
    "IntakeIngest": lambda stage: Upload(stage, "IntakeIngest"),
    "BatchDispatch": lambda stage: Upload(stage, "BatchDispatch"),
    # The function that starts a job gets the error that SageMaker may not read its manifest.
    "ModelJob": lambda stage: Upload(stage, "ModelJob", blamed="BatchDispatch"),
    "BatchLaneExpress": lambda stage: Run(stage, "BatchLaneExpress"),
    "BatchCollect": lambda stage: Upload(stage, "BatchCollect"),
    "BatchSweep": Sweep,
    "TrainingSnapshot": Retraining,
    "TrainingGate": Retraining,
    "TrainingJob": Retraining,
    "TrainingWorkflow": Retraining,
    PROMOTE: Promotion,
    "ModelEndpoint": lambda _stage: Hosting(),
}
BORNE = {
    ("TrainingWorkflow", "sns:Publish"): "a run ends as before when its notice cannot be sent",
    ("BatchLaneExpress", "sqs:SendMessage"): "a run that cannot report its end is found by the sweep",
}
"""Role and action that a story does without by design, and why."""
HEADER = "| role | statement | denied | what was seen | seconds |\n|---|---|---|---|---|"


@dataclass
class Count:
    """Statements by the outcome without them."""

    failed: int = 0
    borne: int = 0
    wrong: int = 0


def remove(scratch: Path, artifact: Path, roles: Sequence[str] = (), actions: Sequence[str] = ()) -> bool:
    """Print a row for each statement (of some roles or actions); return whether all outcomes are as expected."""
    stage = RoleStage(scratch)
    assembly = Assembly(home_of(PROJECT).assembly, _template())
    print(HEADER, flush=True)
    count = Count()
    for role, story_of in STORIES.items():
        chosen = [one for one in needed(assembly, role) if not actions or set(actions) & set(one.actions)]
        if chosen and (not roles or role in roles):
            _of_role(stage, artifact, chosen, story_of, count)
    dead = stage.redrive()
    finish(stage)
    print(f"\n{count.failed} failed, {count.borne} were borne, {count.wrong} did neither.")
    print(f"{len(stage.uploads)} uploads, every one Completed; {dead} dead letters, sent again.")
    return not count.wrong


def _of_role(
    stage: RoleStage,
    artifact: Path,
    statements: Sequence[Statement],
    story_of: Callable[[RoleStage], Story],
    count: Count,
) -> None:
    if statements[0].role != APPROVE and not stage.connection.registry.champion():
        stage.promote(artifact)
    story = story_of(stage)
    with story.ready():
        for statement in statements:
            began = time.monotonic()
            with without(stage, statement) as denials:
                seen = story.run(statement)
                denied = denials()
            seconds = time.monotonic() - began
            story.repair()
            borne = next(
                (BORNE[statement.role, one] for one in statement.actions if (statement.role, one) in BORNE), ""
            )
            right = bool(denied) and seen.failed is not bool(borne)
            count.wrong += not right
            count.failed += right and seen.failed
            count.borne += right and not seen.failed
            verdict = "" if right else "NOT AS EXPECTED: "
            what = verdict + (f"borne, {borne}: " if borne else "") + seen.what
            print(
                f"| {statement.role} | {_spelt(statement)} | {', '.join(denied)} | {what} | {seconds:.0f} |", flush=True
            )


def _spelt(statement: Statement) -> str:
    names = [resource.rpartition("<AWS::AccountId>:")[2] for resource in statement.resources]
    return f"{', '.join(statement.actions)} -> {', '.join(names)}"


def _template() -> Any:
    return json.loads((home_of(PROJECT).assembly / "Wetread.template.json").read_text())
