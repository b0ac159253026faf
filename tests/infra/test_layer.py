from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import layer
from infra.layer import DISTRIBUTIONS, LayerError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layer")
    layer.build(folder)
    return folder


def test_the_layer_alone_reads_dicom_and_logs(built: Path) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import aws_lambda_powertools, io, jmespath, pydicom, typing_extensions
from aws_lambda_powertools import Logger, Metrics
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
dataset = Dataset()
dataset.SOPInstanceUID, dataset.SOPClassUID, dataset.Modality = "1.2.3", CTImageStorage, "CT"
dataset.file_meta = FileMetaDataset()
dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
stream = io.BytesIO()
pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
stream.seek(0)
print(pydicom.dcmread(stream).Modality)
for module in (aws_lambda_powertools, jmespath, pydicom, typing_extensions):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
"""
    # Isolated and without site-packages: nothing but the standard library and the layer can be imported.
    command = [sys.executable, "-I", "-S", "-B", "-c", program, str(built / "python")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("CT\n", "")


def test_the_layer_has_all_that_its_distributions_require() -> None:
    required = {
        re.split(r"[\s<>=!~;\[]", requirement)[0]
        for name in DISTRIBUTIONS
        for requirement in importlib.metadata.requires(name) or []
        if "extra ==" not in requirement
    }
    assert {name.replace("-", "_") for name in required} <= {name.replace("-", "_") for name in DISTRIBUTIONS}


def test_the_layer_has_no_caches_tests_or_installer_files(built: Path) -> None:
    files = [path for path in built.rglob("*") if path.is_file()]
    assert {path.relative_to(built).parts[0] for path in files} == {"python"}
    assert not [path for path in files if path.suffix in {".pyc", ".so"}]
    assert not [path for path in files if "test_files" in path.parts]
    assert not [path for path in files if path.name in {"RECORD", "INSTALLER", "direct_url.json"}]


def test_every_distribution_keeps_its_licence(built: Path) -> None:
    licensed = {
        path.relative_to(built / "python").parts[0].split("-")[0].lower()
        for path in built.glob("python/*.dist-info/**/*")
        if "license" in path.name.lower()
    }
    assert licensed == {name.replace("-", "_").lower() for name in DISTRIBUTIONS}


def test_compiled_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "DISTRIBUTIONS", ("numpy",))
    with pytest.raises(LayerError, match=r"numpy holds compiled code \(.*\.so\)"):
        layer.build(tmp_path)


def test_a_file_that_another_package_replaced_is_not_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip lets a package put files into another's folder; most here are installed without hashes."""
    site = tmp_path / "site"
    for name in DISTRIBUTIONS:
        for file in importlib.metadata.distribution(name).files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), site / file)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    layer.build(tmp_path / "sound")
    (site / "jmespath/parser.py").write_text("import os\n")
    with pytest.raises(
        LayerError, match=r"jmespath/parser\.py is not the file that jmespath was installed with: .*setup"
    ):
        layer.build(tmp_path / "layer")


def test_a_missing_distribution_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "DISTRIBUTIONS", ("no-such-distribution",))
    with pytest.raises(LayerError, match=r"no-such-distribution is not installed: .*make setup"):
        layer.build(tmp_path)
