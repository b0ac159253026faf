"""The stored advisories, in OSV's format, and a server on loopback that answers as OSV does.

tests/advisories.json has those known for what is pinned here, and two of libraries inside wheels, which no list of
Python packages names. `python -m tests.audit --refresh` adds what OSV knows by then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

FILE = Path(__file__).with_name("advisories.json")
ECOSYSTEM = "PyPI"
BEGINNING = "0"  # in OSV's ranges, the version before all others

Record = Mapping[str, Any]


def read(file: Path = FILE) -> list[Record]:
    """Return the records of a file, each with ``id``, ``modified``, ``affected`` and ``references``."""
    records: list[Record] = json.loads(file.read_text(encoding="utf-8"))
    return records


def about(records: Iterable[Record], name: str, version: str = "") -> list[Record]:
    """Return the records about a package, or only those that affect a version of it."""
    return [one for one in records if any(_affects(affected, name, version) for affected in one["affected"])]


def _affects(affected: Mapping[str, Any], name: str, version: str) -> bool:
    package = affected["package"]
    if package["ecosystem"] != ECOSYSTEM or canonicalize_name(package["name"]) != canonicalize_name(name):
        return False
    if not version or version in affected.get("versions", ()):
        return True
    ranges = (one for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM")
    return any(_within(one["events"], Version(version)) for one in ranges)


def _within(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    """Return whether a version is in a range, as https://ossf.github.io/osv-schema/#evaluation says."""
    inside = False
    for kind, at in sorted(((kind, at) for event in events for kind, at in event.items()), key=_order):
        if kind == "introduced" and (at == BEGINNING or version >= Version(at)):
            inside = True
        elif (kind == "fixed" and version >= Version(at)) or (kind == "last_affected" and version > Version(at)):
            inside = False
    return inside


def _order(event: tuple[str, str]) -> tuple[bool, Version, bool]:
    kind, at = event
    return at != BEGINNING, Version(at), kind == "introduced"


@contextmanager
def served(records: Iterable[Record]) -> Iterator[str]:
    """Answer queries about the records on loopback for the context; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = about(records, query["package"]["name"], query.get("version", ""))
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: a line for each package would hide the audit's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()
