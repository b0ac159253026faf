"""Labels are read from a manifest, and agreement is counted."""

import json

import pytest

from wetread.demo.truth import Agreement, labels
from wetread.problems import ConfigProblem


def test_labels_by_file_name(tmp_path) -> None:
    entries = [{"filename": "a.dcm", "content": {"type": "classification", "label": "cap"}}]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    assert labels(tmp_path) == {"a.dcm": "cap"}


def test_no_manifest_no_labels(tmp_path) -> None:
    assert labels(tmp_path) == {}


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '[{"filename": "a.dcm"}]', "[1]"])
def test_another_manifest_is_named(tmp_path, text) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigProblem, match=r"manifest\.json is not a manifest of labels"):
        labels(tmp_path)


def test_agreement_is_counted_with_objects_that_have_no_result() -> None:
    agreement = Agreement.of([("cap", "cap"), ("cap", "covid"), ("covid", "covid"), ("covid", None)])
    assert (agreement.agreeing, agreement.total) == (2, 4)
    columns, lines = agreement.table()
    assert columns == ("Label", "read as cap", "read as covid", "no result")
    assert lines == [("cap", "1", "1", "0"), ("covid", "0", "1", "1")]


def test_what_the_model_abstained_on_is_counted_apart() -> None:
    agreement = Agreement.of([("cap", "cap"), ("cap", "abstained"), ("covid", None)])
    assert agreement.agreeing == 1
    assert agreement.table()[0] == ("Label", "read as cap", "read as covid", "abstained", "no result")
