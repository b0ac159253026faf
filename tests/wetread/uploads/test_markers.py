"""Markers are what ingest takes, name no more than was sent, and stay within its bounds."""

import uuid

import pytest

from functions.domain import marker as markers
from functions.domain.instance import as_uid
from wetread.uploads import markers as written
from wetread.uploads.files import Source
from wetread.uploads.markers import whole_studies
from wetread.uploads.planning import Candidate
from wetread.uploads.sending import Outcome, Submitted
from wetread.uploads.sorting import Identifiers

STUDY, SERIES = "1.2.840.99.1", "1.2.840.99.1.2"


def submitted(tmp_path, study=STUDY, series=SERIES, instance="1.2.3", *, again=False) -> Submitted:
    candidate = Candidate(Source(tmp_path / "a.dcm", "a.dcm"))
    return Submitted(candidate, "v1", again, Identifiers(study, series, instance))


def outcome(*done: Submitted, unfinished=()) -> Outcome:
    return Outcome(list(done), [], [], frozenset(unfinished))


def kept(whole: written.Whole) -> markers.Marker:
    """Return the marker that ingest keeps."""
    return markers.parse(whole.body(), lambda text: uuid.uuid5(uuid.NAMESPACE_OID, text))


def test_ingest_maps_a_markers_identifiers_as_those_of_the_objects(tmp_path) -> None:
    identifier = "0b0e1f6e-3d43-4f0c-9a55-c5cf61b64b3d"
    (whole,) = whole_studies(outcome(submitted(tmp_path, study=identifier, series="ID_c5c23af94d")))
    marker = kept(whole)
    assert marker.study_instance_uid == as_uid(identifier)
    assert marker.series[0].series.startswith("2.25.")


def test_a_series_with_too_many_objects_to_name_is_counted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(written, "MOST_BYTES", 200)
    (whole,) = whole_studies(outcome(*(submitted(tmp_path, instance=f"1.2.{n}") for n in range(20))))
    assert whole.document["Series"] == [{"SeriesInstanceUID": SERIES, "NumberOfInstances": 20}]


def test_an_object_that_was_sent_twice_counts_once(tmp_path) -> None:
    (whole,) = whole_studies(outcome(submitted(tmp_path), submitted(tmp_path)))
    assert kept(whole).series[0].number == 1


def test_a_study_with_more_series_than_a_marker_may_name_gets_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(written, "MOST_SERIES", 2)
    files = [submitted(tmp_path, series=f"{SERIES}.{n}") for n in range(3)]
    assert whole_studies(outcome(*files)) == []
    assert len(whole_studies(outcome(*files[:2]))) == 1


@pytest.mark.parametrize("text", ["", "UNKNOWN", "Jane^Doe 7", "Müller7"])
def test_a_study_that_ingest_takes_for_none_gets_none(tmp_path, text) -> None:
    assert whole_studies(outcome(submitted(tmp_path, study=text))) == []
    assert whole_studies(outcome(submitted(tmp_path, series=text))) == []


def test_a_study_is_new_if_any_of_its_files_is(tmp_path) -> None:
    old, new = submitted(tmp_path, again=True), submitted(tmp_path, instance="1.2.4")
    assert [one.is_new for one in whole_studies(outcome(old))] == [False]
    assert [one.is_new for one in whole_studies(outcome(old, new))] == [True]


def test_the_key_has_no_identifier_in_it(tmp_path) -> None:
    (whole,) = whole_studies(outcome(submitted(tmp_path, study="4711-0815")))
    assert "4711" not in whole.key("ward/")
    assert whole.key("ward/").startswith("ward/complete/")
