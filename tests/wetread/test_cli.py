"""What holds for every command: help, exit codes, the first line, a clean stdout."""

import json

import click
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from functions.domain.errors import PromotionRefused
from wetread.cli import main


def commands(group: click.Group = main, above: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        yield pytest.param((*above, name), command, id=" ".join((*above, name)))
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_every_command_and_option_has_help(wetread, path, command) -> None:
    result = wetread(*path, "--help")
    assert result.exit_code == 0
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_commands_are_these() -> None:
    of_service = {"up", "down", "submit", "results", "status", "doctor", "demo", "erase"}
    assert set(main.commands) == of_service | {"train", "runs", "model", "predict", "experiment", "endpoint"}
    of_models = {"list", "show", "register", "promote", "rollback", "rescore"}
    assert set(main.commands["model"].commands) == of_models  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command", [("results", "--json"), ("status", "--json"), ("runs", "--json"), ("model", "list", "--json")]
)
def test_the_first_line_names_the_cloud_and_stdout_stays_clean(wetread, connection, command) -> None:
    result = wetread(*command)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == connection.where
    json.loads(result.stdout)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (NoCredentialsError(), 2),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "dynamodb:Query"}}, "Query"), 1),
        (PromotionRefused("Another promotion came between."), 1),
    ],
)
def test_errors_are_one_sentence_and_an_exit_code(wetread, connection, monkeypatch, error, exit_code) -> None:
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(connection.index, "query", fail)
    result = wetread("results")
    assert result.exit_code == exit_code
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_an_unknown_option_is_wrong_use(wetread) -> None:
    assert wetread("results", "--colour").exit_code == 2


def test_an_interrupt_says_what_goes_on_and_has_its_own_exit_code(wetread, monkeypatch) -> None:
    def interrupted(progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wetread.commands.cloud.cloud.up", interrupted)
    result = wetread("up")
    assert result.exit_code == 130
    assert "goes on in the cloud" in result.stderr
