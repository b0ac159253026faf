"""The common options of `wetread train` and `wetread experiment`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from functions.domain.request import MOST_SEED
from wetread.problems import ConfigProblem

seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, MOST_SEED), help="Of the split and of the training."
)
settings_option = click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="A hyperparameter, such as epochs=40. May be given more than once.",
)


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the weights to start from."""
    file = click.option(
        "--initial-weights",
        metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Start from the weights of this DenseNet, a state dict that torch has saved, instead of random ones.",
    )
    licence = click.option(
        "--weights-licence",
        metavar="TEXT",
        help="Under what licence you use these weights; recorded in the model for good.",
    )
    return file(licence(command))


def hyperparameters_of(settings: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts as a document."""
    found: dict[str, str] = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not (name.strip() and sign and value.strip()):
            raise ConfigProblem(f"--set takes NAME=VALUE, not {text!r}.", "Write for example --set epochs=40.")
        if name.strip() in found:
            raise ConfigProblem(f"--set names {name.strip()!r} twice.", "Give each hyperparameter once.")
        found[name.strip()] = value.strip()
    return found
