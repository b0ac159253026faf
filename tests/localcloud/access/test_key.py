"""The key of a home and the permissions of its files: only the owner's, even if the folder existed before."""

from __future__ import annotations

import configparser
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from localcloud.access.key import Key, ensure_key, find_key
from localcloud.home import CloudError, Home, open_private
from localcloud.host import process
from localcloud.host.session import LocalSession, write_aws_config
from tests.localcloud.example import PROJECT

ENDPOINT = "http://127.0.0.1:4566"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home", PROJECT).create()


def rights(path):
    return path.stat().st_mode & 0o777


def test_each_home_has_a_random_key_that_stays(home, tmp_path):
    key = ensure_key(home)
    assert (ensure_key(home), find_key(home)) == (key, key)
    assert ensure_key(Home(tmp_path / "other", PROJECT).create()) != key
    assert len(key.secret_access_key) >= 40
    assert rights(home.key_file) == 0o600
    assert sorted(path.name for path in home.root.iterdir()) == ["key.json"]


def test_two_commands_that_make_the_key_at_once_get_the_same(home):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ensure_key(home), range(8)))) == 1


def test_a_thread_that_makes_the_key_while_another_ends_leaves_the_first_key(home, monkeypatch):
    link, second = os.link, []

    def overtaken(source, target):
        """Link the first thread's key; let the second, which has not seen it yet, make its key before the cleaning."""
        monkeypatch.setattr(os, "link", link)
        link(source, target)
        with monkeypatch.context() as before:
            before.setattr("localcloud.access.key.find_key", lambda _: None)
            second.append(ensure_key(home))

    monkeypatch.setattr(os, "link", overtaken)
    first = ensure_key(home)
    assert [first] == second == [find_key(home)]
    assert sorted(path.name for path in home.root.iterdir()) == ["key.json"]


def test_a_representation_hides_the_secret(home):
    key = ensure_key(home)
    assert key.secret_access_key not in f"{key!r} {key} {[key]}"


def test_a_folder_that_existed_becomes_its_owner_s_alone_with_all_in_it(tmp_path):
    root = tmp_path / "home"
    (root / "services").mkdir(parents=True)
    (root / "services" / "dynamodb.json").write_text("rows")
    (root / "cloud.json").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    (root / "link").symlink_to(elsewhere)
    for path, mode in (
        (root, 0o755),
        (root / "services", 0o755),
        (root / "services/dynamodb.json", 0o666),
        (elsewhere, 0o644),
    ):
        path.chmod(mode)
    Home(root, PROJECT).create()
    assert [rights(path) for path in (root, root / "services", root / "services/dynamodb.json")] == [
        0o700,
        0o700,
        0o600,
    ]
    assert rights(elsewhere) == 0o644


@pytest.mark.parametrize("name", ["key.json", "aws.config"])
def test_a_key_that_others_could_read_is_replaced(home, name):
    key = ensure_key(home)
    write_aws_config(ENDPOINT, home, key)
    (home.root / name).chmod(0o644)
    home.root.chmod(0o755)
    assert ensure_key(home.create()) != key


def test_a_key_that_others_could_not_read_stays(home):
    key = ensure_key(home)
    write_aws_config(ENDPOINT, home, key)
    home.root.chmod(0o755)
    assert ensure_key(home.create()) == key


@pytest.mark.parametrize("name", ["scratch/thesis.txt", "thesis.txt", "objects/a"])
def test_a_folder_with_other_files_is_not_a_home_and_stays_as_it_is(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    before = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.rglob("*"))}
    tmp_path.chmod(0o755)
    before[tmp_path] = tmp_path.stat().st_mode
    with pytest.raises(CloudError, match="holds other files, and no local cloud"):
        Home(tmp_path, PROJECT).create()
    assert {path: path.stat().st_mode for path in (tmp_path, *tmp_path.rglob("*"))} == before


def test_an_empty_folder_becomes_a_home(tmp_path):
    (tmp_path / ".gitignore").touch()
    (tmp_path / "lost+found").mkdir()
    assert ensure_key(Home(tmp_path, PROJECT).create()) == ensure_key(Home(tmp_path, PROJECT).create())


def test_a_folder_of_another_user_is_refused(home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: home.root.stat().st_uid + 1)
    with pytest.raises(CloudError, match=r"belongs to another user .* Set EXAMPLE_HOME to a folder of yours"):
        home.create()


def test_a_private_file_is_so_whatever_the_umask_and_whatever_it_was(home):
    before = os.umask(0)
    try:
        for name in ("new", "old"):
            path = home.root / name
            if name == "old":
                path.touch(0o666)
            with open_private(path, "w") as file:
                file.write("a row")
            assert (rights(path), path.read_text()) == (0o600, "a row")
    finally:
        os.umask(before)


def test_the_aws_config_has_all_that_a_tool_needs(home, monkeypatch):
    key = ensure_key(home)
    write_aws_config(ENDPOINT, home, key)
    assert rights(home.aws_config) == 0o600
    config = configparser.ConfigParser()
    config.read(home.aws_config)
    assert config["default"]["aws_secret_access_key"] == key.secret_access_key
    url = (
        LocalSession(ENDPOINT, home, key)
        .client("s3")
        .generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    )
    assert url.startswith(f"{ENDPOINT}/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&")


def test_another_program_on_the_port_cannot_pretend_to_be_the_cloud(home):
    key = ensure_key(home)

    class Impostor(BaseHTTPRequestHandler):
        proof = ""

        def do_GET(self):
            challenge = self.path.partition("challenge=")[2]
            proof = key.proof(challenge) if self.proof == "right" else Key("AKIA", "guessed").proof(challenge)
            body = json.dumps({"proof": proof, "home": str(home.root)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        assert not process.healthy(key, endpoint)
        Impostor.proof = "right"
        assert process.healthy(key, endpoint)
        server.shutdown()
