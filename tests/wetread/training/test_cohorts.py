"""The labels' files are found, and only those that the training bucket lacks are sent, the labels last."""

import json
import unicodedata
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import entry
from wetread.problems import ConfigProblem
from wetread.training import cohorts

BUCKET = "training"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three labelled files, two of one name, and two files that no label means."""
    root = tmp_path / "cohort"
    for name in ("s1/IM1.dcm", "s2/IM1.dcm", "c.dcm", "unlabelled.dcm", ".git/c.dcm"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"the bytes of {name}".encode())
    entries = [entry("s1/IM1.dcm", "cap"), entry("IM1.dcm", "covid", seriesId="s2", studyId=""), entry("c.dcm", "cap")]
    (root / "manifest.json").write_text(json.dumps(entries))
    return root


def store(connection, labelled):
    steps = []
    stored = cohorts.store(connection.s3, BUCKET, labelled, lambda: steps.append(1))
    return stored, len(steps)


def test_the_files_that_the_labels_mean_get_keys_below_one_prefix(folder) -> None:
    labelled = cohorts.read(folder)
    prefix = labelled.labels.key.rpartition("/")[0] + "/"
    assert [one.key.removeprefix(prefix) for one in labelled.files] == ["s1/IM1.dcm", "s2/IM1.dcm", "c.dcm"]
    assert prefix.startswith("cohorts/")
    assert len(prefix) == len("cohorts/") + 12 + 1
    assert str(folder) not in prefix
    assert cohorts.read(folder / "manifest.json") == labelled


def test_corrected_labels_are_another_object_beside_the_same_files(folder) -> None:
    before = cohorts.read(folder)
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text().replace("cap", "normal"))
    after = cohorts.read(folder)
    assert after.files == before.files
    assert after.labels.key != before.labels.key
    assert after.labels.key.rpartition("/")[0] == before.labels.key.rpartition("/")[0]


def test_labels_as_csv(folder) -> None:
    (folder / "manifest.json").unlink()
    (folder / "labels.csv").write_text("filename,label\ns1/IM1.dcm,cap\nc.dcm,covid\n")
    assert [one.path.name for one in cohorts.read(folder).files] == ["IM1.dcm", "c.dcm"]


def test_everything_is_sent_once(folder, connection) -> None:
    labelled = cohorts.read(folder)
    assert store(connection, labelled) == (cohorts.Stored(3, 0, ()), 3)
    assert connection.s3.heads == 0
    assert set(connection.s3.objects) == {(BUCKET, one.key) for one in (*labelled.files, labelled.labels)}
    assert list(connection.s3.objects)[-1] == (BUCKET, labelled.labels.key)
    versions = dict(connection.s3.versions)
    assert store(connection, labelled) == (cohorts.Stored(0, 3, ()), 3)
    assert connection.s3.versions == versions


def test_labels_that_a_link_brings_from_elsewhere_are_refused(folder, tmp_path) -> None:
    (tmp_path / "secret.json").write_text((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        cohorts.read(folder)


def test_a_link_that_takes_the_place_of_a_labelled_file_is_not_followed(folder, tmp_path, connection) -> None:
    labelled = cohorts.read(folder)
    (tmp_path / "secret").write_text("a password")
    (folder / "c.dcm").unlink()
    (folder / "c.dcm").symlink_to(tmp_path / "secret")
    stored, _ = store(connection, labelled)
    assert [one.source.path.name for one in stored.failed] == ["c.dcm"]
    assert b"a password" not in connection.s3.versions.values()


def test_what_changed_is_sent_again(folder, connection) -> None:
    store(connection, cohorts.read(folder))
    (folder / "c.dcm").write_bytes(b"the bytes of d.dcm")  # as long as before
    (folder / "s1/IM1.dcm").write_bytes(b"longer than the bytes before")
    labelled = cohorts.read(folder)
    assert store(connection, labelled)[0] == cohorts.Stored(2, 1, ())
    for one in labelled.files:
        assert connection.s3.objects[BUCKET, one.key] == one.path.read_bytes()


def test_an_object_that_went_away_or_has_no_checksum_is_sent_again(folder, connection) -> None:
    labelled = cohorts.read(folder)
    store(connection, labelled)

    def head(*, Bucket, Key, ChecksumMode):  # noqa: N803
        if Key.endswith("c.dcm"):
            raise client_error("404")
        return {}

    connection.s3.head_object = head
    assert store(connection, labelled)[0] == cohorts.Stored(3, 0, ())


def test_without_all_files_no_labels_are_sent(folder, connection) -> None:
    put = connection.s3.put_object

    def deny(**request):
        if request["Key"].endswith("c.dcm"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        return put(**request)

    connection.s3.put_object = deny
    labelled = cohorts.read(folder)
    stored, steps = store(connection, labelled)
    assert (stored.sent, [one.source.path.name for one in stored.failed], steps) == (2, ["c.dcm"], 3)
    assert (BUCKET, labelled.labels.key) not in connection.s3.objects


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("absent.dcm", "cap")], r"Entry 1 \(absent.dcm\): no such file"),
        ([entry("c.dcm", "cap"), entry("IM1.dcm", "cap")], r"Entry 2 \(IM1.dcm\): 2 files fit this entry"),
        ([entry("c.dcm", "cap"), {"filename": ""}], "Entry 2: "),
        ([], "names no slice"),
        ({}, "not an array"),
    ],
)
def test_labels_that_do_not_fit_are_reported_by_line(folder, entries, expected) -> None:
    (folder / "manifest.json").write_text(json.dumps(entries))
    with pytest.raises(ConfigProblem, match=expected):
        cohorts.read(folder)


def test_files_of_one_name_are_found_by_the_uids_in_their_headers(folder) -> None:
    for number in (1, 2):
        (folder / f"s{number}" / "IM1.dcm").write_bytes(ct(StudyInstanceUID=f"1.7.{number}"))
    (folder / "manifest.json").write_text(json.dumps([entry("IM1.dcm", "cap", studyId="1.7.2")]))
    assert [file.path for file in cohorts.read(folder).files] == [folder / "s2" / "IM1.dcm"]


@pytest.mark.parametrize(("form", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_composed_and_decomposed_is_one(folder, form, written) -> None:
    name = "s\u00e9rie.dcm"
    (folder / unicodedata.normalize(form, name)).write_bytes(b"x")
    text = f"filename;label\n{unicodedata.normalize(written, name)};cap\n"
    (folder / "manifest.json").unlink()
    (folder / "labels.csv").write_text(text, "utf-8-sig")
    (file,) = cohorts.read(folder).files
    assert file.key.endswith(unicodedata.normalize(form, name))


def test_many_problems_are_counted(folder) -> None:
    (folder / "manifest.json").write_text(json.dumps([entry(f"{n}.dcm", "cap") for n in range(12)]))
    with pytest.raises(ConfigProblem, match="And 2 more"):
        cohorts.read(folder)


def test_which_file_holds_the_labels_must_be_clear(folder, tmp_path) -> None:
    (folder / "labels.csv").touch()
    with pytest.raises(ConfigProblem, match="both of"):
        cohorts.read(folder)
    with pytest.raises(ConfigProblem, match="neither"):
        cohorts.read(folder / "s1")
    with pytest.raises(ConfigProblem, match="no file of labels by its name"):
        cohorts.read(folder / "c.dcm")
    with pytest.raises(ConfigProblem, match="no file or folder"):
        cohorts.read(tmp_path / "absent")
