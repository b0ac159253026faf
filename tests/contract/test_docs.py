"""Every command in the documentation exists: subcommands and options, make targets, modules, files, functions."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from wetread.cli import main

ROOT = Path(__file__).parents[2]
ROOMS = ("assurance", "tests", "localcloud")
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
READMES = [ROOT / "CHANGELOG.md", *sorted(path for room in ROOMS for path in (ROOT / room).rglob("README.md"))]
PLACEHOLDERS = {"FILE...": "file", "FILE": "file", "PATH...": "path", "FOLDER": ".", "VERSION": "1"}


def commands(pattern: str) -> Iterator[str]:
    """Every command of the pages' shell blocks and inline code that matches."""
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
        lines += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        for line in lines:
            if match := re.match(pattern, line.strip()):
                yield match.group(1).split("  #")[0]


def parse(arguments: list[str]) -> None:
    """Let click parse a command line as far as the leaf command, without running it."""
    command: click.Command = main
    parent: click.Context | None = None
    while True:
        context = command.make_context(command.name, arguments, parent=parent, resilient_parsing=False)
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        name, found, arguments = command.resolve_command(context, rest)
        assert found, f"no command {name}"
        command, parent = found, context


@pytest.mark.parametrize("line", sorted(set(commands(r"(?:\.venv/bin/)?wetread +(.+)"))))
def test_every_wetread_command_exists_as_written(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "model.tar.gz", "scan.dcm"):
        Path(name).touch()
    Path("model_code").mkdir()
    if " / " in line or line in {"up", "down"}:
        return
    arguments = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]
    if arguments in (["model"], ["submit"], ["predict"], ["train"], ["experiment"], ["endpoint"]):  # named in passing
        return
    parse(arguments)


def test_every_command_is_documented() -> None:
    documented = " ".join(commands(r"(?:\.venv/bin/)?wetread +(.+)"))
    for name in main.list_commands(click.Context(main)):
        assert name in documented, f"wetread {name} is on no page"


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in commands(r"make +(.+)"):
        for target in line.split():
            if "=" not in target:
                assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"


def test_every_module_that_is_run_exists() -> None:
    for line in commands(r"(?:\.venv/bin/)?python -m +(\S+)"):
        if line != "model_code":
            assert importlib.util.find_spec(line), line


def test_every_file_that_a_page_names_exists() -> None:
    rooms = "aggregation|express|functions|infra|model_code|wetread|tests"
    rooms += "|benchmarks|examples|assurance|localcloud|untrusted"
    for page in (*PAGES, *READMES):
        if page.name == "CHANGELOG.md":  # has earlier names
            continue
        text = page.read_text()
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S))
        named = re.findall(rf"`((?:{rooms})/[\w/.]*)`", text) + re.findall(r"(?<!\S)tests/[\w/.]+", blocks)
        for name in named:
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


def test_every_function_that_the_walkthrough_names_exists() -> None:
    sources = "\n".join(
        path.read_text() for room in ("functions", "model_code", "wetread") for path in (ROOT / room).rglob("*.py")
    )
    walkthrough = (ROOT / "docs/walkthrough.md").read_text()
    for owner, name in re.findall(r"`(\w+)\.(\w+)`", walkthrough):
        if owner in {"README", "cdk", "code"} or name in {"json", "py"}:
            continue
        assert re.search(rf"def {name}\b", sources), f"{owner}.{name}"


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    for page in (*PAGES, *READMES):
        for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name} links to {name}"
            assert not heading or heading in headings(target.read_text()), f"{page.name} links to {name}#{heading}"


def headings(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_line_of_a_page_is_longer_than_120_characters() -> None:
    for page in (*PAGES, *READMES):
        if page.name != "licences.md":  # written by a program: one row for each package
            long = [line for line in page.read_text().splitlines() if len(line) > 120]
            assert not long, f"{page.relative_to(ROOT)}: {long[0]}"
