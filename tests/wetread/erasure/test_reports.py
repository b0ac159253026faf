"""What the container's own pages show of a slice is found by its line and erased, captions and hashes included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_code.audit.report import page as audit_page
from model_code.evaluation.pictures import BurnedIn, ReportPictures
from tests.model_code.evaluation.report.test_page import Page, made_snapshot, page, without_picture
from wetread.erasure.reports import Shown


def test_an_evaluations_rows_and_pictures_of_a_patient_are_erased_and_the_hash_with_them() -> None:
    whole = page(patients=12, worst=2, left_out=without_picture(BurnedIn.YES)).html
    theirs = {7, 8}  # the lines of p3
    shown = Shown.of(whole, set(range(1, 40)) - theirs - {17, 30})
    assert sorted(shown.rows) == [7, 8, 17]
    assert sorted(shown.pictures) == [17, 30]
    left = Page(shown.erased_from(whole)).html
    assert "p-p3" not in left
    assert 'id="p-p8"' in left, "its other slice stays"
    assert "<b>line 17</b>" not in left
    assert "<b>line 30</b>" not in left
    assert "<b>line 18</b>" in left
    assert not Shown.of(left, set(range(1, 40)) - theirs - {17, 30})


@pytest.mark.parametrize("picture", [b"", b"png"])
def test_a_data_reports_pairs_and_unreadable_slices_are_erased(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, picture: bytes
) -> None:
    monkeypatch.setattr(audit_page, "picture_of", lambda *_: (BurnedIn.NO, picture))
    subject: dict[str, Any] = {"BalancedAccuracy": None, "Units": 3, "Unit": "Patient", "Tags": []}
    nothing: dict[str, Any] = {"Count": 0, "Examples": [], "Compared": 3}
    pair = {"Lines": [1, 7], "Splits": ["train", "test"], "Distance": 3}
    document = {
        "SnapshotDigest": "d",
        "Identical": nothing,
        "SamePatient": nothing,
        "NearIdentical": {"Count": 1, "Examples": [pair]},
        "Unreadable": {"Count": 1, "Examples": [{"Line": 3, "Code": "UndecodablePixelData", "Message": "It ends."}]},
        **dict.fromkeys(("Acquisition", "Person", "Position", "Background"), subject),
    }
    whole = audit_page.render(document, made_snapshot(12), tmp_path, ReportPictures.IF_NO)
    shown = Shown.of(whole, set(range(1, 40)) - {3, 7})
    assert (shown.pictures, shown.rows) == ((7,), (3,))
    left = Page(shown.erased_from(whole)).html
    assert "patient p3" not in left
    assert "patient p0" in left
    assert "UndecodablePixelData" not in left
