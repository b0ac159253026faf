"""The table: verdicts, an error that fails one line and stops no other, and Markdown to paste."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.wire import client_error
from wetread.problems import Interruption
from wetread.smoke import cost
from wetread.smoke.table import Line, Verdict, ask, markdown


def test_an_error_of_aws_fails_its_line_and_keeps_those_before() -> None:
    def probe() -> Iterator[Line]:
        yield Line.judged("1", "first", "a", "a", well=True)
        raise client_error("AccessDenied", "no")

    first, failed = ask("image", probe)
    assert first.verdict == Verdict.OK
    assert (failed.what, failed.verdict) == ("image", Verdict.FAILED)
    assert "AccessDenied" in failed.seen


@pytest.mark.parametrize("error", [Interruption(), KeyboardInterrupt(), ZeroDivisionError()])
def test_an_interruption_or_a_fault_of_this_program_is_no_line(error: BaseException) -> None:
    def probe() -> Iterator[Line]:
        raise error
        yield

    with pytest.raises(type(error)):
        list(ask("training", probe))


def test_a_cell_breaks_no_markdown_table() -> None:
    text = markdown([Line.judged("R1", "a|b", "x\ny", "z", well=False)])
    assert text.splitlines()[2] == "| R1 | a\\|b | x y | z | FAILED |"


@pytest.mark.parametrize(
    "caller",
    [
        "arn:aws:sts::111122223333:assumed-role/Reader/jane.doe@hospital.example",
        "arn:aws-us-gov:iam::111122223333:user/jane.doe@hospital.example",
        "arn:aws:sts::111122223333:federated-user/jane.doe@hospital.example",
    ],
)
def test_what_is_pasted_into_an_issue_does_not_name_the_person_that_aws_denied(caller: str) -> None:
    denied = f"User: {caller} is not authorized to perform: s3:ListBucket"
    text = markdown([Line.judged("W1", "rights", "allowed", denied, well=False)])
    assert "User: (the caller) is not authorized to perform: s3:ListBucket" in text
    assert "jane.doe" not in text


def test_the_estimate_names_hosts_whose_price_is_not_known() -> None:
    assert cost.estimate(cost.uses("ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.xlarge")).startswith("about $0.18 ")
    assert "25 minutes" not in cost.estimate(cost.uses("ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.xlarge"))
    assert "6 minutes of ml.g5.xlarge" in cost.estimate(cost.uses("ml.m5.xlarge", "ml.g5.xlarge", "ml.m5.xlarge"))
