"""A model image of a few lines: keeps the container contract and does what bodies and hyperparameters tell it to."""

import hashlib
import json
import os
import pathlib
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
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
            self.answer(int(argument))
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
                "model": sorted(path.name for path in (BASE / "model").iterdir()),
                "environment": {name: os.environ.get(name) for name in names},
            }
            self.answer(200, json.dumps(document).encode())

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve():
    sys.stdout.write("serving the fake model\n")
    if os.environ.get("FAKE_START") == "crash":
        sys.exit("no model here")
    if os.environ.get("FAKE_STOP") == "never":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()


def train():
    parameters = json.loads((BASE / "input/config/hyperparameters.json").read_text())
    sys.stdout.write(f"training with {sorted(parameters)}\n")
    time.sleep(float(parameters.get("sleep", 0)))
    if "fail" in parameters:
        (BASE / "output/failure").write_text(parameters["fail"])
        sys.exit(1)
    data = BASE / "input/data"
    files = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    (BASE / "model/files.json").write_text(json.dumps(files))


{"serve": serve, "train": train}[sys.argv[1]]()
