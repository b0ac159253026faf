from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

from infra import layer
from infra.layer import DISTRIBUTIONS, SERVICES, LayerError

ROOT = Path(__file__).parents[2]


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


WITHOUT_THE_RUNTIME = """
import importlib, os, pathlib, pkgutil, sys
os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
sys.path[:0] = sys.argv[1:3]
import boto3, botocore, functions, functions.wiring
for module in pkgutil.iter_modules(functions.__path__, "functions."):
    if module.name not in {"functions.deliver", "functions.dicom_results"}:  # they have a layer of their own
        importlib.import_module(module.name)
for service in sys.argv[3:]:
    functions.wiring.client(service)
assert boto3.__file__.startswith(sys.argv[1]) and botocore.__file__.startswith(sys.argv[1])
print(boto3.__version__)
"""


def test_the_functions_work_with_the_layer_alone_and_so_with_any_sdk_of_the_runtime(built: Path) -> None:
    command = [sys.executable, "-I", "-S", "-B", "-c", WITHOUT_THE_RUNTIME, str(built / "python"), str(ROOT)]
    result = subprocess.run([*command, *SERVICES], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == (f"{importlib.metadata.version('boto3')}\n", "")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Yield each module of the functions, parsed."""
    for path in (ROOT / "functions").rglob("*.py"):
        yield path, ast.parse(path.read_text())


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def services_called() -> set[str]:
    """Return the services of all clients that the functions make, read from the code."""
    found: set[str] = set()
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if called(node).startswith(("boto3.client", "boto3.resource", "boto3.session", "boto3.Session")):
                assert path.name == "wiring.py", f"{path} makes a client by itself: use wiring.client"
            if called(node) in {"client", "wiring.client"}:
                found |= _literals(node.args[0], tree)
    return found


def _literals(argument: ast.expr, tree: ast.Module) -> set[str]:
    """Return the services that an argument may name: a text, or a variable of a comprehension over texts."""
    if isinstance(argument, ast.Constant):
        return {argument.value}
    assert isinstance(argument, ast.Name), f"{ast.unparse(argument)} is not a text"
    loops = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension) and ast.unparse(node.target) == argument.id
    ]
    return {one for loop in loops for one in ast.literal_eval(loop.iter)}


def test_the_layer_has_the_models_of_the_services_that_functions_call_and_no_other(built: Path) -> None:
    assert services_called() == SERVICES
    assert set(models(built).list_available_services("service-2")) == SERVICES


def models(built: Path) -> Loader:
    """Return a reader of the layer's models and of no other."""
    return Loader(extra_search_paths=[str(built / "python/botocore/data")], include_default_search_paths=False)


def test_each_parameter_that_functions_send_is_in_the_layers_models(built: Path) -> None:
    loader, known = models(built), {}
    for service in SERVICES:
        model = ServiceModel(loader.load_service_model(service, "service-2"), service)
        for name in model.operation_names:
            shape = model.operation_model(name).input_shape
            known[xform_name(name)] = set(shape.members if shape else ()) | known.get(xform_name(name), set())
    sent = {(operation, name) for path, tree in trees() for operation, name in parameters(tree, path)}
    assert {("put_object", "IfNoneMatch"), ("copy_object", "ChecksumAlgorithm")} <= sent
    assert not [(operation, name) for operation, name in sorted(sent) if name not in known.get(operation, ())]


def parameters(tree: ast.Module, path: Path) -> Iterator[tuple[str, str]]:
    """Yield (operation, parameter) of each call with arguments as AWS names them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    paged = {node.args[0].value for node in calls if node.func.attr == "get_paginator"}  # type: ignore[attr-defined]
    for node in calls:
        operation = node.func.attr  # type: ignore[attr-defined]
        names = [one.arg for one in node.keywords if one.arg and one.arg[0].isupper() and one.arg != "PaginationConfig"]
        if operation == "paginate":
            pager = node.func.value  # type: ignore[attr-defined]
            these = {pager.args[0].value} if isinstance(pager, ast.Call) else paged
            assert len(these) == 1, f"{path} pages {these}: which operation is it?"
            (operation,) = these
        yield from ((operation, name) for name in names)


def test_the_fakes_of_the_tests_check_requests_by_the_very_models_of_the_layer(built: Path) -> None:
    """Of requests whose parameters are put together at run time the functions' tests know the names."""
    installed = Path(botocore.__file__).parent / "data"
    for file in (built / "python/botocore/data").rglob("*.json*"):
        assert file.read_bytes() == (installed / file.relative_to(built / "python/botocore/data")).read_bytes()


def test_a_layer_without_a_services_model_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "SERVICES", SERVICES - {"kms"})
    layer.build(tmp_path)
    assert set(models(tmp_path).list_available_services("service-2")) == SERVICES - {"kms"}


def test_a_stage_shows_the_versions_in_its_outputs_and_on_the_layer(default: Any) -> None:
    (description,) = {one["Description"] for one in default.of_type("AWS::Lambda::LayerVersion").values()}
    assert default.template["Outputs"]["FunctionPackages"]["Value"] == description
    assert f"botocore=={importlib.metadata.version('botocore')}" in description.split()
    assert len(description) <= 256, "Lambda takes no longer description"
