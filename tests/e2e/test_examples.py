"""The examples run against the service as they are, and leave a picture."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Service
from wetread.demo.phantoms import LABELS, phantom_bytes, write_cohort
from wetread.project import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PNG = b"\x89PNG"


def example(service: Service, name: str, *arguments: str) -> str:
    """Return what an example prints; it must end well."""
    command = [sys.executable, str(PROJECT.folder / "examples" / name), "--local", *arguments]
    done = subprocess.run(command, env=dict(service.environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_settings_are_compared_on_one_split(service: Service, tmp_path: Path) -> None:
    write_cohort(tmp_path / "cohort", patients=30, slices_per_patient=1, size=96)
    settings = ("epochs=2,image_size=64,batch_size=8", "epochs=2,image_size=64,batch_size=8,learning_rate=1e-4")
    picture = tmp_path / "learning.png"
    shown = example(service, "retrain_and_compare.py", "--plot", str(picture), str(tmp_path / "cohort"), *settings)
    for setting in settings:
        (line,) = [line for line in shown.splitlines() if line.split()[0] == setting]
        assert line.split()[-1].startswith("s3://")
    assert picture.read_bytes().startswith(PNG)


def test_results_are_a_table_and_a_picture(service: Service, tmp_path: Path) -> None:
    bodies = {f"examples/{n}.dcm": phantom_bytes(LABELS[n % 3], 800 + n, 0, size=128, seed=9) for n in range(6)}
    rows = service.rows(service.put_all(bodies))
    picture = tmp_path / "results.png"
    shown = example(service, "results_in_pandas.py", "--since", "1h", "--plot", str(picture))
    for row in rows.values():
        assert f"{row.model_package}" in shown
        assert f"{row.predicted_class}" in shown
    assert picture.read_bytes().startswith(PNG)
    assert "No upload" in example(service, "results_in_pandas.py", "--since", "2099-01-01")


def test_studies_are_tables(service: Service, tmp_path: Path) -> None:
    bodies = {f"examples/study/{n}.dcm": phantom_bytes("covid", 850, n, size=128, seed=9) for n in range(3)}
    rows = service.rows(service.put_all(bodies))
    studies = {row.study_instance_uid for row in rows.values()}
    deadline = time.monotonic() + 240
    while not all(service.connection.studies.revisions(one or "") for one in studies):
        assert time.monotonic() < deadline
        time.sleep(2)
    shown = example(service, "studies_in_pandas.py", "--since", "1h", "--csv", str(tmp_path / "studies.csv"))
    assert "slices are evidence" in shown
    saved = (tmp_path / "studies.csv").read_text()
    assert all(one and one in saved for one in studies)
    assert "No study" in example(service, "studies_in_pandas.py", "--since", "2099-01-01")
