"""boto3's own cost in a function: CPU time a call, real clients against a local HTTP server, no TLS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALLS = 300
OUTPUT = b'{"Schema":"prediction/1","Class":"covid","Probabilities":{"normal":0.125,"cap":0.125,"covid":0.75}}'
COPIED = (
    b"<CopyObjectResult><ETag>x</ETag><ChecksumSHA256>q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=</ChecksumSHA256>"
    b"</CopyObjectResult>"
)


class _Answers(BaseHTTPRequestHandler):
    """Answers every request with success."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        copied = "x-amz-copy-source" in self.headers
        body = b"{}" if "X-Amz-Target" in self.headers else OUTPUT if self.command == "GET" else COPIED * copied
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


def cpu_milliseconds() -> dict[str, float]:
    """CPU milliseconds a call of S3 and of DynamoDB."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    from functions.wiring import client  # noqa: PLC0415 - it needs the environment

    server = subprocess.Popen([sys.executable, "-m", "benchmarks.boto_work"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        s3, dynamodb = client("s3"), client("dynamodb")
        values = {f":{number}": {"S": "x" * 40} for number in range(8)}
        update: dict[str, Any] = {
            "TableName": "index",
            "Key": {"UploadId": {"S": "x" * 32}},
            "UpdateExpression": "SET " + ", ".join(f"a{name[1:]} = {name}" for name in values),
            "ExpressionAttributeValues": values,
        }
        where: dict[str, Any] = {"Bucket": "b", "Key": "k"}
        return {
            "s3 get": _cpu(lambda: s3.get_object(**where).pop("Body").read()),
            "s3 put": _cpu(lambda: s3.put_object(**where, Body=OUTPUT, IfNoneMatch="*")),
            "s3 copy": _cpu(lambda: s3.copy_object(**where, CopySource={"Bucket": "a", "Key": "k"})),
            "dynamodb": _cpu(lambda: dynamodb.update_item(**update)),
        }
    finally:
        server.terminate()
        server.wait()


def _cpu(call: Callable[[], object]) -> float:
    for _ in range(20):
        call()
    started = time.process_time()
    for _ in range(CALLS):
        call()
    return 1000 * (time.process_time() - started) / CALLS


def main() -> None:
    """Serve until ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
