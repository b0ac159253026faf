"""The training settings of the deployed service, read from its state machine, for experiments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wetread.problems import ConfigProblem


@dataclass(frozen=True)
class Recipe:
    """The function that freezes labelled slices, and the request of the training job: image, role, hosts, keys.

    What only a run knows of the request (names, inputs, hyperparameters) is a JSONata expression in it.
    """

    snapshot_function: str
    training: Mapping[str, Any]

    @classmethod
    def read(cls, stepfunctions: Any, state_machine_arn: str) -> Recipe:
        """Read the state machine; raises ConfigProblem for a state machine of another version of wetread."""
        answer = stepfunctions.describe_state_machine(stateMachineArn=state_machine_arn)
        states = json.loads(answer["definition"])["States"]
        try:
            return cls(states["Snapshot"]["Arguments"]["FunctionName"], states["Train"]["Arguments"])
        except KeyError as error:
            raise ConfigProblem(
                f"The deployed training workflow has no {error}.", "Deploy the version that you have here."
            ) from error
