"""Two statements taken out of a running cloud: the story fails without each, and ends well when it is back.

`python -m assurance.least_privilege remove` does so with every statement that something needs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assurance.least_privilege.remove import remove
from localcloud import cloud
from tests import instruments
from tests.instruments import iam_recorder
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_without_a_statement_the_story_fails_and_nothing_is_lost(
    tmp_path: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The call sets these; restored afterwards.
    for variable in ("WETREAD_HOME", instruments.VARIABLE, iam_recorder.VARIABLE):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    try:
        sound = remove(tmp_path, artifact, ["BatchDispatch", "BatchCollect"], ["dynamodb:Query", "sqs:SendMessage"])
    finally:
        cloud.down(PROJECT)
    shown = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines() if line.startswith("| Batch")
    ]
    assert sound, shown
    assert [(role, denied) for role, _, denied, *_ in rows] == [
        ("BatchDispatch", "dynamodb:Query"),
        ("BatchCollect", "sqs:SendMessage"),
    ]
    assert all(seen.endswith("the upload: Pending") for *_, seen, _ in rows), shown
