"""Synthesise the service: `python -m infra.app`, also the command that cdk.json gives to the CDK CLI."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import aws_cdk as cdk

from infra.compliance import review
from infra.config import ConfigError, StageConfig, load_stage
from infra.service import Service

ROOT = Path(__file__).parent.parent


def synthesise(outdir: Path, stage: str | None = None) -> Path:
    """Write the cloud assembly of ``stage`` into ``outdir`` and return its folder.

    Without ``stage``, use the one of the CDK CLI or of cdk.json. Raise ConfigError when the stage is unknown or its
    settings are wrong.
    """
    app = _app(outdir)
    return _synthesise(app, load_stage(app.node.get_context("stages"), stage or app.node.get_context("stage")))


def synthesise_config(outdir: Path, config: StageConfig) -> Path:
    """Write the cloud assembly of these settings into ``outdir`` and return its folder."""
    return _synthesise(_app(outdir), config)


def _app(outdir: Path) -> cdk.App:
    # The CDK CLI would pass the context of cdk.json; reading it here makes the CLI optional. What the CLI passes in
    # the environment (-c name=value) overrides it.
    return cdk.App(outdir=str(outdir), context=json.loads((ROOT / "cdk.json").read_text())["context"])


def _synthesise(app: cdk.App, config: StageConfig) -> Path:
    Service(app, config.stack_name, config=config)
    review(app)
    return Path(app.synth().directory)


def main() -> None:
    """Synthesise into the folder of the CDK CLI (CDK_OUTDIR), or into cdk.out."""
    try:
        synthesise(Path(os.environ.get("CDK_OUTDIR", "cdk.out")))
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
