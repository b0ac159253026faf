"""What is deployed is locked: all of it, in the tested versions, with a hash for each wheel; and the locks are used."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from assurance.cdk_cli import CLI, INSTALL
from tests.locks import (
    CONSTRAINTS,
    DICOM_LOCK,
    LAYER_LOCK,
    LOCK,
    REQUIREMENTS,
    ROOT,
    TORCH_LOCK,
    index_of_pip,
    locked,
    of_dicom_layer,
    of_image,
    of_layer,
    pins,
    write,
    write_torch,
)


@pytest.mark.parametrize(
    ("lock", "wanted"), [(LOCK, of_image()), (LAYER_LOCK, of_layer()), (DICOM_LOCK, of_dicom_layer())]
)
def test_a_lock_has_all_that_is_deployed_in_its_version_and_nothing_else(lock: Path, wanted: dict[str, str]) -> None:
    assert {name: version for name, (version, _) in locked(lock).items()} == wanted
    assert all(hashes for _, hashes in locked(lock).values())


def test_the_images_versions_are_those_that_the_tests_run_with() -> None:
    tested = pins(CONSTRAINTS)
    assert not {name: version for name, version in of_image().items() if tested.get(name, version) != version}


def test_set_up_installs_the_layer_by_its_lock_before_all_else() -> None:
    first, second = re.findall(r"pip install (.+)", (ROOT / "Makefile").read_text())
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "infra/layer.lock"):
        assert option in first
    assert "constraints.txt" in second, "which leaves what is there in its version"


def test_the_image_installs_by_it_builds_nothing_and_checks_that_nothing_is_missing() -> None:
    dockerfile = re.sub(r"\\\n\s+", "", (ROOT / "model_code/Dockerfile").read_text())
    (locked_install, cpu_install, torch_install) = re.findall(r"pip install ([^&;\n]+)", dockerfile)
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:"):
        assert option in locked_install
        assert option in cpu_install
    assert "model_code/requirements.lock" in locked_install
    assert "model_code/torch-cpu.lock" in cpu_install
    assert "--only-binary :all:" in torch_install
    assert f"torch=={pins(REQUIREMENTS)['torch']}" in torch_install
    assert "&& pip check" in dockerfile


def test_torch_for_processors_is_locked_in_the_version_of_all_other_builds() -> None:
    (line,) = re.findall(r"^torch==(\S+)", TORCH_LOCK.read_text(), re.MULTILINE)
    assert line == f"{pins(REQUIREMENTS)['torch']}+cpu"


def test_torchs_lock_has_the_index_hashes_of_linux_wheels_of_that_version_alone(tmp_path: Path) -> None:
    wheels = {
        "torch-2.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl": "a" * 64,
        "torch-2.0%2Bcpu-cp312-cp312-manylinux_2_28_aarch64.whl": "b" * 64,
        "torch-2.0%2Bcpu-cp312-cp312-win_amd64.whl": "c" * 64,
        "torch-2.1%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl": "d" * 64,
        "torch-2.0-cp312-cp312-manylinux_2_28_x86_64.whl": "e" * 64,
        "torch-2.0%2Bcpu-cp314-cp314t-manylinux_2_28_x86_64.whl": "f" * 64,
    }
    page = "".join(f'<a href="/whl/cpu/{name}#sha256={digest}">{name}</a>' for name, digest in wheels.items())
    with pages(page) as index:
        write_torch(tmp_path / "lock", index, "2.0")
        with pytest.raises(SystemExit, match=r"no link to a wheel of torch 3\.0\+cpu"):
            write_torch(tmp_path / "lock", index, "3.0")
    assert re.findall(r"[0-9a-f]{64}", (tmp_path / "lock").read_text()) == ["a" * 64, "b" * 64]


@contextmanager
def pages(page: str) -> Iterator[str]:
    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/whl/cpu"
    finally:
        server.shutdown()
        server.server_close()


def test_the_cdk_cli_is_locked_to_its_bytes_and_brings_nothing_along() -> None:
    wanted = json.loads((CLI / "package.json").read_text())["dependencies"]
    lock = json.loads((CLI / "package-lock.json").read_text())["packages"]
    assert lock.pop("")["dependencies"] == wanted
    ((place, package),) = lock.items()
    assert wanted == {place.removeprefix("node_modules/"): package["version"]}
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])


def test_nothing_runs_a_package_of_npm_that_is_not_locked() -> None:
    ours = [
        path
        for pattern in (
            "Makefile",
            "*.md",
            "docs/*.md",
            "wetread/**/*.py",
            "assurance/**/*.py",
            "infra/**/*.py",
            "tests/**/*.sh",
        )
        for path in ROOT.glob(pattern)
        if path.name != "CHANGELOG.md"
    ]
    assert not [path for path in ours if re.search(r"\bnpx\b|npm (install|i|exec|x) ", path.read_text())]


@pytest.mark.skipif(not shutil.which("npm"), reason="setting up puts npm beside the interpreter")
def test_other_bytes_under_the_clis_name_and_version_are_not_installed(tmp_path: Path) -> None:
    """As a registry would serve them that was taken over, or a proxy between it and us."""
    document = json.dumps({"name": "aws-cdk", "version": "2.1148.1", "bin": {"cdk": "cdk"}}).encode()
    tarball = io.BytesIO()
    with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
        for name, body in (("package/package.json", document), ("package/cdk", b"#!/bin/sh\n")):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    asked: list[str] = []
    with registry_of(tarball.getvalue(), asked) as url:
        for without, installed in ((False, False), (True, True)):
            folder = tmp_path / str(without)
            shutil.copytree(CLI, folder, ignore=shutil.ignore_patterns("node_modules"))
            if without:  # it is the digest that makes the difference
                lock = (folder / "package-lock.json").read_text()
                (folder / "package-lock.json").write_text(re.sub(r'"integrity": "[^"]+",', "", lock))
            environment = os.environ | {"npm_config_registry": url, "npm_config_cache": str(tmp_path / "cache")}
            ran = subprocess.run(INSTALL, env=environment, cwd=folder, check=False, capture_output=True, text=True)
            assert (folder / "node_modules/aws-cdk/cdk").exists() == installed, ran.stderr
            assert ("EINTEGRITY" in ran.stderr) != installed, ran.stderr
    assert "/tarball" in asked


@contextmanager
def registry_of(tarball: bytes, asked: list[str]) -> Iterator[str]:
    """An npm registry on loopback with one package, whose metadata have the digest of its bytes; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            digest = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
            url = f"http://127.0.0.1:{self.server.server_address[1]}/tarball"
            version = {"name": "aws-cdk", "version": "2.1148.1", "dist": {"tarball": url, "integrity": digest}}
            document = {"name": "aws-cdk", "dist-tags": {"latest": "2.1148.1"}, "versions": {"2.1148.1": version}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(tarball if self.path == "/tarball" else json.dumps(document).encode())

        def log_message(self, *_: object) -> None: ...

    with served(Handler) as url:
        yield url


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def index_of(files: list[dict[str, Any]]) -> Iterator[str]:
    """A package index on loopback with one package; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/simple/a/" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"files": files}).encode())

        def log_message(self, *_: object) -> None: ...

    with served(Handler) as url:
        yield f"{url}/simple"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/simple", "http://127.0.0.1:9/simple/"])
def test_the_index_that_is_asked_is_pips(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", url)
    assert index_of_pip() == "http://127.0.0.1:9/simple"


def test_without_a_configuration_the_index_is_pips_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert index_of_pip().startswith("https://")


def test_a_lock_has_the_wheels_of_the_version_that_linux_takes_and_that_were_not_taken_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = (
        "a-1-py3-none-any",
        "a-2-py3-none-any",
        "a-2-cp312-cp312-win_amd64",
        "a-2-cp312-cp312-manylinux_2_28_x86_64",
    )
    files = [
        {"filename": f"{name}.whl", "hashes": {"sha256": f"{number}" * 64}, "yanked": False}
        for number, name in enumerate(names)
    ]
    files.append(
        {"filename": "a-2-cp311-cp311-manylinux_2_28_aarch64.whl", "hashes": {"sha256": "e" * 64}, "yanked": True}
    )
    with index_of(files) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        write(tmp_path / "lock", "# head\n", {"a": "2"})
    assert locked(tmp_path / "lock") == {"a": ("2", ["1" * 64, "3" * 64])}
