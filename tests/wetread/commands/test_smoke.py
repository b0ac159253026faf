"""Asks before it spends, continues after a failed line, exits with 1 for it, and prints its lines if interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wetread.commands import smoke as command
from wetread.problems import Interruption
from wetread.smoke.cost import uses
from wetread.smoke.table import Line

GOOD = Line.judged("R9", "endpoint", "up", "up", well=True)
BAD = Line.judged("B1", "manifest", "docker", "oci", well=False)


@pytest.fixture
def lines(monkeypatch) -> list[Line | BaseException]:
    """What the probes yield or raise, in order; "ended" follows when they are closed."""
    found: list[Line | BaseException] = []

    def all_lines(_session, _marks) -> Iterator[Line]:
        try:
            for one in found:
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            found.append(GOOD)

    monkeypatch.setattr(command, "_all_lines", all_lines)
    monkeypatch.setattr(command, "hosts", lambda _: uses("ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.xlarge"))
    return found


def test_it_says_its_cost_and_starts_nothing_without_a_yes(wetread, connection, lines) -> None:
    result = wetread("smoke")
    assert result.exit_code == 2
    assert "$0.18" in result.stderr
    assert "Nothing was started" in result.stderr
    assert lines == []


def test_a_failed_line_stops_no_other_and_makes_the_exit_code_1(wetread, connection, lines) -> None:
    lines += [BAD, GOOD]
    result = wetread("smoke", "--yes")
    assert result.exit_code == 1
    assert "1 of 2 lines failed" in result.stderr
    assert [line.split(" | ")[-1] for line in result.stdout.splitlines()[2:]] == ["FAILED |", "ok |"]


def test_all_well_exits_with_0_and_says_how_to_erase_what_stays(wetread, connection, lines) -> None:
    lines.append(GOOD)
    result = wetread("smoke", "--yes")
    assert result.exit_code == 0
    assert "erase --study 2.25." in result.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interruption()])
def test_interrupted_it_prints_the_lines_so_far_and_what_stays(wetread, connection, lines, error) -> None:
    lines += [GOOD, error]
    result = wetread("smoke", "--yes")
    assert result.exit_code == 130
    assert "| R9 |" in result.stdout
    assert "erase --study 2.25." in result.stderr
