"""Tables, bars and words, in a terminal and in a pipe."""

import pytest

from wetread import console
from wetread.console import Bar, how_many, print_table, printable, program


def test_a_table_in_a_pipe_is_not_cut_and_has_no_trailing_space(capsys) -> None:
    print_table(("Key", "Status"), [("k" * 200, "Completed")])
    lines = capsys.readouterr().out.splitlines()
    assert any("k" * 200 in line and "Completed" in line for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_in_a_terminal_the_elastic_column_gives_way(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    print_table(("Key", "Status", "Code"), [("k" * 80, "Completed", "NotDicom")], elastic=("Key",))
    shown = capsys.readouterr().out
    assert "Completed" in shown
    assert "NotDicom" in shown
    assert shown.count("k") == 80


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jü\n") == "a\N{REPLACEMENT CHARACTER}[2Jü\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("total", [None, 3])
def test_a_bar_in_a_pipe_says_something_new_now_and_then(capsys, monkeypatch, total) -> None:
    now = 100.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with Bar("Waiting", total) as bar:
        bar.show("1 Pending")
        bar.show("2 Pending")  # too soon
        now += console.LINE_SECONDS + 1
        bar.show("1 Pending")  # nothing new
        bar.show("3 Pending", 1)
        bar.advance()
    assert capsys.readouterr().err.splitlines() == ["1 Pending", "3 Pending"]


def test_numbers_with_their_noun() -> None:
    assert [how_many(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


def test_commands_to_copy_are_written_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/wetread", "--local", "demo"])
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert program() == ".venv/bin/wetread"
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/wetread")
    assert program() == "wetread"
