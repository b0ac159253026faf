"""Each query is one Query by its narrowest condition; the rest is sifted, page by page."""

from types import SimpleNamespace

import pytest

from functions.aws.patients import Patients
from functions.domain.instance import as_uid
from functions.domain.row import Status
from functions.names import IndexName
from tests.fakes.services import FakeKMS
from tests.fakes.wire import client_error
from wetread.problems import ConfigProblem
from wetread.uploads import queries
from wetread.uploads.queries import Query, run_query


@pytest.mark.parametrize(
    ("query", "index_name"),
    [
        (Query(key="a.dcm", study="1.2", status="Completed"), IndexName.BY_KEY),
        (Query(series="1.2.3", study="1.2"), IndexName.BY_SERIES),
        (Query(study="1.2", predicted_class="cap"), IndexName.BY_STUDY),
        (Query(job="job-1", model="wetread/3"), IndexName.BY_JOB),
        (Query(model="wetread/3", predicted_class="cap"), IndexName.BY_MODEL),
        (Query(predicted_class="cap", status="Completed"), IndexName.BY_CLASS),
        (Query(status="Failed"), IndexName.BY_STATUS),
    ],
)
def test_the_narrowest_condition_is_the_query(memory_index, query, index_name) -> None:
    index = memory_index()
    assert run_query(index, query, 5).rows == []
    assert index.asked == [index_name]


def test_all_conditions_must_hold(memory_index, completed) -> None:
    wanted = completed(transform_job_name="job-1")
    index = memory_index([wanted, completed(transform_job_name="job-2"), completed(predicted_class="cap")])
    query = Query(study="2.25.111111111111", job="job-1", predicted_class="covid")
    assert run_query(index, query, 5).rows == [wanted]


def test_a_study_is_asked_for_as_the_file_says_it(memory_index, completed) -> None:
    uuid = "08cc5c7f-30a8-4af1-9e20-1c3ca0e7a5dd"
    row = completed(study_instance_uid=as_uid(uuid))
    assert run_query(memory_index([row]), Query(study=uuid), 5).rows == [row]


def test_a_number_in_the_place_of_a_uid_finds_rows_of_both_mappings(memory_index, completed) -> None:
    patients = Patients(FakeKMS(), "key")  # type: ignore[arg-type]
    rows = [
        completed(study_instance_uid=as_uid("004711")),  # from before it was keyed
        completed(study_instance_uid=as_uid("004711", patients.uuid_of)),
        completed(study_instance_uid=as_uid("004712", patients.uuid_of)),
    ]
    assert run_query(memory_index(rows), Query(study="004711"), 5, patients=patients).rows == rows[1::-1]
    assert run_query(memory_index(rows), Query(series="1.2", study="004711"), 5, patients=patients).rows == []
    limited = run_query(memory_index(rows), Query(study="004711"), 1, patients=patients)
    assert (limited.rows, limited.more) == ([rows[1]], True)


def test_without_the_right_to_use_the_key_the_error_says_how_else_to_ask(memory_index) -> None:
    def denied(**_: object) -> None:
        raise client_error("AccessDeniedException", "kms:GenerateMac")

    patients = Patients(SimpleNamespace(generate_mac=denied), "key")  # type: ignore[arg-type]
    with pytest.raises(ConfigProblem, match="a key that you may not use") as caught:
        run_query(memory_index([]), Query(study="004711"), 5, patients=patients)
    assert "004711" not in str(caught.value)
    assert run_query(memory_index([]), Query(study="1.2.3"), 5, patients=patients).rows == []


def test_newest_first_and_limited_over_many_pages(memory_index, completed, monkeypatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 3)
    rows = [completed(predicted_class="cap" if number % 4 else "covid") for number in range(40)]
    covid = [row for row in rows if row.predicted_class == "covid"]
    answer = run_query(memory_index(rows), Query(study="2.25.111111111111", predicted_class="covid"), 4)
    assert answer.rows == covid[:-5:-1]
    assert answer.more
    everything = run_query(memory_index(rows), Query(study="2.25.111111111111", predicted_class="covid"), 10)
    assert len(everything.rows) == 10
    assert not everything.more


def test_without_a_condition_the_newest_of_all_statuses(memory_index, completed, pending) -> None:
    rows = [completed(), pending(), pending(status=Status.REFUSED), completed(), pending(status=Status.BATCHED)]
    answer = run_query(memory_index(rows), Query(), 3)
    assert answer.rows == rows[:1:-1]
    assert answer.more


def test_a_senders_marker_is_no_object_that_is_read(memory_index, completed) -> None:
    read = completed()
    marker = completed(status=Status.MARKER)
    for query in (Query(), Query(study=read.study_instance_uid)):
        assert run_query(memory_index([read, marker]), query, 5).rows == [read]
    assert run_query(memory_index([read, marker]), Query(status="Marker"), 5).rows == [marker]
    assert marker in run_query(memory_index([read, marker]), Query(key=marker.key), 5).rows


def test_since_bounds_every_query(memory_index, completed, pending) -> None:
    rows = [pending(received_at="2026-11-22T00:00:00.000Z"), completed(received_at="2026-11-24T00:00:00.000Z")]
    assert run_query(memory_index(rows), Query(since="2026-11-23T00:00:00.000Z"), 5).rows == rows[1:]
