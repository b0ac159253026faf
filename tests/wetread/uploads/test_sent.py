"""The record of what was sent says no name, and no damage to it stops a submission."""

import os
import stat
from pathlib import Path

import pytest

from wetread.uploads.sent import KEPT_SECONDS, Sent, path_of

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "state/wetread/sent.sqlite"


def test_it_outlives_the_command(path) -> None:
    with_entry(path)
    again = Sent(path, NOW)
    assert again.version_of("Doe^Jane/1.dcm", 10, "ab") == "v1"
    assert again.version_of("Doe^Jane/1.dcm", 11, "ab") is None
    assert again.version_of("Doe^Jane/1.dcm", 10, "cd") is None
    assert again.version_of("other", 10, "ab") is None
    again.close()


def with_entry(path: Path) -> None:
    sent = Sent(path, NOW)
    sent.add("Doe^Jane/1.dcm", 10, "ab", "v1")
    sent.close()


def test_it_is_its_owners_alone_and_repeats_no_key(path) -> None:
    before = os.umask(0)
    try:
        with_entry(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"Doe" not in path.read_bytes()


def test_it_forgets(path) -> None:
    with_entry(path)
    Sent(path, NOW + KEPT_SECONDS - 1).close()
    late = Sent(path, NOW + KEPT_SECONDS + 1)
    assert late.version_of("Doe^Jane/1.dcm", 10, "ab") is None
    late.close()


def test_a_damaged_one_is_begun_anew(path) -> None:
    with_entry(path)
    path.write_bytes(b"no database" * 100)
    anew = Sent(path, NOW)
    assert anew.version_of("Doe^Jane/1.dcm", 10, "ab") is None
    anew.add("Doe^Jane/1.dcm", 10, "ab", "v2")
    assert anew.version_of("Doe^Jane/1.dcm", 10, "ab") == "v2"
    anew.close()


def test_what_cannot_be_recorded_is_counted(path) -> None:
    sent = Sent(path, NOW)
    sent.close()
    sent.add("k", 1, "ab", "v")
    assert sent.unwritten == 1
    assert sent.version_of("k", 1, "ab") is None


def test_a_place_that_cannot_be_written_is_an_error_of_the_file_system(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Sent(tmp_path / "file/sent.sqlite", NOW)


def test_two_commands_write_one_record(path) -> None:
    first, second = Sent(path, NOW), Sent(path, NOW)
    first.add("a", 1, "ab", "v1")
    second.add("b", 1, "ab", "v2")
    assert (first.version_of("b", 1, "ab"), second.version_of("a", 1, "ab")) == ("v2", "v1")
    first.close()
    second.close()


def test_each_deployment_has_its_own(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert path_of("stack/1 uploads") != path_of("stack/2 uploads")
    assert path_of("stack/1 uploads").parent == tmp_path / "wetread"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert path_of("x").is_relative_to(tmp_path / "home/.local/state/wetread")
