"""Which files of folders and archives are considered, under which keys, and what is left out without being read."""

import gzip
import os
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest

from wetread.problems import ConfigProblem
from wetread.uploads import planning
from wetread.uploads.planning import Plan, plan
from wetread.uploads.sorting import Group


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "ward 7"
    for name in ("b.dcm", "deep/a+ü.dcm", "deep/er/c", "manifest.json", "DICOMDIR", ".DS_Store", ".git/config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


BOTTOM = ["ward 7/b.dcm", "ward 7/deep/a+ü.dcm", "ward 7/deep/er/c"]


def keys(found: Plan) -> list[str]:
    return [one.source.key for one in found.candidates]


def names(found: Plan, group: Group) -> set[str]:
    return {Path(one.name).name for one in found.unsent if one.group == group}


def test_a_folder_is_searched_to_the_bottom_with_its_name_in_front(folder) -> None:
    found = plan([folder])
    assert keys(found) == BOTTOM
    assert names(found, Group.BY_NAME) == {".DS_Store", "DICOMDIR", "manifest.json"}


@pytest.mark.parametrize("name", ["dicomdir", "DicomDir", "MANIFEST.JSON"])
def test_what_accompanies_dicom_is_left_out_in_any_case(folder, name) -> None:
    (folder / "deep" / name).touch()
    assert keys(plan([folder])) == BOTTOM


def test_the_current_folder_has_a_name_too(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert keys(plan([Path()]))[0] == "ward 7/b.dcm"


def test_a_named_file_is_considered_whatever_its_name(folder) -> None:
    assert keys(plan([folder / "manifest.json", folder / ".DS_Store"])) == ["manifest.json", ".DS_Store"]


def test_a_named_link_keeps_its_own_name(folder) -> None:
    (folder / "link.dcm").symlink_to(folder / "b.dcm")
    assert keys(plan([folder / "link.dcm"])) == ["link.dcm"]


def test_links_out_of_a_folder_pipes_sockets_and_devices_are_left_out_whatever_they_are_called(
    folder, tmp_path, monkeypatch
) -> None:
    (tmp_path / "secret.dcm").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.dcm")
    (folder / "nowhere.dcm").symlink_to(tmp_path / "gone")
    (folder / "itself.dcm").symlink_to("itself.dcm")
    (folder / "elsewhere").symlink_to(tmp_path)
    (folder / "device.dcm").symlink_to("/dev/zero")
    (folder / "beside").symlink_to("../ward 71")
    (tmp_path / "ward 71").mkdir()
    os.mkfifo(folder / "endless.dcm")
    monkeypatch.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.dcm")
        found = plan([folder])
    assert keys(found) == BOTTOM
    outside = {"innocent.dcm", "nowhere.dcm", "itself.dcm", "elsewhere", "device.dcm", "beside"}
    assert names(found, Group.LINK) == outside
    assert names(found, Group.SPECIAL) == {"endless.dcm", "socket.dcm"}


def test_links_to_what_is_in_the_folder_send_it_once(folder) -> None:
    (folder / "near.dcm").symlink_to("b.dcm")
    (folder / "deep/er/top").symlink_to("../..")
    (folder / "here").symlink_to(".")
    (folder / "two").symlink_to("deep")
    found = plan([folder])
    assert keys(found) == BOTTOM
    assert {one.group for one in found.unsent} == {Group.BY_NAME}


def test_links_to_what_is_hidden_in_the_folder_are_followed_once(folder) -> None:
    """As in the folders of git-annex and DVC: the files are links into a hidden store."""
    for name in (".store/s/IM1", ".store/s/t/IM2", ".store/k"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / ".store/s/t/back").symlink_to("../../s")
    (folder / "key.dcm").symlink_to(".store/k")
    (folder / "key again.dcm").symlink_to(".store/k")
    (folder / "series").symlink_to(".store/s")
    (folder / "series again").symlink_to(".store/s")
    (folder / ".link").symlink_to(".store")
    found = plan([folder])
    assert sorted(keys(found)) == sorted([*BOTTOM, "ward 7/key again.dcm", "ward 7/series/IM1", "ward 7/series/t/IM2"])
    assert not any(path.is_symlink() for one in found.candidates for path in (one.source.path, one.source.path.parent))


def test_what_many_links_lead_to_is_walked_and_listed_once(folder, monkeypatch) -> None:
    for name in (".store/IM1", ".store/s/IM2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    os.mkfifo(folder / ".store/s/pipe")
    os.mkfifo(folder / "deep/pipe")
    (folder / "deep/out").symlink_to("/etc")
    for name, target in (("a", ".store/s"), ("b", ".store"), ("c", "deep"), ("d", "."), ("deep/e", "..")):
        (folder / name).symlink_to(target)
    walked = []
    everything_below = planning.everything_below

    def counting(path, unread):
        walked.append(path)
        return everything_below(path, unread)

    monkeypatch.setattr(planning, "everything_below", counting)
    found = plan([folder])
    assert sorted(keys(found)) == sorted([*BOTTOM, "ward 7/a/IM2", "ward 7/b/IM1"])
    assert [one.group for one in found.unsent if one.group != Group.BY_NAME] == [
        *[Group.SPECIAL] * 2,
        Group.LINK,
    ]
    assert walked == [folder, folder / ".store/s", folder / ".store"]


def test_a_named_link_out_of_its_folder_is_refused_as_a_shell_names_links_too(folder, tmp_path) -> None:
    (tmp_path / "secret.txt").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        plan(sorted(folder.glob("*.dcm")))


def test_a_named_link_to_a_folder_elsewhere_is_refused_too(folder, tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/id_rsa").write_text("a key")
    (folder / "series").symlink_to(tmp_path / "home")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        plan(sorted(folder.glob("*")))
    (folder / "near").symlink_to(folder / "deep")
    assert keys(plan([folder / "near"])) == ["deep/a+ü.dcm", "deep/er/c"]


def test_a_folder_that_cannot_be_read_is_named(folder, unreadable) -> None:
    unreadable("er")
    found = plan([folder])
    assert names(found, Group.FAILED) == {"er"}
    assert keys(found) == ["ward 7/b.dcm", "ward 7/deep/a+ü.dcm"]


def test_folders_may_be_nested_deeper_than_python_calls_itself(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.dcm").touch()
        (found,) = plan([tmp_path]).unsent
        assert "S3 takes 1024" in found.reason
    finally:
        os.chdir(tmp_path)
        subprocess.run(["rm", "-r", "d"], check=True)  # pytest's own removal calls itself


def test_a_name_that_no_key_can_have_stops_no_other(folder) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.dcm")).touch()
    long = folder / "/".join(["d" * 250] * 5)
    long.mkdir(parents=True)
    (long / "x.dcm").touch()
    (folder / "new\nline.dcm").touch()
    found = plan([folder])
    assert sorted(keys(found)) == sorted([*BOTTOM, "ward 7/new\nline.dcm"])
    assert {one.reason.partition(":")[0] for one in found.unsent if one.group.fails} == {
        "Its name is not valid Unicode",
        "Its key has 1267 bytes, S3 takes 1024",
    }


def test_a_pipe_is_never_waited_for(folder) -> None:
    os.mkfifo(folder / "endless.dcm")
    with pytest.raises(ConfigProblem, match="is a pipe or a device"):
        plan([folder / "endless.dcm"])
    (folder / "endless.dcm").rename(folder / "endless.zip")
    assert keys(plan([folder])) == BOTTOM


@pytest.mark.parametrize("prefix", ["x/y", "/x/y/"])
def test_the_prefix_comes_first(folder, prefix) -> None:
    assert keys(plan([folder / "b.dcm"], prefix)) == ["x/y/b.dcm"]


def test_what_cannot_be_sent_is_named(folder, tmp_path) -> None:
    for name in ("absent", "a" * 300):
        with pytest.raises(ConfigProblem, match="There is no file or folder"):
            plan([tmp_path / name])
    with pytest.raises(ConfigProblem, match=r"2 files would get the key 'b\.dcm'"):
        plan([folder / "b.dcm", folder / "deep/../b.dcm"])


def test_a_file_in_a_zip_has_the_archives_key_and_its_path_there(folder) -> None:
    with zipfile.ZipFile(folder / "export.ZIP", "w") as archive:
        for name in ("DICOM/IM1", "DICOM\\IM2", "DICOMDIR", "__MACOSX/._IM1", ".hidden/IM3", "dir/"):
            archive.writestr(name, b"x")
    found = plan([folder])
    assert keys(found)[1:3] == ["ward 7/export.ZIP/DICOM/IM1", "ward 7/export.ZIP/DICOM/IM2"]
    assert found.candidates[1].name == str(folder / "export.ZIP/DICOM/IM1")
    assert keys(plan([folder / "export.ZIP"], "p")) == ["p/export.ZIP/DICOM/IM1", "p/export.ZIP/DICOM/IM2"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_bad_member_of_a_zip_stops_no_other(folder) -> None:
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        for name in ("../up", "/absolute", "..\\up", "C:\\x", "a/../../b", "./here", "twice", "twice", "good"):
            archive.writestr(name, b"x")
    found = plan([folder / "export.zip"])
    assert keys(found) == ["export.zip/twice", "export.zip/good"]
    assert len(found.unsent) == 7
    assert {one.group for one in found.unsent} == {Group.FAILED}


@pytest.mark.parametrize(("name", "content"), [("a.tar.gz", "a.tar"), ("a.GZ", "a")])
def test_what_is_in_a_gz_file_has_its_name_without_the_ending(folder, name, content) -> None:
    (folder / name).write_bytes(gzip.compress(b"x"))
    (one,) = plan([folder / name]).candidates
    assert (one.content_name, one.name, one.source.key) == (str(folder / content), str(folder / name), name)
    assert one.member is not None


@pytest.mark.parametrize("name", ["a.zip", "a.gz"])
def test_a_file_that_is_an_archive_by_name_alone_is_looked_at_as_it_is(folder, name) -> None:
    (folder / name).write_bytes(b"no archive at all")
    (one,) = plan([folder / name]).candidates
    assert one.member is None


def test_a_damaged_zip_is_named(folder) -> None:
    (folder / "a.zip").write_bytes(b"PK\x03\x04 and no list of members")
    found = plan([folder])
    assert names(found, Group.FAILED) == {"a.zip"}
    assert keys(found) == BOTTOM
