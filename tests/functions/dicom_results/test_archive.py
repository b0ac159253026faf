"""A real archive, Orthanc, takes every result twice, by C-STORE and by STOW-RS, as parts of the study."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.dicom_results.making import withdrawal_of
from tests.functions.dicom_results.studies import PATIENT, STUDY, dataset, files, image, images, made, subject

PLUGINS = Path("/usr/share/orthanc/plugins")
missing = [
    package
    for package, there in {
        "orthanc": shutil.which("Orthanc"),
        "orthanc-dicomweb": (PLUGINS / "libOrthancDicomWeb.so").exists(),
        "dcmtk": shutil.which("storescu"),
    }.items()
    if not there
]
pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(bool(missing), reason=f"needs Debian's packages {', '.join(missing)}"),
]
STARTS_WITHIN = 60  # seconds
BOUNDARY = "wetread-boundary"


@dataclass(frozen=True)
class Archive:
    """A running Orthanc: its ports on loopback."""

    http: int
    dicom: int

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}") as answer:
            return json.load(answer)

    def store(self, paths: list[Path]) -> str:
        """Send files by C-STORE; return what the sender says."""
        sent = store(self.dicom, paths)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        return sent.stdout + sent.stderr

    def stow(self, bodies: list[bytes]) -> Any:
        """Send objects by STOW-RS; return the answer."""
        parts = b"".join(
            b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (BOUNDARY.encode(), body) for body in bodies
        )
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/dicom-web/studies",
            data=parts + b"--%s--\r\n" % BOUNDARY.encode(),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                "Accept": "application/dicom+json",
            },
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


def store(port: int, paths: list[Path]) -> subprocess.CompletedProcess[str]:
    """Send files by C-STORE to a port of this machine."""
    command = ["storescu", "-v", "-R", "-aec", "WETREAD", "127.0.0.1", str(port), *map(str, paths)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    http, dicom = _free_port(), _free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "WETREAD",
        "DicomCheckCalledAet": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True},
    }
    configuration = tmp_path / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("w") as log:
        process = subprocess.Popen(["Orthanc", str(configuration)], stdout=log, stderr=subprocess.STDOUT)
        try:
            found = Archive(http, dicom)
            _wait_for(found, process, tmp_path / "orthanc.log")
            yield found
        finally:
            process.terminate()
            process.wait(30)


def results() -> dict[str, bytes]:
    """Return two revisions and the note that withdraws them."""
    second = made(revision=2, predecessor=1, cautions=("Gaps",), forced=True)
    rejection = withdrawal_of(subject(revision=2), dict.fromkeys(made(), (1, 2)))
    return made() | {f"{kind}-2": body for kind, body in second.items()} | {rejection.kind: rejection.body}


def test_results_are_stored_by_c_store_twice_and_are_of_the_patient_s_study(archive: Archive, tmp_path: Path) -> None:
    members = files(tmp_path, {f"member-{number}": body for number, body in enumerate(images())})
    paths = files(tmp_path, results())
    archive.store(members)
    archive.store(paths)
    said = archive.store(paths)
    assert "Error" not in said
    (patient,) = archive.get("/patients?expand")
    assert patient["MainDicomTags"]["PatientID"] == PATIENT["PatientID"]
    (study,) = archive.get("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == STUDY
    assert len(archive.get("/instances")) == len(members) + len(paths)
    series = {one["MainDicomTags"]["SeriesNumber"]: one for one in archive.get("/series?expand")}
    assert {number: len(one["Instances"]) for number, one in series.items()} == {
        "301": 6,
        "302": 6,
        "9901": 2,
        "9902": 2,
        "9903": 2,
        "9904": 1,
        "9905": 6,
    }


@pytest.mark.parametrize("refusing", ["--refuse", "--abort-after"])
def test_what_an_archive_refuses_is_an_error_of_the_sender_and_is_taken_when_it_is_sent_again(
    archive: Archive, tmp_path: Path, refusing: str
) -> None:
    paths, port = files(tmp_path, results()), _free_port()
    with subprocess.Popen(
        ["storescp", "-od", str(tmp_path), refusing, str(port)], stderr=subprocess.DEVNULL
    ) as refuser:
        try:
            _wait_until_it_listens(port)
            refused = store(port, paths)
        finally:
            refuser.terminate()
    assert refused.returncode != 0
    assert "Reject" in refused.stderr + refused.stdout or "Abort" in refused.stderr + refused.stdout
    archive.store(paths)
    assert len(archive.get("/instances")) == len(paths)


def test_results_are_stored_by_stow_twice(archive: Archive) -> None:
    bodies = list(results().values())
    for _ in range(2):
        answer = archive.stow(bodies)
        stored = answer["00081199"]["Value"]
        assert {one["00081155"]["Value"][0] for one in stored} == {str(dataset(body).SOPInstanceUID) for body in bodies}
        assert not answer.get("00081198", {}).get("Value"), "no instance failed"
    assert len(archive.get("/instances")) == len(bodies)
    (found,) = archive.get(f"/dicom-web/studies?StudyInstanceUID={STUDY}")
    assert found["00100020"]["Value"] == [PATIENT["PatientID"]]


def test_a_name_in_another_script_is_the_archive_s(archive: Archive, tmp_path: Path) -> None:
    changes = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎=やまだ^たろう"}
    member = image(0, 1, **changes)
    archive.store(files(tmp_path, made(member) | {"member": member}))
    assert len(archive.get("/instances")) == 7
    (patient,) = archive.get("/patients?expand")
    assert patient["MainDicomTags"]["PatientName"] == changes["PatientName"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_it_listens(port: int) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("storescp did not start")


def _wait_for(archive: Archive, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            archive.get("/system")
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"Orthanc did not start: {log.read_text()[-2000:]}")
