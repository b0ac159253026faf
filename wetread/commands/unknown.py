"""The refusal of a class that no model has, for the commands that ask by class."""

from __future__ import annotations

from wetread.connection import Connection
from wetread.problems import ConfigProblem


def refuse_unknown_class(connection: Connection, label: str, *, is_read: bool) -> None:
    """Raise ConfigProblem for a class that the stage does not have, unless something ``is_read`` as it.

    A former model may have had other classes than the stage has now; what it read can still be asked for.
    """
    labels = connection.deployment.labels
    if label in labels or is_read:
        return
    raise ConfigProblem(
        f"No result has the class {label!r}, and the stage does not have it.", f"Its classes are {', '.join(labels)}."
    )
