"""Tables, bars and words, in a terminal and in a pipe."""

import csv
import io
import json
import re
import unicodedata

import click
import pytest
from click.testing import CliRunner

from wetread import console
from wetread.commands.session import Session
from wetread.connection import Choice
from wetread.console import Bar, how_many, print_table, printable, program, shortened
from wetread.problems import Problem


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


REMEDY = "See `wetread runs R`; start it with `wetread --local up`."


@click.command()
@click.option("--local", is_flag=True)
@click.pass_context
def named(context: click.Context, *, local: bool) -> None:
    """Print a remedy in each way that there is."""
    context.obj = Session(Choice(local=local, profile=None, region=None, stack="Wetread"))
    console.note(REMEDY)
    console.warn(REMEDY)
    raise Problem("It failed.", REMEDY)


@pytest.mark.parametrize(("option", "expected"), [([], "`wetread runs R`"), (["--local"], "`wetread --local runs R`")])
def test_a_command_that_a_remedy_names_is_one_of_the_cloud_that_was_chosen(option: list[str], expected: str) -> None:
    said = CliRunner().invoke(named, option).stderr
    assert said.count(expected) == 3
    assert said.count("`wetread --local up`") == 3


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (100, "Train: epoch=4 of 10 training_loss=0.52"),
        (30, "Train: epoch=4 of 10 …"),
        (3, "Train: epoch=4 of …"),
    ],
)
def test_progress_is_cut_between_words_where_the_terminal_ends(room: int, expected: str) -> None:
    assert shortened("Train: epoch=4 of 10 training_loss=0.52", room) == expected


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jü\n") == "a\N{REPLACEMENT CHARACTER}[2Jü\N{REPLACEMENT CHARACTER}"


HOSTILE = "k/\x1b[31m\x07\x08\x7f\x9b31m\x9d0;t\u202egpj\u2066\u200b\U000e0041\r.dcm"


def test_lines_for_people_keep_their_breaks_and_lose_what_a_terminal_obeys(capsys) -> None:
    console.note(f"first\n{HOSTILE}")
    console.warn(HOSTILE)
    Problem(HOSTILE, "Rename it.").show()
    said = capsys.readouterr().err
    assert said.count("\n") == 4
    assert all(line.isprintable() for line in said.splitlines())


def test_json_escapes_what_a_terminal_obeys_and_stays_the_same_document(capsys) -> None:
    console.print_json([{"Key": HOSTILE, "ünï": "画像 😀"}])
    said = capsys.readouterr().out
    assert json.loads(said) == [{"Key": HOSTILE, "ünï": "画像 😀"}]
    assert all(line.isprintable() for line in said.split("\n"))
    assert "画像 😀" in said


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =cmd|'/C calc'!A0",
    "\uff1d1+1",
    "\n-2",
    "\0=1",
    "\u00a0=1",
]


def computed(cell: str) -> bool:
    """Return whether a spreadsheet computes a cell: it passes over space, quotation marks and characters of format."""
    seen = "".join(one for one in cell if unicodedata.category(one) != "Cf").lstrip(' \t\r\n\0\xa0"')
    return seen[:1] in set("=+-@\uff1d\uff0b\uff0d\uff20") and not seen.startswith("-5")


@pytest.mark.parametrize("formula", FORMULAS)
def test_csv_makes_formulas_harmless_unless_they_are_asked_for(capsys, formula) -> None:
    line = {"Key": formula, "Size": -5, "Class": "cap"}
    console.print_csv(("Key", "Size", "Class"), [line], raw=False)
    console.print_csv(("Key", "Size", "Class"), [line], raw=True)
    safe, raw = capsys.readouterr().out.split("Key,Size,Class\r\n")[1:]
    (cell, *others) = next(csv.reader(io.StringIO(safe, newline="")))
    assert cell.startswith("'")
    assert cell.replace("'", "") == formula.replace("'", "")
    assert others == ["-5", "cap"]
    assert next(csv.reader(io.StringIO(raw, newline=""))) == [formula, "-5", "cap"]


@pytest.mark.parametrize("formula", [*FORMULAS, '"=1+1"', '""=1+1', "\u200b=1", '\xa0"\u2066=1'])
def test_no_separator_that_a_spreadsheet_may_take_begins_a_formula(capsys, formula) -> None:
    before = ("", "a;", "a|", "a\t", "a,", "a\n", "a\r\n", "a;b;=2;")
    lines = [{"UploadId": "u", "Key": f"{one}{formula};b"} for one in before]
    console.print_csv(("UploadId", "Key"), lines, raw=False)
    said = capsys.readouterr().out
    # As a spreadsheet with this separator reads it: a quotation mark inside a cell is an ordinary character.
    for separator in ",;\t|":
        for line in re.split(r"[\r\n]", said):
            assert not [cell for cell in line.split(separator) if computed(cell)]


@pytest.mark.parametrize("harmless", ["scans/a-b.dcm", "a+b", "1;2", "x@y", "a = b", "2026-11-28"])
def test_csv_leaves_ordinary_texts_as_they_are(capsys, harmless) -> None:
    console.print_csv(("Key",), [{"Key": harmless}], raw=False)
    assert next(csv.reader(io.StringIO(capsys.readouterr().out.split("Key\r\n")[1]))) == [harmless]


def test_csv_in_a_terminal_obeys_no_key(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    console.print_csv(("Key",), [{"Key": HOSTILE}], raw=True)
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


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


def test_a_bar_in_a_pipe_logs_every_line_and_a_terminal_shows_none(capsys, monkeypatch) -> None:
    with Bar("Training", None) as bar:
        bar.log("epoch=1")
        bar.log("epoch=2\x1b[2J")
        bar.show("epoch=2\x1b[2J")  # nothing new
    assert capsys.readouterr().err.splitlines() == ["epoch=1", "epoch=2\N{REPLACEMENT CHARACTER}[2J"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bar("Training", None) as bar:
        bar.log("epoch=1")
    assert "epoch=1" not in capsys.readouterr().err


def test_numbers_with_their_noun() -> None:
    assert [how_many(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


def test_commands_to_copy_are_written_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/wetread", "--local", "demo"])
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert program() == ".venv/bin/wetread"
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/wetread")
    assert program() == "wetread"
