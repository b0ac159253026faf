"""Rolling back restores the predecessor, marks every result of the withdrawn version, and lets it be read again."""

from __future__ import annotations

import pytest

from functions.domain.errors import PromotionRefused
from functions.domain.row import Status
from functions.flow.marking import SETTLED_SECONDS
from tests.fakes.workflow import Workflow
from tests.fakes.world import World, answer
from tests.functions.flow.versions import promoted, read, row, submit, two_versions


def test_the_predecessor_is_champion_again_and_reads_the_next_upload() -> None:
    workflow = two_versions()
    ticks = len(workflow.world.queue.sent)
    workflow.world.wait(60)
    champion = workflow.withdrawing.roll_back("too many false alarms")
    assert (champion.model_package, champion.previous) == ("wetread/1", "")
    assert workflow.registry.champion() == champion
    assert len(workflow.world.queue.sent) == ticks + 1
    second, first = workflow.registry.versions()
    assert (first.approval, second.approval) == ("Approved", "Rejected")
    assert workflow.world.sagemaker.packages[0]["ApprovalDescription"] == "too many false alarms"
    withdrawal = workflow.world.champions.withdrawal("wetread/2")
    assert withdrawal
    assert (withdrawal.withdrawn_at, withdrawal.reason) == (champion.promoted_at, "too many false alarms")
    read(workflow.world, "next.dcm")
    assert row(workflow.world, "next.dcm").model_package == "wetread/1"


def test_each_rollback_goes_one_champion_further_back_and_skips_the_withdrawn() -> None:
    workflow = two_versions()
    assert promoted(workflow, "three") == "wetread/3"
    assert workflow.withdrawing.roll_back("").model_package == "wetread/2"
    assert promoted(workflow, "four") == "wetread/4"
    assert workflow.withdrawing.roll_back("").model_package == "wetread/2"
    workflow.world.wait(60)
    champion = workflow.withdrawing.roll_back("")
    assert (champion.model_package, champion.previous) == ("wetread/1", "")
    with pytest.raises(PromotionRefused, match="wetread/1 is the first champion"):
        workflow.withdrawing.roll_back("")


def test_a_rollback_skips_a_withdrawn_version() -> None:
    workflow = two_versions()
    workflow.world.wait(60)
    workflow.registry.promote("1")  # after 2: each is now the other's predecessor
    workflow.world.wait(60)
    champion = workflow.withdrawing.roll_back("")
    assert (champion.model_package, champion.previous) == ("wetread/2", "")


def test_without_a_champion_there_is_nothing_to_roll_back() -> None:
    with pytest.raises(PromotionRefused, match="There is no champion"):
        Workflow().withdrawing.roll_back("")


def test_of_two_rollbacks_at_once_one_is_refused() -> None:
    workflow = two_versions()
    workflow.world.wait(60)

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("transact_write_items", "before"):
            workflow.world.clients["dynamodb"].interfere = lambda *_: None
            workflow.withdrawing.roll_back("first")

    workflow.world.clients["dynamodb"].interfere = interfere
    with pytest.raises(PromotionRefused, match="came between"):
        workflow.withdrawing.roll_back("second")
    withdrawal = workflow.world.champions.withdrawal("wetread/2")
    assert withdrawal
    assert withdrawal.reason == "first"


def test_results_of_the_withdrawn_version_are_marked_and_no_others() -> None:
    workflow = Workflow()
    world = workflow.world
    promoted(workflow, "one")
    read(world, "before.dcm")
    promoted(workflow, "two")
    read(world, "a.dcm", "b.dcm")
    workflow.withdrawing.roll_back("")
    assert workflow.withdrawing.mark("wetread/2") == 2
    assert workflow.withdrawing.mark("wetread/2") == 0
    assert {one.key: bool(one.withdrawn_at) for one in world.rows()} == {
        "before.dcm": False,
        "a.dcm": True,
        "b.dcm": True,
    }
    assert [one.key for one in workflow.withdrawing.results("wetread/1")] == ["before.dcm"]
    marked = row(world, "a.dcm")
    assert (marked.status, marked.predicted_class) == (Status.COMPLETED, "covid")


def test_a_version_that_is_not_withdrawn_is_not_marked() -> None:
    workflow = two_versions()
    read(workflow.world, "a.dcm")
    assert workflow.withdrawing.mark("wetread/2") == 0


def test_a_result_after_the_withdrawal_is_marked_when_it_is_collected() -> None:
    workflow = two_versions()
    world = workflow.world
    name = submit(world, "a.dcm", "b.dcm")
    workflow.withdrawing.roll_back("")
    assert workflow.withdrawing.mark("wetread/2") == 0
    (batch,) = workflow.withdrawing.running("wetread/2")
    assert f"wetread-{batch.batch_id}" == name
    assert workflow.withdrawing.running("wetread/1") == []
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    assert [bool(one.withdrawn_at) for one in world.rows()] == [True, True]
    assert workflow.withdrawing.running("wetread/2") == []


def test_a_collect_that_dies_before_it_marks_is_completed_by_the_next() -> None:
    class Crash(BaseException):
        pass

    workflow = two_versions()
    world = workflow.world
    name = submit(world, "a.dcm")
    workflow.withdrawing.roll_back("")
    world.sagemaker.end(name, answer)

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("delete_objects", "after"):
            raise Crash

    world.clients["s3"].interfere = interfere
    with pytest.raises(Crash):
        world.collecting.collect(name)
    world.clients["s3"].interfere = lambda *_: None
    assert row(world, "a.dcm").withdrawn_at is None
    world.collecting.collect(name)
    assert row(world, "a.dcm").withdrawn_at


def test_a_row_that_the_index_did_not_show_yet_is_marked_by_the_sweep() -> None:
    lag = {"on": False}
    workflow = Workflow(World(lagging=lambda: lag["on"]))
    world = workflow.world
    for name in ("one", "two"):
        promoted(workflow, name)
    read(world, "a.dcm")
    lag["on"] = True
    world.dynamodb.lag()  # the index shows nothing yet
    workflow.withdrawing.roll_back("")
    assert workflow.withdrawing.mark("wetread/2") == 0
    lag["on"] = False
    world.wait(SETTLED_SECONDS - 10)
    world.sweeping.run()
    assert row(world, "a.dcm").withdrawn_at is None
    world.wait(20)
    world.sweeping.run()
    assert row(world, "a.dcm").withdrawn_at
    assert world.champions.unmarked() == []


def test_marking_that_fails_fails_the_sweep_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = two_versions()
    read(workflow.world, "a.dcm")
    workflow.withdrawing.roll_back("")
    workflow.world.wait(SETTLED_SECONDS)

    def failing(*_: object) -> bool:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(workflow.world.index, "mark_withdrawn", failing)
        assert workflow.world.sweeping.run().failures == 1
    assert workflow.world.sweeping.run().failures == 0
    assert row(workflow.world, "a.dcm").withdrawn_at


def test_promoting_a_withdrawn_version_by_hand_clears_its_withdrawal_but_no_mark() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "old.dcm")
    workflow.withdrawing.roll_back("")
    workflow.withdrawing.mark("wetread/2")
    world.wait(60)
    assert workflow.registry.promote("2").model_package == "wetread/2"
    assert workflow.registry.versions()[0].approval == "Approved"
    assert world.champions.withdrawal("wetread/2") is None
    read(world, "new.dcm")
    world.wait(2 * SETTLED_SECONDS)
    world.sweeping.run()
    assert row(world, "old.dcm").withdrawn_at
    assert row(world, "new.dcm").withdrawn_at is None
