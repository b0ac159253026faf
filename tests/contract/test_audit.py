"""Known vulnerabilities: a pinned one is found and ends the audit, unless it is answered for this very version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests import advisories, audit
from tests.advisories import about, served
from tests.audit import ANSWERS, Finding

DAY = re.compile(r"20\d\d-\d\d-\d\d")


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    """What is known about the versions that are pinned."""
    with served(advisories.read()) as url:
        return audit.audit(url)


def test_nothing_that_is_pinned_has_a_known_vulnerability_without_an_answer(found: list[Finding]) -> None:
    assert [str(one) for one in found if not one.answer] == []


def test_an_answer_says_when_and_why_and_goes_with_its_finding(found: list[Finding]) -> None:
    names = {name for one in found for name in one.names}
    for answer in ANSWERS:
        assert answer.advisories
        assert set(answer.advisories) <= names, "nothing is known about this version any more"
        assert DAY.fullmatch(answer.decided)
        assert len(answer.why) > 40


KNOWN = {
    "pydicom==3.0.1": ("CVE-2026-32711", "3.0.2"),
    "setuptools==81.0.0": ("CVE-2026-59890", "83.0.0"),
    "Jinja2==3.1.5": ("CVE-2025-27516", "3.1.6"),
    "torch==2.12.1": ("CVE-2025-3000", "2.13.0"),
    "pip==26.1.2": ("PYSEC-2026-3721", "26.2"),
}


def test_a_version_with_a_known_vulnerability_is_found(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("\n".join(["# as pinned", "click==8.5.1", *KNOWN]))
    (tmp_path / "a.lock").write_text(f"pydicom==3.0.1 \\\n    --hash=sha256:{'a' * 64}\n")
    with served(advisories.read()) as url:
        found = audit.audit(url, [tmp_path / "pins.txt", tmp_path / "a.lock"])
    for pin, (name, fixed) in KNOWN.items():
        (one,) = (one for one in found if name in one.names)
        assert f"{one.package}=={one.version}" == pin.lower()
        assert fixed in one.fixed
        assert one.files == ({"pins.txt", "a.lock"} if one.package == "pydicom" else {"pins.txt"})
        assert one.answer is None
        assert str(one).endswith(": OPEN")
    assert "click" not in {one.package for one in found}


def test_an_open_one_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: list[Finding]
) -> None:
    monkeypatch.setattr(audit, "audit", lambda _: found)
    assert audit.main([]) == 0
    monkeypatch.setattr(audit, "ANSWERS", ANSWERS[1:])
    assert audit.main([]) == 1
    assert "1 of them open" in capsys.readouterr().out


def test_another_version_needs_another_answer() -> None:
    answer = ANSWERS[0]
    named = ("X", *answer.advisories)
    assert Finding(answer.package, answer.version, named, ()).answer == answer
    assert Finding(answer.package, "99", named, ()).answer is None
    assert Finding("another", answer.version, named, ()).answer is None
    assert Finding(answer.package, answer.version, ("X",), ()).answer is None


def test_an_audit_that_cannot_look_is_no_clean_one(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("pydicom>=3\n")
    with served(advisories.read()) as url, pytest.raises(SystemExit, match=r"could not look at pins\.txt"):
        audit.audit(url, [tmp_path / "pins.txt"])
    (tmp_path / "pins.txt").write_text("pydicom==3.0.2\n")
    with pytest.raises(SystemExit, match=r"could not look at pins\.txt"):
        audit.audit("http://127.0.0.1:9/v1/query", [tmp_path / "pins.txt"])


def record(*events: dict[str, str], **more: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": "some-package"}
    return {
        "id": "X",
        "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}], **more}],
    }


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}], ["0.0.1.dev1", "1", "99"], []),
        ([{"introduced": "0"}, {"fixed": "2"}], ["0rc1", "1.9", "2rc1"], ["2", "2.0.0", "2.post1", "3"]),
        ([{"introduced": "1.10"}, {"fixed": "1.20"}], ["1.10", "1.19.9"], ["1.9", "1.20"]),
        ([{"introduced": "0"}, {"last_affected": "4.0.0"}], ["3", "4"], ["4.0.1", "5"]),
        (
            [{"fixed": "3.0.2"}, {"introduced": "3.0.0"}, {"fixed": "2.4.5"}, {"introduced": "0"}],
            ["1", "2.4.4", "3.0.0", "3.0.1"],
            ["2.4.5", "2.5", "3.0.2"],
        ),
        ([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}], ["2"], ["3"]),
    ],
)
def test_a_range_holds_the_versions_that_osv_says(
    events: list[dict[str, str]], inside: list[str], outside: list[str]
) -> None:
    records = [record(*events)]
    assert [one for one in inside if not about(records, "some-package", one)] == []
    assert [one for one in outside if about(records, "some-package", one)] == []


def test_a_package_has_its_records_by_any_spelling_and_no_others() -> None:
    records = [record({"introduced": "0"})]
    assert about(records, "Some_Package", "1") == about(records, "some.package") == records
    assert about(records, "some-package-2", "1") == []
    records[0]["affected"][0]["package"]["ecosystem"] = "npm"
    assert about(records, "some-package", "1") == []


def test_a_version_that_is_listed_is_affected_without_a_range() -> None:
    assert about([record(versions=["1.5"])], "some-package", "1.5")
    assert not about([record(versions=["1.5"])], "some-package", "1.6")


def test_each_record_says_what_it_is_about_and_where_it_is_from() -> None:
    records = advisories.read()
    assert len({one["id"] for one in records}) == len(records)
    for one in records:
        assert one["modified"]
        assert one["summary"]
        assert all(source["url"].startswith("https://") for source in one["references"])
        assert one["references"]
        for affected in one["affected"]:
            events = [event for ranges in affected["ranges"] for event in ranges["events"]]
            assert all(Version(at) for event in events for at in event.values())


def test_a_refresh_takes_what_osv_has_and_keeps_what_it_has_not(tmp_path: Path) -> None:
    file = tmp_path / "advisories.json"
    mine = record({"introduced": "0"}) | {"id": "CVE-1"}
    pydicom = next(one for one in advisories.read() if one["affected"][0]["package"]["name"] == "pydicom")
    file.write_text(json.dumps([mine, {**pydicom, "summary": "old"}]))
    withdrawn = {**pydicom, "id": "W", "withdrawn": "2026-01-01T00:00:00Z"}
    with served([{**pydicom, "database_specific": {"long": "story"}}, withdrawn]) as url:
        audit.refresh(url, file)
    assert advisories.read(file) == [pydicom, mine]
