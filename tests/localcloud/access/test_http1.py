"""The port speaks HTTP/1.1 alone, and no bytes of a stranger become an error in the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time

import h2.config
import h2.connection
import pytest
from hypercorn import protocol
from hypercorn.asyncio import serve
from hypercorn.config import Config

from localcloud.access import http1
from localcloud.access.door import Door
from localcloud.access.key import Key

SECONDS = 30
HTTP2_METHODS = {
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"x")],
    "extended CONNECT": [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"x"),
    ],
    "a method that is no text": [(b":method", b"\xff"), (b":scheme", b"http"), (b":path", b"/")],
    "a path that is no text": [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"\xff")],
    "no method": [(b":scheme", b"http"), (b":path", b"/")],
}
WEBSOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HEADERS = {
    "none": b"",
    "h2c": b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "h2c with settings that are no text": b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: \xff\r\n",
    "WebSocket": WEBSOCKET,
    "WebSocket with extensions that are no text": WEBSOCKET + b"Sec-WebSocket-Extensions: \xff\r\n",
    "WebSocket with a protocol that is no text": WEBSOCKET + b"Sec-WebSocket-Protocol: \xff\r\n",
}


class Errors(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def errors():
    handler = Errors()
    loggers = [logging.getLogger(name) for name in ("asyncio", "hypercorn.error")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler.lines
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.fixture(scope="module")
def address(errors):
    """A door with nothing behind it, served as the local cloud is."""
    before = protocol.H11Protocol
    http1.install()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def behind(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            started.set()

    started, ended = threading.Event(), threading.Event()
    configuration = Config()
    configuration.bind = [f"127.0.0.1:{port}"]
    configuration.graceful_timeout = 1
    configuration.keep_alive_timeout = 0.2
    configuration.errorlog = logging.getLogger("hypercorn.error")
    door = Door(behind, Key("AKIA0123456789ABCDEF", "secret"), port)
    running = serve(door, configuration, shutdown_trigger=lambda: asyncio.to_thread(ended.wait))
    thread = threading.Thread(target=lambda: asyncio.run(running))
    thread.start()
    assert started.wait(SECONDS)
    yield "127.0.0.1", port
    ended.set()
    thread.join(SECONDS)
    protocol.H11Protocol = before


def connected(address):
    """Return a connection to the server, which begins to listen after its start."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(address, timeout=SECONDS)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def answer_of(address, data):
    """Return all that the server answers to some bytes until it closes the connection, at our end of sending."""
    with connected(address) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("headers", HTTP2_METHODS.values(), ids=HTTP2_METHODS)
def test_http2_is_not_spoken(address, errors, headers):
    options = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    client = h2.connection.H2Connection(options)
    client.initiate_connection()
    client.send_headers(1, headers, end_stream=True)
    assert answer_of(address, client.data_to_send()).startswith(b"HTTP/1.1 4")
    assert errors == []


@pytest.mark.parametrize("method", [b"GET", b"POST", b"CONNECT", b"PRI"])
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_stranger_gets_a_refusal_and_no_other_protocol(address, errors, method, headers):
    request = method + b" / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % address[1] + headers + b"\r\n"
    assert answer_of(address, request).startswith(b"HTTP/1.1 403 ")
    assert errors == []
