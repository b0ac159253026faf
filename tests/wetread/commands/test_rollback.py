"""A champion is withdrawn, its results are marked and read again: the service's own code, over an AWS in memory."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from functions.domain.row import Status
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import CALLER, Workflow, artifact
from tests.fakes.world import UPLOADS, answer
from wetread import cli
from wetread.commands import rollback, session
from wetread.models import rescoring


@pytest.fixture
def service(connection, monkeypatch, tmp_path):
    """Two versions, of which the second is champion and has read three uploads."""
    workflow = Workflow()
    world = workflow.world
    for number in (1, 2):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(artifact(version=str(number)))
        workflow.registry.promote(workflow.registry.register(path).model_package)
        world.wait(60)
    for number in range(3):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    connection.champions, connection.registry = world.champions, workflow.registry
    connection.withdrawing = workflow.withdrawing
    monkeypatch.setattr(rescoring.time, "sleep", lambda _: None)
    return SimpleNamespace(world=world, workflow=workflow)


def champion(service) -> str:
    return service.world.champions.get().model_package


def test_the_version_before_is_champion_again_and_the_results_are_marked(wetread, service) -> None:
    result = wetread("model", "rollback", "--reason", "False alarms.")
    assert result.exit_code == 0, result.output
    assert result.stdout == "wetread/1\n"
    assert "3 results marked as withdrawn: `wetread results --model wetread/2`" in result.stderr
    assert champion(service) == "wetread/1"
    assert {(row.status, row.withdrawn_at is not None) for row in service.world.rows()} == {(Status.COMPLETED, True)}
    withdrawal = service.world.champions.withdrawal("wetread/2")
    assert (withdrawal.reason, withdrawal.withdrawn_by, withdrawal.rescored_by) == ("False alarms.", CALLER, "")


def test_a_running_batch_is_reported(wetread, service) -> None:
    service.world.ingesting.take(service.world.upload("late.dcm", ct(SOPInstanceUID="1.2.9")))
    (name,) = service.world.dispatching.run()
    result = wetread("model", "rollback")
    assert "Results of 1 running batch job will be marked as they come" in result.stderr
    service.world.sagemaker.end(name, answer)
    service.world.collecting.collect(name)
    assert all(row.withdrawn_at for row in service.world.rows())


def test_rescoring_waits_for_batches_and_requeues_every_result(wetread, service, monkeypatch) -> None:
    world = service.world
    world.ingesting.take(world.upload("late.dcm", ct(SOPInstanceUID="1.2.9")))
    (name,) = world.dispatching.run()

    def end_of_the_job(_):
        world.sagemaker.end(name, answer)
        world.collecting.collect(name)

    monkeypatch.setattr(rescoring.time, "sleep", end_of_the_job)
    world.queue.sent.clear()
    result = wetread("model", "rollback", "--rescore")
    assert result.exit_code == 0, result.output
    assert "4 uploads requeued, 0 gone, 0 changed" in result.stderr
    assert {(row.status, row.model_package, row.withdrawn_at) for row in world.rows()} == {(Status.PENDING, None, None)}
    assert world.queue.sent
    (again,) = world.dispatching.run()
    world.sagemaker.end(again, answer)
    world.collecting.collect(again)
    assert {(row.status, row.model_package) for row in world.rows()} == {(Status.COMPLETED, "wetread/1")}


def test_a_deleted_upload_cannot_be_read_again_and_keeps_its_marked_result(wetread, service) -> None:
    del service.world.s3.versions[UPLOADS, "1.dcm", "v1"]
    result = wetread("model", "rollback", "--rescore")
    assert result.exit_code == 1
    assert "2 uploads requeued, 1 gone" in result.stderr
    assert "1 upload cannot be read again" in result.stderr
    by_key = {row.key: row for row in service.world.rows()}
    assert (by_key["1.dcm"].status, by_key["1.dcm"].withdrawn_at is None) == (Status.COMPLETED, False)


def test_what_could_not_be_tried_is_tried_again_by_rescore(wetread, service, monkeypatch) -> None:
    copy = service.world.s3.copy_object

    def deny(**request):
        if request["CopySource"]["Key"] == "1.dcm":
            raise client_error("AccessDenied", "no")
        return copy(**request)

    monkeypatch.setattr(service.world.s3, "copy_object", deny)
    result = wetread("model", "rollback", "--rescore")
    assert result.exit_code == 1
    assert "wetread model rescore wetread/2" in result.stderr
    monkeypatch.setattr(service.world.s3, "copy_object", copy)
    result = wetread("model", "rescore", "2")
    assert (result.exit_code, "1 upload requeued, 0 gone" in result.stderr) == (0, True)
    assert {row.status for row in service.world.rows()} == {Status.PENDING}


def test_only_a_withdrawn_version_is_rescored(wetread, service) -> None:
    result = wetread("model", "rescore", "wetread/2")
    assert (result.exit_code, "wetread/2 is not withdrawn" in result.stderr) == (1, True)
    assert {row.status for row in service.world.rows()} == {Status.COMPLETED}


def test_without_a_version_before_there_is_no_way_back(wetread, service) -> None:
    assert wetread("model", "rollback").exit_code == 0
    result = wetread("model", "rollback")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "wetread/1 is the first champion" in result.stderr


@pytest.fixture
def terminal(service, connection, monkeypatch):
    """Run on a terminal, where a person types ``answer``."""
    monkeypatch.setattr(session, "connect", lambda choice: connection)
    monkeypatch.setattr(rollback, "on_a_terminal", lambda: True)

    def run(typed: str, *options: str):
        return CliRunner().invoke(cli.main, ["model", "rollback", *options], input=typed)

    return run


def test_on_a_terminal_it_asks_first(service, terminal) -> None:
    refused = terminal("n\n")
    assert refused.exit_code == 1
    assert "make wetread/1 champion again?" in refused.stderr
    assert champion(service) == "wetread/2"
    assert terminal("", "--yes").exit_code == 0
    assert champion(service) == "wetread/1"


def test_who_was_promoted_while_it_asked_is_not_withdrawn(service, terminal, monkeypatch) -> None:
    def confirm(*_, **__):
        service.world.wait(60)
        service.workflow.registry.promote("1")

    monkeypatch.setattr(rollback.click, "confirm", confirm)
    result = terminal("")
    assert (result.exit_code, "Another version became champion meanwhile" in result.stderr) == (1, True)
    assert champion(service) == "wetread/1"
    assert service.world.champions.withdrawal("wetread/2") is None


def test_ctrl_c_keeps_what_was_done_and_wakes_the_service(wetread, service, monkeypatch) -> None:
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rescoring, "each", interrupt)
    service.world.queue.sent.clear()
    result = wetread("model", "rollback", "--rescore")
    assert result.exit_code == 130
    assert "`wetread model rescore wetread/2` continues with the rest" in result.stderr
    assert service.world.queue.sent


def test_who_sends_results_to_be_read_again_is_recorded(wetread, service) -> None:
    assert wetread("model", "rollback", "--rescore").exit_code == 0
    assert service.world.champions.withdrawal("wetread/2").rescored_by == CALLER
