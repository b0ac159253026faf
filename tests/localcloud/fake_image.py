"""A model image of a few lines: keeps the container contract, and acts as bodies and hyperparameters say."""

import hashlib
import json
import os
import pathlib
import signal
import socket
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
MEETING_PORT = 29417
failures = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/ping":
            self.answer(503 if os.environ.get("FAKE_PING") == "never" else 200)
        elif self.path == "/execution-parameters" and "FAKE_PARAMETERS" in os.environ:
            self.answer(200, os.environ["FAKE_PARAMETERS"].encode())
        else:
            self.answer(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        command, _, argument = body.decode(errors="replace").partition(" ")
        if command == "status":
            status, _, message = argument.partition(" ")
            self.answer(int(status), message.encode(), "text/plain")
        elif command == "once":
            first = argument not in failures
            failures.append(argument)
            self.answer(503 if first else 200, b"second time")
        elif command == "sleep":
            time.sleep(float(argument))
            self.answer(200)
        elif command == "die":
            os._exit(3)
        else:
            names = ("SAGEMAKER_BATCH", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "FAKE_SETTING", "AWS_ACCESS_KEY_ID")
            document = {
                "sha256": hashlib.sha256(body).hexdigest(),
                "type": self.headers["Content-Type"],
                "accept": self.headers["Accept"],
                "model": sorted(path.name for path in (BASE / "model").iterdir()),
                "environment": {name: os.environ.get(name) for name in names},
            }
            self.answer(200, json.dumps(document).encode(), "application/json")

    def answer(self, status, body=b"", content_type=None):
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class SocketServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    server_bind = socketserver.TCPServer.server_bind
    request_queue_size = 128  # a Unix socket refuses the connection that finds the queue full


def serve():
    sys.stdout.write(f"serving the fake model\nprocess {os.getpid()} in {BASE}\n")
    if os.environ.get("FAKE_START") == "crash":
        sys.exit("no model here")
    if os.environ.get("FAKE_STOP") == "never":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    SocketServer(os.environ["EXAMPLE_BIND_TO_SOCKET"], Handler).serve_forever()


def train():
    parameters = json.loads((BASE / "input/config/hyperparameters.json").read_text())
    sys.stdout.write(f"training with {sorted(parameters)}\n")
    sys.stdout.write(parameters.get("print", "").replace("; ", "\n") + "\n")
    checkpoints = BASE / "checkpoints"
    found = {path.name: path.read_text() for path in checkpoints.iterdir()}
    if "checkpoint" in parameters:
        (checkpoints / "last.pt").write_text(parameters["checkpoint"])
        sys.stdout.write("wrote last.pt\n")
    resources = json.loads((BASE / "input/config/resourceconfig.json").read_text())
    time.sleep(float(parameters.get("sleep", 0)))
    if parameters.get("failing host") in (None, resources["current_host"]) and "fail" in parameters:
        (BASE / "output/failure").write_text(parameters["fail"])
        sys.exit(1)
    if "meet" in parameters:
        meet(resources["hosts"], resources["current_host"])
    data = BASE / "input/data"
    files = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    (BASE / "model/files.json").write_text(json.dumps(files))
    (BASE / f"model/{resources['current_host']}.json").write_text(json.dumps({**resources, "checkpoints": found}))


def meet(hosts, current):
    """Connect every host to the first one, which waits for all of them."""
    if current == hosts[0]:
        with socket.create_server(("", MEETING_PORT)) as server:
            for _host in hosts[1:]:
                server.accept()[0].close()
        return
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((hosts[0], MEETING_PORT), timeout=5).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("the first host is not there")


def process(arguments):
    """Act as the `name=value` arguments say, and write what the container finds."""
    wishes = dict(argument.split("=", 1) for argument in arguments)
    sys.stdout.write(f"processing {sorted(wishes)}\n")
    folder = BASE / "processing"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    document = {"files": files, "setting": os.environ.get("FAKE_SETTING")}
    (folder / "output/report/deep").mkdir(parents=True)
    (folder / "output/report/deep/files.json").write_text(json.dumps(document))
    if "message" in wishes:
        (BASE / "output/message").write_text(wishes["message"] * int(wishes.get("times", 1)))
    time.sleep(float(wishes.get("sleep", 0)))
    sys.exit(int(wishes.get("exit", 0)))


command = {"serve": serve, "train": train}.get(sys.argv[1])
command() if command else process(sys.argv[1:])
