"""Manifests are read as people and spreadsheets write them; each problem is reported with its line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.domain import labelling
from functions.domain.errors import MalformedManifest
from functions.domain.labelling import Labelling, missing_classes
from functions.domain.slices import LabelledSlice, Split
from functions.domain.verdict import Places
from tests.fakes.workflow import LABELS, entry


def from_csv(text: str | bytes) -> Labelling:
    body = text.encode() if isinstance(text, str) else text
    return labelling.parse(body, is_csv=True, labels=LABELS)


def from_json(document: Any) -> Labelling:
    return labelling.parse(json.dumps(document).encode(), is_csv=False, labels=LABELS)


def problems_of(found: Labelling) -> list[tuple[str, int, str]]:
    return [(reason.code, reason.line, reason.message) for reason in found.reasons]


def test_the_samples_form() -> None:
    found = from_json([entry("a.dcm", "covid"), entry("b.dcm", "cap")])
    first, second = found.entries
    assert (first.line, first.filename, first.label, first.study_id, first.split) == (1, "a.dcm", "covid", "s", None)
    assert (second.line, second.label) == (2, "cap")
    assert not found.reasons


def test_csv_with_all_columns_in_any_order() -> None:
    found = from_csv("label,split,filename,seriesId,studyId\ncovid,test,a.dcm,s2,s1\n")
    (one,) = found.entries
    assert (one.line, one.filename, one.label, one.study_id, one.series_id) == (2, "a.dcm", "covid", "s1", "s2")
    assert one.split is Split.TEST


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\r\na.dcm,covid\r\nb.dcm,cap\r\n",
        "\ufefffilename,label\na.dcm,covid\nb.dcm,cap",
        'filename,label\n"a.dcm","covid"\n"b.dcm",cap\n',
        "filename , label\n a.dcm ,covid \n\nb.dcm,cap\n,\n",
    ],
)
def test_csv_as_spreadsheets_write_it(text: str) -> None:
    assert [(one.filename, one.label) for one in from_csv(text).entries] == [("a.dcm", "covid"), ("b.dcm", "cap")]


TWO = [("a.dcm", "covid"), ("b.dcm", "cap")]


def named(found: Labelling) -> list[tuple[str, str]]:
    assert not found.reasons, found.reasons
    return [(one.filename, one.label) for one in found.entries]


@pytest.mark.parametrize(
    "text",
    [
        "filename;label\na.dcm;covid\nb.dcm;cap\n",
        "filename\tlabel\na.dcm\tcovid\nb.dcm\tcap\n",
        "filename|label\na.dcm|covid\nb.dcm|cap\n",
        "sep=;\nfilename;label\na.dcm;covid\nb.dcm;cap\n",
        "sep=,\r\nfilename,label\r\na.dcm,covid\r\nb.dcm,cap\r\n",
        "\ufeffSEP=\t\nfilename\tlabel\na.dcm\tcovid\nb.dcm\tcap\n",
        '"sep=;"\nfilename;label\na.dcm;covid\nb.dcm;cap\n',
        "sep=;\nfilename,label\na.dcm,covid\nb.dcm,cap\n",  # saved again by another program
        '"filename";"label"\n"a.dcm";"covid"\n"b.dcm";"cap"\n',
        'filename,label\na.dcm, "covid"\n "b.dcm", cap\n',
        'label; "filename"\ncovid; "a.dcm"\n "cap";"b.dcm"\n',
        "\n\nfilename,label\n\na.dcm,covid\nb.dcm,cap\n",
        "filename,label\ra.dcm,covid\rb.dcm,cap\r",
        "filename,label,,\na.dcm,covid,,\nb.dcm,cap,,\n",
        "filename,label\na.dcm,covid,\nb.dcm,cap,,\n",
    ],
)
def test_csv_with_any_of_the_usual_separators_and_ends_of_lines(text: str) -> None:
    assert named(from_csv(text)) == TWO
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        body = text.removeprefix("\ufeff").encode(encoding)
        mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
        assert named(from_csv(mark + body)) == TWO


@pytest.mark.parametrize(
    "text",
    [
        ",filename,label\n0,a.dcm,covid\n1,b.dcm,cap\n",  # DataFrame.to_csv()
        "Unnamed: 0,filename,label\n0,a.dcm,covid\n1,b.dcm,cap\n",  # read and written again
        "Unnamed: 0.1,Unnamed: 0,filename,label\n0,0,a.dcm,covid\n1,1,b.dcm,cap\n",
        "index,filename,age,label,comment\n0,a.dcm,61,covid,\n1,b.dcm,,cap,label?\n",
        "StudyInstanceUID,SeriesUID,filename,label,note,note\n1.2,1.3,a.dcm,covid,x,y\n1.2,1.3,b.dcm,cap,x,y\n",
        "file,class,filename,label\nx,y,a.dcm,covid\nx,y,b.dcm,cap\n",
    ],
)
def test_other_columns_and_an_index_without_a_name_are_ignored(text: str) -> None:
    assert named(from_csv(text)) == TWO


@pytest.mark.parametrize(
    ("column", "ours"),
    [
        ("lable", "label"),
        ("Label", "label"),
        ("labels", "label"),
        ("label.1", "label"),
        ("content.label", "label"),
        ("file_name", "filename"),
        ("File Name", "filename"),
        ("filname", "filename"),
        ("spilt", "split"),
        ("Split", "split"),
        ("study_id", "studyId"),
        ("studyID", "studyId"),
        ("seriesid", "seriesId"),
    ],
)
def test_a_column_that_is_nearly_one_of_ours_is_an_error(column: str, ours: str) -> None:
    """Ignored, a misspelt split would let the service divide what a person has divided."""
    with pytest.raises(MalformedManifest, match=f"has one that is nearly {ours}, number 3") as caught:
        from_csv(f"filename,label,{column}\na.dcm,covid,x\n")
    assert f"{column}," not in str(caught.value).replace(f"{ours},", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PK\x03\x04rest", "is a workbook or a ZIP file"),
        (b"\xd0\xcf\x11\xe0rest", "is a workbook or a ZIP file"),
        ("filename,label\na,covid\n".encode("utf-16-le"), "has a NUL character (line 1)"),
        ("filename,label\na,covid\n".encode("utf-32"), "has a NUL character (line 1)"),
        (codecs.BOM_UTF16_LE + "filename,label\na".encode("utf-16-le") + b"x", "is not UTF-16 text (line 2)"),
        (b'filename,label\na,covid\n"b" x,cap\n', "is not CSV (line 3: "),
        (b'sep=;\nfilename;label\na;covid\n"b" x;cap\n', "is not CSV (line 4: "),
    ],
)
def test_what_is_not_csv_is_named(body: bytes, said: str) -> None:
    with pytest.raises(MalformedManifest) as caught:
        from_csv(body)
    assert said in str(caught.value)


def test_a_line_after_that_of_the_separator_has_the_number_that_an_editor_shows() -> None:
    found = from_csv("sep=;\nfilename;label\na.dcm;covid\nb.dcm;sick\n")
    assert ([one.line for one in found.entries], found.reasons[0].message[:6]) == ([3], "Line 4")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (entry("a.dcm", "normal") | {"label": "covid"}, "its label and its content's label differ"),
        ({"filename": "a.dcm", "label": "covid", "content": {"label": "normal"}}, "its label and its content's label"),
        (
            {"filename": "a.dcm", "label": "covid", "content": [{"type": "classification", "label": "normal"}]},
            "its label and its content's label",
        ),
        (
            entry("a.dcm", "cap") | {"content": {"type": "classification", "label": "cap", "studyId": "t"}},
            "its studyId",
        ),
        ({"filename": "a.dcm", "label": "covid", "Label": "cap"}, "a field that is nearly label"),
        ({"filename": "a.dcm", "label": "covid", "lable": "cap"}, "a field that is nearly label"),
        ({"filename": "a.dcm", "label": "covid", "labels": ["covid", "cap"]}, "a field that is nearly label"),
        ({"filename": "a.dcm", "fileName": "b.dcm", "label": "covid"}, "a field that is nearly filename"),
        ({"filename": "a.dcm", "label": "covid", "Split": "test"}, "a field that is nearly split"),
        ({"filename": "a.dcm", "label": "covid", "study_id": "1"}, "a field that is nearly studyId"),
        ({"filename": "a.dcm", "label": "covid", "content.label": "cap"}, "a field that is nearly label"),
        ({"filename": "a.dcm", "label": "covid", "Content": {"label": "cap"}}, "a field that is nearly content"),
        ({"filename": "a.dcm", "content": {"type": "classification", "lable": "cap"}}, "nearly label"),
        (entry("a.dcm", "cap") | {"content": {"type": "classification", "label": "cap", "split": "test"}}, "its split"),
        (
            entry("a.dcm", "cap") | {"content": {"type": "classification", "label": "cap", "filename": "b.dcm"}},
            "its filename and its content's filename differ",
        ),
    ],
)
def test_an_entry_that_contradicts_itself_is_an_error(record: Any, said: str) -> None:
    ((code, line, message),) = problems_of(from_json([record]))
    assert (code, line) == ("MalformedEntry", 1)
    assert said in message


@pytest.mark.parametrize(
    "text",
    [
        '[{"filename": "a.dcm", "label": "covid", "label": "cap"}]',
        '[{"filename": "a.dcm", "content": {"type": "classification", "label": "covid", "label": "cap"}}]',
        '[{"filename": "b.dcm", "filename": "a.dcm", "label": "covid"}]',
        '[{"content": {}, "filename": "a.dcm", "content": {"type": "classification", "label": "covid"}}]',
    ],
)
def test_a_field_with_two_values_is_an_error(text: str) -> None:
    ((code, _, message),) = problems_of(labelling.parse(text.encode(), is_csv=False, labels=LABELS))
    assert (code, message) == ("MalformedEntry", "Entry 1: it gives a field twice, with two values; keep one of them.")


@pytest.mark.parametrize(
    "record",
    [
        entry("a.dcm", "covid") | {"label": "covid"},
        {"filename": "a.dcm", "label": " covid", "content": {"type": "box", "label": "lesion"}},
        {"filename": "a.dcm", "label": "covid", "content": {"type": "classification"}},
        {"filename": "a.dcm", "label": "covid", "content": [{"type": "classification", "label": "covid"}, 7]},
        {"filename": "a.dcm", "label": "covid", "content": "free text"},
        {"filename": "a.dcm", "label": "covid", "content": None, "split": None},
        {
            "filename": "a.dcm",
            "label": "covid",
            "Label": "covid",
            "patientId": 7,
            "labeller": "x",
            "StudyInstanceUID": 1,
        },
        entry("a.dcm", "covid", StudyID="1", seriesUID="1.2", series="x", file="other.dcm"),
    ],
)
def test_an_entry_that_says_one_thing_in_two_places_or_something_else_is_read(record: Any) -> None:
    assert named(from_json([record])) == [("a.dcm", "covid")]


def test_a_field_that_is_given_twice_with_one_value_is_read() -> None:
    body = b'[{"filename": "a.dcm", "label": "covid", "label": "covid"}]'
    assert named(labelling.parse(body, is_csv=False, labels=LABELS)) == [("a.dcm", "covid")]


@pytest.mark.parametrize(("written", "stage"), [("fie\u0300vre", "fi\u00e8vre"), ("fi\u00e8vre", "fie\u0300vre")])
def test_a_label_composed_and_decomposed_is_one_class(written: str, stage: str) -> None:
    body = f"filename,label\na.dcm,{written}\n".encode()
    (one,) = labelling.parse(body, is_csv=True, labels=(stage, "cap")).entries
    assert one.label == stage


def test_json_in_any_unicode_encoding_with_a_mark_is_read() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        body = json.dumps([entry("a.dcm", "covid")]).encode(encoding)
        assert named(labelling.parse(body, is_csv=False, labels=LABELS)) == [("a.dcm", "covid")]


def test_an_entry_is_called_by_its_number_and_only_for_its_owner_by_its_file() -> None:
    body = json.dumps([entry("a.dcm", "covid"), entry("sub/b.dcm", "flu"), {"filename": 3}]).encode()
    said = [one.message[:16] for one in labelling.parse(body, is_csv=False, labels=LABELS).reasons]
    assert said == ["Entry 2: its lab", "Entry 3: it has "]
    owners = labelling.parse(body, is_csv=False, labels=LABELS, with_names=True).reasons
    assert [one.message[:22] for one in owners] == ["Entry 2 (sub/b.dcm): i", "Entry 3: it has no con"]


def test_a_line_has_the_number_that_an_editor_shows() -> None:
    found = from_csv('filename,label\n\n"two\nlines.dcm",covid\nb.dcm,sick\n')
    assert [one.line for one in found.entries] == [3]
    assert found.reasons[0].line == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks filename, label"),
        ("file,label\na,covid\n", "lacks filename and has an unknown one, number 1."),
        ("filename,label,label\na,covid,cap\n", "repeats label"),
        ("filename,label\n", "names no slice"),
        ('filename,label\n"a,covid\n', "is not CSV (line"),
        (b"filename,label\na,covid\nM\xfcller,cap\n", "is not UTF-8 text (line 3)"),
    ],
)
def test_a_malformed_csv_is_refused_as_a_whole(text: str | bytes, said: str) -> None:
    with pytest.raises(MalformedManifest) as caught:
        from_csv(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"{", "is not JSON (line 1)"), (b"{}", "not an array"), (b"[]", "names no slice"), (b"[" * 100_000, "not JSON")],
)
def test_a_malformed_json_is_refused_as_a_whole(body: bytes, said: str) -> None:
    with pytest.raises(MalformedManifest) as caught:
        labelling.parse(body, is_csv=False, labels=LABELS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("record", "code", "said"),
    [
        (3, "MalformedEntry", "it is not an object"),
        ({"filename": "a.dcm"}, "MalformedEntry", "no content of the type 'classification'"),
        (entry("a.dcm", "covid") | {"content": {"type": "box", "label": "covid"}}, "MalformedEntry", "no content of"),
        (entry("", "covid"), "MalformedEntry", "its filename is not a text"),
        (entry("a" * 1025, "covid"), "MalformedEntry", "its filename is not a text"),
        (entry("a.dcm", 3), "MalformedEntry", "its label is not a text"),  # type: ignore[arg-type]
        (entry("a.dcm", "covid", studyId=7), "MalformedEntry", "its studyId is not a text"),
        (entry("a.dcm", "covid", split="dev"), "MalformedEntry", "its split is not one of train, validation, test"),
        (entry("a.dcm", "Covid"), "UnknownLabel", "the label 'Covid' is not one of normal, cap, covid"),
    ],
)
def test_a_bad_entry_is_reported_with_its_line_and_the_others_are_read(record: Any, code: str, said: str) -> None:
    found = from_json([entry("x.dcm", "cap"), record, entry("y.dcm", "normal")])
    assert [one.line for one in found.entries] == [1, 3]
    ((found_code, line, message),) = problems_of(found)
    assert (found_code, line) == (code, 2)
    assert said in message


@pytest.mark.parametrize(
    "message_of",
    [
        lambda: from_json([entry("a.dcm", "DOE^JANE")]).reasons[0].message,
        lambda: from_json([entry("a.dcm", "covid", split="DOE^JANE")]).reasons[0].message,
        lambda: message_of_csv("DOE^JANE,label,4711\na.dcm,covid,x\n"),
        lambda: message_of_csv('filename,label\n"DOE^JANE"4711,covid\n'),
    ],
)
def test_the_files_text_is_named_by_its_line_and_not_repeated(message_of: Callable[[], str]) -> None:
    """With columns in the wrong order a patient's name is where a class should be."""
    message = message_of()
    assert "DOE" not in message
    assert "4711" not in message


def message_of_csv(text: str) -> str:
    with pytest.raises(MalformedManifest) as caught:
        from_csv(text)
    return str(caught.value)


def test_a_class_in_another_case_is_repeated_since_it_cannot_be_a_name() -> None:
    ((_, _, message),) = problems_of(from_json([entry("a.dcm", "CoViD")]))
    assert message == "Entry 1: the label 'CoViD' is not one of normal, cap, covid."
    ((_, _, message),) = problems_of(from_json([entry("a.dcm", "flu")]))
    assert message == "Entry 1: its label is not one of normal, cap, covid."


def test_a_row_of_another_length_is_reported() -> None:
    ((code, line, message),) = problems_of(from_csv("filename,label\na.dcm,covid,x\n"))
    assert (code, line) == ("MalformedEntry", 2)
    assert "it has 3 cells, the header 2" in message


def test_a_split_is_for_all_or_none() -> None:
    found = from_csv("filename,label,split\na,covid,train\nb,covid,\nc,covid,\n")
    ((code, line, message),) = problems_of(found)
    assert (code, line) == ("MalformedEntry", 3)
    assert "lines 3 and 4" in message
    assert not from_csv("filename,label,split\na,covid,\n").reasons


def test_a_class_without_entries_is_missing() -> None:
    entries = from_json([entry("a.dcm", "covid")]).entries
    messages = [reason.message.partition(";")[0] for reason in missing_classes(entries, LABELS)]
    assert messages == ["No entry has the label normal", "No entry has the label cap"]


def test_more_than_one_run_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MOST_ENTRIES", 1)
    with pytest.raises(MalformedManifest, match="has 2 entries; one run takes at most 1"):
        from_json([entry("a.dcm", "covid"), entry("b.dcm", "covid")])


@pytest.mark.parametrize("ending", [b"]", b",", b"\n"])
def test_a_manifest_of_too_many_bytes_is_not_parsed(ending: bytes) -> None:
    for is_csv in (True, False):
        with pytest.raises(MalformedManifest, match="more than 33,554,432 bytes"):
            labelling.parse(b"[" + ending * labelling.MOST_BYTES, is_csv=is_csv, labels=LABELS)


@pytest.mark.parametrize("value", [b"{},", b"[],", b"0,", b'{"a":{"a":[]}},'])
def test_a_manifest_of_too_many_values_is_not_parsed(value: bytes) -> None:
    body = b"[" + value * labelling.MOST_VALUES + b"0]"
    with pytest.raises(MalformedManifest, match="more than 2,000,000 values"):
        labelling.parse(body, is_csv=False, labels=LABELS)


def test_lines_that_no_run_takes_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MOST_ENTRIES", 3)
    kept, more = labelling._bounded((line, object()) for line in range(10))
    assert (len(kept), more) == (3, 7)
    with pytest.raises(MalformedManifest, match="has 9 entries; one run takes at most 3"):
        from_csv("filename,label\n" + "a.dcm,covid\n" * 9)


def test_as_many_entries_as_a_run_takes_fit_the_bounds() -> None:
    longest = entry("s3-folder/" * 20 + "IM, 0001.dcm", "covid") | {"split": "validation"}
    body = json.dumps([longest] * labelling.MOST_ENTRIES).encode()
    assert len(labelling.parse(body, is_csv=False, labels=LABELS).entries) == labelling.MOST_ENTRIES


STUDY = {"type": "study", "label": "covid"}


@pytest.mark.parametrize(
    ("record", "label", "of_study"),
    [
        ({"filename": "a.dcm", "content": STUDY}, "", "covid"),
        ({"filename": "a.dcm", "label": "normal", "content": STUDY}, "normal", "covid"),
        ({"filename": "a.dcm", "content": [STUDY, {"type": "classification", "label": "normal"}]}, "normal", "covid"),
        ({"filename": "a.dcm", "studyLabel": "covid"}, "", "covid"),
        ({"filename": "a.dcm", "studyLabel": "covid", "content": [STUDY]}, "", "covid"),
        (entry("a.dcm", "covid"), "covid", ""),
    ],
)
def test_a_slice_a_study_or_both_have_a_label(record: Any, label: str, of_study: str) -> None:
    (one,) = from_json([record]).entries
    assert (one.label, one.study_label) == (label, of_study)


def test_csv_has_a_column_for_the_label_of_the_study() -> None:
    found = from_csv("filename,label,studyLabel\na.dcm,normal,covid\nb.dcm,,covid\nc.dcm,cap,\n")
    assert [(one.label, one.study_label) for one in found.entries] == [("normal", "covid"), ("", "covid"), ("cap", "")]
    assert [one.study_label for one in from_csv("filename,studyLabel\na.dcm,covid\n").entries] == ["covid"]
    assert problems_of(from_csv("filename,label,studyLabel\na.dcm,,\n"))[0][:2] == ("MalformedEntry", 2)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"filename": "a.dcm", "studyLabel": "cap", "content": STUDY},
            "its studyLabel and the label of its study differ",
        ),
        ({"filename": "a.dcm", "content": [STUDY, STUDY | {"label": "cap"}]}, "the label of its study differ"),
        ({"filename": "a.dcm", "content": STUDY | {"label": 7}}, "its studyLabel is not a text"),
        ({"filename": "a.dcm", "content": {"type": "study"}}, "no content of the type 'classification' or 'study'"),
        ({"filename": "a.dcm", "content": STUDY | {"split": "test"}}, "its split is in its content"),
        ({"filename": "a.dcm", "label": "cap", "study_label": "cap"}, "a field that is nearly studyLabel"),
        ({"filename": "a.dcm", "content": STUDY | {"label": "flu"}}, "its label is not one of"),
    ],
)
def test_a_label_of_a_study_that_is_unclear_is_reported(record: Any, said: str) -> None:
    found = from_json([record])
    assert not found.entries
    assert said in found.reasons[0].message


def labelled(line: int, label: str, of_study: str = "", study: str = "1.2") -> LabelledSlice:
    return LabelledSlice(line=line, label=label, study_label=of_study, study_instance_uid=study)


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ([labelled(1, "covid", "normal")], "Entry 1 has slices labelled covid in a study labelled normal"),
        ([labelled(1, "cap"), labelled(2, "", "covid")], "Entry 1 has slices labelled cap in a study labelled covid"),
        (
            [labelled(1, "", "cap"), labelled(2, "", "covid")],
            "Entries 1 and 2 label one study differently: cap and covid",
        ),
    ],
)
def test_labels_that_contradict_each_other_are_named(slices: list[LabelledSlice], said: str) -> None:
    (reason,) = labelling.contradictions(slices, LABELS, Places(are_lines=False))
    assert reason.code == "ContradictoryLabels"
    assert said in reason.message


def test_what_is_ill_may_be_normal_in_places() -> None:
    sound = [labelled(1, "normal", "covid"), labelled(2, "covid"), labelled(3, "", "covid")]
    apart = [labelled(4, "cap", study="1.3"), labelled(5, "covid", study="1.3")]
    assert labelling.contradictions([*sound, *apart], LABELS, Places()) == []


def test_the_label_of_a_study_is_none_of_a_slice() -> None:
    (reason,) = missing_classes([labelled(1, "normal"), labelled(2, "cap"), labelled(3, "", "covid")], LABELS)
    assert "No entry has the label covid" in reason.message
