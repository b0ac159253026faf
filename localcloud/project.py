"""What the local cloud must know of the product that it runs: one frozen dataclass, made by the product itself."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Project:
    """A product that has a local cloud.

    Its environment variables begin with `prefix`: `<prefix>HOME` moves the state, and each option of the launcher
    (`localcloud.options`) has one.
    """

    name: str
    """The product's command line. Errors advise `<name> down` and `<name> down --wipe`."""
    prefix: str
    """How its environment variables begin, "EXAMPLE_" or the like."""
    folder: Path
    """The folder of its sources, in which `synthesise` runs; `cdk.json` there, if any, has the context of the app."""
    synthesise: tuple[str, ...]
    """The command of its CDK app, or of anything else that writes a cloud assembly to the folder $CDK_OUTDIR."""
    sources: tuple[str, ...]
    """The files and folders, relative to `folder`, that the assembly is made from: a change deploys it anew."""
    image: tuple[str, ...]
    """The ENTRYPOINT of its container image on this machine; `serve`, `train` or a job's arguments follow."""
    state: Path
    """The folder of its local cloud, unless `<prefix>HOME` names another."""

    def variable(self, name: str) -> str:
        """Return the environment variable of an option: `PORT` gives `<prefix>PORT`."""
        return f"{self.prefix}{name}"

    def to_json(self) -> str:
        """Return the project as JSON, for the launcher's command line."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Project:
        """Read what `to_json` wrote."""
        members: dict[str, Any] = json.loads(text)
        for name in ("folder", "state"):
            members[name] = Path(members[name])
        for name in ("synthesise", "sources", "image"):
            members[name] = tuple(members[name])
        return cls(**members)
