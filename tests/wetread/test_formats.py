"""Values as people read and write them."""

from datetime import UTC, datetime

import pytest

from functions.domain.row import Row, Status
from wetread.formats import (
    CSV_COLUMNS,
    TABLE_COLUMNS,
    ago,
    csv_line,
    result,
    sentences,
    short,
    short_key,
    since,
    span,
    table_line,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", "2026-11-23T07:30:00.000Z"),
        ("2h", "2026-11-23T07:00:00.000Z"),
        ("1w", "2026-11-16T09:00:00.000Z"),
        ("2026-11-23T08:00+01:00", "2026-11-23T07:00:00.000Z"),
        ("2026-11-23T08:00Z", "2026-11-23T08:00:00.000Z"),
    ],
)
def test_since_reads_spans_and_moments(text, moment) -> None:
    assert since(text, NOW) == moment


def test_since_reads_a_bare_date_as_the_local_midnight() -> None:
    local_midnight = datetime(2026, 11, 23).astimezone(UTC)
    assert since("2026-11-23", NOW) == local_midnight.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.mark.parametrize("text", ["yesterday", "2", "h", "-2h", "2026-13-01", ""])
def test_since_refuses_what_is_no_time(text) -> None:
    with pytest.raises(ValueError, match="no time"):
        since(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_spans(seconds, text) -> None:
    assert span(seconds) == text


def test_short_identifiers_keep_their_end() -> None:
    assert short("2.25.1106780106515929") == "…15929"
    assert short("1.2.3") == "1.2.3"
    assert short(None) == short("") == "-"


def test_short_keys_keep_both_ends() -> None:
    key = "hospital/ward/2026/11/23/patient-with-long-folder/scan-0001.dcm"
    assert short_key("a.dcm") == "a.dcm"
    assert len(short_key(key)) == 44
    assert short_key(key).startswith("hospital")
    assert short_key(key).endswith("scan-0001.dcm")


def test_a_completed_row_for_people_and_for_programs(completed) -> None:
    row = completed(key="a.dcm", received_at="2026-11-23T08:00:00.000Z", repairs=("one.", "two."))
    line = dict(zip(TABLE_COLUMNS, table_line(row, NOW), strict=True))
    assert (line["Age"], line["Result"], line["Repairs"]) == ("60 min", "covid 62.5 %", "2")
    assert line["Study/Series/Instance"] == "…11111/…22222/…33333"
    document = csv_line(row)
    assert document["Probability"] == 0.625
    assert document["Repairs"] == "one.; two."
    assert document["StudyInstanceUID"] == "2.25.111111111111"
    assert {"UploadId", "Key", "Status", "PredictedClass"} <= set(document) & set(CSV_COLUMNS)


def test_a_result_says_first_that_it_was_withdrawn_then_that_its_model_has_seen_phantoms_only(completed) -> None:
    assert result(completed(synthetic=True)) == "SYNTHETIC covid 62.5 %"
    marked = completed(synthetic=True, withdrawn_at="2026-11-23T09:00:00.000Z")
    assert result(marked) == "WITHDRAWN SYNTHETIC covid 62.5 %"
    failed = completed(synthetic=True, predicted_class=None, status=Status.FAILED, code="UndecodablePixelData")
    assert result(failed) == "UndecodablePixelData"
    assert csv_line(marked)["Synthetic"] is True
    assert "Synthetic" in CSV_COLUMNS


def test_a_refused_row_shows_its_code_in_place_of_a_class(pending) -> None:
    row = pending(status=Status.REFUSED, code="NotDicom", reason="The object is not a DICOM file.")
    line = dict(zip(TABLE_COLUMNS, table_line(row, NOW), strict=True))
    assert (line["Status"], line["Result"], line["Study/Series/Instance"]) == ("Refused", "NotDicom", "-/-/-")
    assert ago(None, NOW) == "-"


def test_sentences_are_counted_once_a_row_the_most_frequent_first(completed) -> None:
    rows = [
        completed(repairs=("a",), notes=("n",), prediction_notes=("n", "m"), received_at="2026-11-23T08:00:00.000Z"),
        completed(repairs=(), notes=("n",)),
    ]
    assert next(iter(sentences(rows))) == "n"
    assert sentences(rows) == {"n": 2, "a": 1, "m": 1}
    line = dict(zip(TABLE_COLUMNS, table_line(rows[0], NOW), strict=True))
    assert (line["Repairs"], line["Notes"]) == ("1", "2")


def shown(**changes) -> str:
    probabilities = {"normal": 0.1, "cap": 0.44, "covid": 0.46}
    row = Row(upload_id="a", updated_at="", status=Status.COMPLETED, **{"probabilities": probabilities, **changes})
    return result(row)


def test_a_result_says_that_the_model_abstained_or_is_unsure() -> None:
    unlike = {"Score": 3.5, "Threshold": 0.5, "Abstained": True}
    assert shown(predicted_class="covid") == "covid 46.0 %"
    assert shown(predicted_class="covid", unsure=True) == "unsure: covid 46.0 % or cap 44.0 %"
    assert shown(typicality=unlike, probabilities={}) == "abstained: unlike its training"
    assert shown(typicality=unlike, withdrawn_at="x").startswith("WITHDRAWN abstained")
    assert shown(predicted_class="covid", typicality={**unlike, "Abstained": False}) == "covid 46.0 %"
