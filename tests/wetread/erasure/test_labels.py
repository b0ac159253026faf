"""A subject's lines are cut out of a labels file, no other character changes, and doubt is reported."""

from __future__ import annotations

import codecs
import json

import pytest

from wetread.erasure.labels import Labels, without
from wetread.erasure.store import Version

THEIRS, OTHERS = ("a.dcm", "sub/d.dcm"), ("b.dcm", "c.dcm", "x-a.dcm", "a.dcm.dcm", "other/d.dcm")


def at(name: str) -> Version:
    return Version("training", f"cohorts/x/{name}", "v1", 1)


def cut(
    body: bytes | str, name: str = "labels.csv", theirs: tuple[str, ...] = THEIRS, others: tuple[str, ...] = OTHERS
) -> Labels:
    body = body.encode() if isinstance(body, str) else body
    return without(at(name), body, [at(one) for one in theirs], [at(one) for one in (*theirs, *others)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("filename,label\na.dcm,x\nb.dcm,y,note,more\n", "filename,label\nb.dcm,y,note,more\n"),
        ("filename,label,r,r\na.dcm,x,1,2\nb.dcm,y,Ann,Bob\n", "filename,label,r,r\nb.dcm,y,Ann,Bob\n"),
        ("\ufefffilename,label\na.dcm,x\nb.dcm,y\n", "\ufefffilename,label\nb.dcm,y\n"),
        ('\ufeff"filename",label\na.dcm,x\nb.dcm,y\n', '\ufeff"filename",label\nb.dcm,y\n'),
        ('filename,c\r\n"a.dcm",""\r\nb.dcm,"l1\nl2"\r\n', 'filename,c\r\nb.dcm,"l1\nl2"\r\n'),
        ('filename,c\na.dcm,"l1\nl2"\n"b.dcm",\n', 'filename,c\n"b.dcm",\n'),
        ("filename,label\n\n# batch 1\nb.dcm , y\na.dcm,x\n", "filename,label\n\n# batch 1\nb.dcm , y\n"),
        ("filename,label\nb.dcm,y\na.dcm,x", "filename,label\nb.dcm,y\n"),
        ("filename,label\rb.dcm,y\ra.dcm,x\r", "filename,label\rb.dcm,y\r"),
        (" filename ,label\nsub\\d.dcm,x\nother/d.dcm,y\n", " filename ,label\nother/d.dcm,y\n"),
        ("filename,label\na.dcm,x\n", "filename,label\n"),
    ],
)
def test_a_csv_file_loses_their_lines_and_no_other_character(before: str, after: str) -> None:
    done = cut(before)
    assert (done.lines, done.body.decode(), done.unsure) == (1, after, False)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("filename;label\na.dcm;x\nb.dcm;y\n", "filename;label\nb.dcm;y\n"),
        ("filename\tlabel\na.dcm\tx\nb.dcm\ty\n", "filename\tlabel\nb.dcm\ty\n"),
        ("sep=;\r\nfilename;label\r\na.dcm;x\r\nb.dcm;y\r\n", "sep=;\r\nfilename;label\r\nb.dcm;y\r\n"),
        ('label, "filename"\nx, "a.dcm"\n\ny, "b.dcm"\n', 'label, "filename"\n\ny, "b.dcm"\n'),
        (",filename,label\n0,a.dcm,x\n1,b.dcm,y\n", ",filename,label\n1,b.dcm,y\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le"])
def test_what_a_run_reads_an_erasure_reads_too(before: str, after: str, encoding: str) -> None:
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    done = cut(mark + before.encode(encoding))
    assert (done.lines, done.body, done.unsure) == (1, mark + after.encode(encoding), False)


@pytest.mark.parametrize(("key", "written"), [("\u00e9.dcm", "e\u0301.dcm"), ("e\u0301.dcm", "\u00e9.dcm")])
def test_a_name_composed_and_decomposed_is_one(key: str, written: str) -> None:
    done = cut(f"filename,label\n{written},x\nb.dcm,y\n", theirs=(key,))
    assert (done.lines, done.body, done.unsure) == (1, b"filename,label\nb.dcm,y\n", False)
    assert cut(f"filename,label,like\nb.dcm,y,{written}\n", theirs=(key,)).unsure


def test_of_one_name_in_two_folders_the_uid_in_the_file_decides() -> None:
    body = b"filename,label,studyId\nd.dcm,x,1.2.1\nd.dcm,y,1.2.2\n"
    assert cut(body).unsure
    uids = {"cohorts/x/sub/d.dcm": ("1.2.1", ""), "cohorts/x/other/d.dcm": ("1.2.2", "")}
    theirs, others = [at(one) for one in THEIRS], [at(one) for one in OTHERS]
    done = without(at("labels.csv"), body, theirs, [*theirs, *others], lambda _: uids)
    assert (done.lines, done.body, done.unsure) == (1, b"filename,label,studyId\nd.dcm,y,1.2.2\n", False)


KEPT = '{"filename": "b.dcm", "n":1.10,"n":2, "id":12345678901234567890123, "f": 1e400, "e":"\\u00e9", "d": %s}' % (
    "9" * 5000
)
GONE = '{"filename": "\\u0061.dcm", "label": "x"}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"[{GONE},{KEPT}]", f"[{KEPT}]"),
        (f"[{KEPT}, {GONE}]\n", f"[{KEPT}]\n"),
        (f"[\n\t{KEPT},\n\t{GONE} ,\n  {KEPT}\n]", f"[\n\t{KEPT} ,\n  {KEPT}\n]"),
        (f"\ufeff [ {GONE} , {KEPT} ]", f"\ufeff [ {KEPT} ]"),
        (f"[ {GONE} ]", "[  ]"),
        (f"[7, null, {GONE}, [1.0]]", "[7, null, [1.0]]"),
    ],
)
def test_a_json_file_loses_their_entries_and_no_other_character(before: str, after: str) -> None:
    done = cut(before, "manifest.json")
    assert (done.lines, done.body.decode(), done.unsure) == (1, after, False)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", "filename,label\nA.DCM,x\nb.dcm,y\n"),
        ("labels.csv", "Filename,label\na.dcm,x\n"),
        ("labels.csv", "a.dcm,x\nb.dcm,y\n"),
        ("labels.csv", "filename,label\nnone/a.dcm,x\n"),
        ("labels.csv", "filename,label,comparison\nb.dcm,y,as in A.dcm (DOE JANE)\n"),
        ("labels.csv", "filename,label,comparison\nb.dcm,y,see SUB\\d.dcm\n"),
        ("labels.csv", "filename,label\nd.dcm,which of the two?\n"),
        ("labels.csv", 'filename,label\nb.dcm,"no end\n'),
        ("labels.csv", "filename,label\nb.dcm,caf\u00e9\n".encode("latin-1")),
        ("labels.json", '{"slices":[{"filename":"a.dcm"}]}'),
        ("labels.json", '{"\\u0061.dcm": "x"}'),
        ("labels.json", '[{"filename":"a.dcm","filename":"b.dcm"}]'),
        ("labels.json", '[{"filename":"b.dcm","also":[["a.dcm"]]}]'),
        ("labels.json", '{"filename":"b.dcm"}\n{"filename":"c.dcm"}\n'),
        ("labels.json", '[{"filename":"b.dcm"}'),
        ("labels.json", '[{"filename":"b.dcm"},]'),
        ("labels.json", '[{"filename":"b.dcm"}] a.dcm'),
        ("labels.json", "[" * 100_000),
        ("labels.json", ""),
    ],
)
def test_what_is_not_understood_or_still_names_a_file_of_theirs_is_unsure(name: str, body: str | bytes) -> None:
    done = cut(body, name)
    assert (done.lines, done.unsure) == (0, True)
    assert done.body == (body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", "filename,label\nx-a.dcm,x\na.dcm.dcm,y\nxa.dcm,y\nother/d.dcm,y\n"),
        ("labels.json", json.dumps([{"filename": "c.dcm", "of": "series/X-A.dcm"}])),
        ("labels.json", "{}"),
        ("labels.json", bytes(128) + b"DICM"),
        ("labels.csv", ""),
    ],
)
def test_a_file_that_names_others_only_is_left_without_a_word(name: str, body: str | bytes) -> None:
    done = cut(body, name)
    assert (done.lines, done.unsure) == (0, False)


def test_a_file_of_another_folder_is_left_without_a_word() -> None:
    done = without(Version("training", "cohorts/y/labels.csv", "v1", 1), b"a.dcm", [at("a.dcm")], [at("a.dcm")])
    assert (done.lines, done.unsure) == (0, False)
