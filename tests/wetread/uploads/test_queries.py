"""Each question is one Query by its narrowest condition; the rest is sifted, page by page."""

import pytest

from functions.domain.instance import as_uid
from functions.domain.row import Status
from functions.names import IndexName
from wetread.uploads import queries
from wetread.uploads.queries import Question, ask


@pytest.mark.parametrize(
    ("question", "index_name"),
    [
        (Question(key="a.dcm", study="1.2", status="Completed"), IndexName.BY_KEY),
        (Question(series="1.2.3", study="1.2"), IndexName.BY_SERIES),
        (Question(study="1.2", predicted_class="cap"), IndexName.BY_STUDY),
        (Question(job="job-1", model="wetread/3"), IndexName.BY_JOB),
        (Question(model="wetread/3", predicted_class="cap"), IndexName.BY_MODEL),
        (Question(predicted_class="cap", status="Completed"), IndexName.BY_CLASS),
        (Question(status="Failed"), IndexName.BY_STATUS),
    ],
)
def test_the_narrowest_condition_is_the_query(memory_index, question, index_name) -> None:
    index = memory_index()
    assert ask(index, question, 5).rows == []
    assert index.asked == [index_name]


def test_all_conditions_must_hold(memory_index, completed) -> None:
    wanted = completed(transform_job_name="job-1")
    index = memory_index([wanted, completed(transform_job_name="job-2"), completed(predicted_class="cap")])
    question = Question(study="2.25.111111111111", job="job-1", predicted_class="covid")
    assert ask(index, question, 5).rows == [wanted]


def test_a_study_is_asked_for_as_the_file_says_it(memory_index, completed) -> None:
    uuid = "08cc5c7f-30a8-4af1-9e20-1c3ca0e7a5dd"
    row = completed(study_instance_uid=as_uid(uuid))
    assert ask(memory_index([row]), Question(study=uuid), 5).rows == [row]


def test_newest_first_and_limited_over_many_pages(memory_index, completed, monkeypatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 3)
    rows = [completed(predicted_class="cap" if number % 4 else "covid") for number in range(40)]
    covid = [row for row in rows if row.predicted_class == "covid"]
    answer = ask(memory_index(rows), Question(study="2.25.111111111111", predicted_class="covid"), 4)
    assert answer.rows == covid[:-5:-1]
    assert answer.more
    everything = ask(memory_index(rows), Question(study="2.25.111111111111", predicted_class="covid"), 10)
    assert len(everything.rows) == 10
    assert not everything.more


def test_without_a_condition_the_newest_of_all_statuses(memory_index, completed, pending) -> None:
    rows = [completed(), pending(), pending(status=Status.REFUSED), completed(), pending(status=Status.BATCHED)]
    answer = ask(memory_index(rows), Question(), 3)
    assert answer.rows == rows[:1:-1]
    assert answer.more


def test_since_bounds_every_query(memory_index, completed, pending) -> None:
    rows = [pending(received_at="2026-11-22T00:00:00.000Z"), completed(received_at="2026-11-24T00:00:00.000Z")]
    assert ask(memory_index(rows), Question(since="2026-11-23T00:00:00.000Z"), 5).rows == rows[1:]
