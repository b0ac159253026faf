"""Takes each statement that something needs out of a running cloud, tells a story without it, and puts it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assurance.least_privilege.hosting import Hosting
from assurance.least_privilege.policies import without
from assurance.least_privilege.stage import Place
from assurance.least_privilege.story import Story
from assurance.least_privilege.training import APPROVE, PROMOTE, Approval, Promotion, Retraining
from assurance.least_privilege.uploads import Sweep, Upload, finish
from localcloud.home import home_of
from tests.infra.conftest import Assembly
from tests.infra.needs import Statement, needed
from wetread.project import PROJECT

STORIES: dict[str, Callable[[Place], Story]] = {
    APPROVE: Approval,  # the first: of the first model
    "IntakeIngest": lambda place: Upload(place, "IntakeIngest"),
    "BatchDispatch": lambda place: Upload(place, "BatchDispatch"),
    # Whoever starts a job is told that SageMaker may not read its manifest.
    "ModelJob": lambda place: Upload(place, "ModelJob", blamed="BatchDispatch"),
    "BatchCollect": lambda place: Upload(place, "BatchCollect"),
    "BatchSweep": Sweep,
    "TrainingSnapshot": Retraining,
    "TrainingGate": Retraining,
    "TrainingJob": Retraining,
    "TrainingWorkflow": Retraining,
    PROMOTE: Promotion,
    "ModelEndpoint": lambda _place: Hosting(),
}
BORNE = {("TrainingWorkflow", "sns:Publish"): "a run ends as it ended when nobody can be told"}
"""Role and action of what a story bears to be without, by design, and why."""
HEADER = "| role | statement | denied | what was seen | seconds |\n|---|---|---|---|---|"


@dataclass
class Count:
    """Statements by what was seen without them."""

    failed: int = 0
    borne: int = 0
    wrong: int = 0


def remove(scratch: Path, artifact: Path, roles: Sequence[str] = (), actions: Sequence[str] = ()) -> bool:
    """Print a row for each statement, of some roles or with some actions only; whether all was as it should be."""
    place = Place(scratch)
    assembly = Assembly(home_of(PROJECT).assembly, _template())
    print(HEADER, flush=True)
    count = Count()
    for role, story_of in STORIES.items():
        chosen = [one for one in needed(assembly, role) if not actions or set(actions) & set(one.actions)]
        if chosen and (not roles or role in roles):
            _of_role(place, artifact, chosen, story_of, count)
    dead = place.redrive()
    finish(place)
    print(f"\n{count.failed} failed, {count.borne} were borne, {count.wrong} did neither.")
    print(f"{len(place.uploads)} uploads, every one Completed; {dead} dead letters, sent again.")
    return not count.wrong


def _of_role(
    place: Place, artifact: Path, statements: Sequence[Statement], story_of: Callable[[Place], Story], count: Count
) -> None:
    if statements[0].role != APPROVE and not place.connection.registry.champion():
        place.promote(artifact)
    story = story_of(place)
    with story.ready():
        for statement in statements:
            began = time.monotonic()
            with without(place, statement) as denials:
                seen = story.tell(statement)
                denied = denials()
            seconds = time.monotonic() - began
            story.mend()
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
