"""Which ended uploads are listed apart, since nothing is wrong with them."""

import pytest

from functions.domain.row import Status
from wetread.uploads.submission import is_for_others

CT, REPORT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.mark.parametrize(
    ("code", "sop_class", "apart"),
    [
        ("LocalizerNotServed", CT, True),
        ("NoPixelData", REPORT, True),
        ("NoPixelData", CT, False),
        ("NoPixelData", None, False),
        ("TruncatedHeader", REPORT, False),
    ],
)
def test_a_report_is_for_others_and_a_ct_without_pixels_is_not(pending, code, sop_class, apart) -> None:
    row = pending(status=Status.REFUSED, code=code, sop_class_uid=sop_class)
    assert is_for_others(row) is apart
