"""The local cloud, up and down."""

import pytest
from click.testing import CliRunner

from localcloud.home import CloudError
from wetread import cli
from wetread.commands import cloud as command


@pytest.fixture
def calls(monkeypatch, tmp_path) -> list[object]:
    noted: list[object] = []
    monkeypatch.setenv("WETREAD_HOME", str(tmp_path))
    monkeypatch.setattr(
        command.cloud, "up", lambda _project, progress: progress("The local cloud is up at http://127.0.0.1:1.")
    )
    monkeypatch.setattr(command.cloud, "current", lambda _project: None)

    def down(_project: object, *, wipe: bool) -> None:
        noted.append(wipe)

    monkeypatch.setattr(command.cloud, "down", down)
    return noted


def run(*arguments, **options):
    return CliRunner().invoke(cli.main, arguments, **options)


def test_up_prints_where(calls) -> None:
    result = run("--local", "up")
    assert result.exit_code == 0
    assert result.stderr == "The local cloud is up at http://127.0.0.1:1.\n"


def test_the_environment_chooses_the_local_cloud_too(calls) -> None:
    assert run("up", env={"WETREAD_LOCAL": "1"}).exit_code == 0


def test_down_keeps_data_unless_wiped(calls, tmp_path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "cloud.json").touch()
    assert run("--local", "down").exit_code == 0
    assert (tmp_path / "demo").exists()
    assert run("--local", "down", "--wipe").exit_code == 0
    assert not (tmp_path / "demo").exists()
    assert calls == [False, True]


def test_a_folder_without_a_cloud_is_not_wiped(calls, tmp_path) -> None:
    (tmp_path / "demo").mkdir()
    result = run("--local", "down", "--wipe")
    assert result.exit_code == 1
    assert "holds other files, and no local cloud" in result.stderr
    assert (tmp_path / "demo").exists()
    assert calls == []


def test_a_cloud_that_cannot_start_is_reported(calls, monkeypatch) -> None:
    def fail(_project, progress):
        raise CloudError("Port 4566 is used by another program.")

    monkeypatch.setattr(command.cloud, "up", fail)
    result = run("--local", "up")
    assert result.exit_code == 1
    assert "Error: Port 4566 is used" in result.stderr
