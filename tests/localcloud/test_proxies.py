"""A proxy in the environment gets no request to the local cloud, which is on this machine."""

import http.server
import os
import threading
from unittest import mock

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.utils import get_environ_proxies

from localcloud.access.key import ensure_key
from localcloud.home import Home
from localcloud.host.launcher import _configure_emulator
from localcloud.host.session import LocalSession, write_aws_config
from localcloud.options import Options
from tests.localcloud.example import PROJECT

UNUSED = "http://127.0.0.1:1"  # no program listens there


@pytest.fixture
def requested(monkeypatch):
    """The paths requested of a proxy that the environment names in every way."""
    paths: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            paths.append(self.path)
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield paths
        server.shutdown()


@pytest.mark.parametrize("config", [{}, {"config": Config(retries={"mode": "standard", "max_attempts": 1})}])
def test_a_client_of_the_local_cloud_uses_no_proxy(tmp_path, requested, config) -> None:
    home = Home(tmp_path / "home", PROJECT).create()
    key = ensure_key(home)
    write_aws_config(UNUSED, home, key)
    session = LocalSession(UNUSED, home, key)
    with pytest.raises(EndpointConnectionError):
        session.client("s3", **config).put_object(Bucket="uploads", Key="k", Body=b"an image")
    assert requested == []


def test_the_launcher_s_own_clients_use_no_proxy(tmp_path, requested) -> None:
    home = Home(tmp_path / "home", PROJECT).create()
    with mock.patch.dict(os.environ):
        assert get_environ_proxies(UNUSED)
        _configure_emulator(home, Options(), ensure_key(home))
        assert get_environ_proxies(UNUSED) == {}
