"""The running local cloud, attacked by another user, by a web page's request, and by a page in a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from localcloud.host import process

NOBODY = 65534
FOREIGN = "https://evil.example"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def known_key(here, service):
    """Return a client with the default key of the emulator, which is public."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    return session.client(service, endpoint_url=here.endpoint, config=Config(signature_version="s3v4"))


@pytest.fixture
def requests(here, bucket):
    """The requests that an intruder may try, as method and URL."""
    upload = known_key(here, "s3").generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "planted"})
    listed = known_key(here, "s3").generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
    return [
        ("GET", f"{here.endpoint}/"),
        ("POST", f"{here.endpoint}/_ministack/reset"),
        ("POST", f"{here.endpoint}/_ministack/config"),
        ("GET", f"{here.endpoint}/_ministack/sqs/messages"),
        ("GET", f"{here.endpoint}/{bucket}"),
        ("PUT", f"{here.endpoint}/{bucket}/planted"),
        ("POST", f"{here.endpoint}/2015-03-31/functions"),
        ("GET", listed),
        ("PUT", upload),
    ]


@pytest.fixture
def untouched(client, bucket):
    """Assert that nothing has changed: the bucket exists and is empty, and its owner can put an object."""

    def look():
        s3 = client("s3")
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="own", Body=b"1")
        s3.delete_object(Bucket=bucket, Key="own")

    return look


def curl(*arguments, **options):
    """Return the status and the headers that curl gets."""
    line = ["curl", "-s", "-D", "-", "-o", "/dev/null", "--max-time", "10", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, **options).stdout.lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_request_with_a_foreign_origin_is_refused_and_not_to_be_read(requests, untouched):
    for method, url in requests:
        answer = curl("-X", method, "-H", f"Origin: {FOREIGN}", "-H", "Content-Type: text/plain", "-d", "{}", url)
        assert answer.split()[1] == "403", url
        assert "access-control-" not in answer
    untouched()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_gets_nothing_and_finds_no_key(here, requests, untouched):
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for method, url in requests:
        assert curl("-X", method, "-d", "{}", url, **as_nobody).split()[1] in ("400", "403"), url
    for file in (here.home.key_file, here.home.aws_config, here.home.state_file):
        seen = subprocess.run(["cat", file], check=False, capture_output=True, **as_nobody)
        assert (seen.returncode, seen.stdout) == (1, b"")
    launcher = process.running(here.home)
    seen = subprocess.run(["cat", f"/proc/{launcher}/environ"], check=False, capture_output=True, **as_nobody)
    assert seen.stdout == b""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args"], check=True, capture_output=True, text=True, **as_nobody)
    for word in (here.key.access_key_id, here.key.secret_access_key):
        assert word not in listed.stdout
        assert word not in here.home.log_file.read_text()
    untouched()


def test_every_file_of_a_running_cloud_is_its_owner_s_alone(here, client, bucket):
    client("s3").put_object(Bucket=bucket, Key="an upload", Body=b"1")
    for root, _folders, files in os.walk(here.home.root):
        for name in (".", *files):
            path = os.path.join(root, name)  # noqa: PTH118 (Path would drop the dot)
            assert os.path.islink(path) or os.stat(path).st_mode & 0o077 == 0, path  # noqa: PTH114, PTH116


PAGE = """<!doctype html><title>attack</title><body><script>
const attempts = %s, control = "%s";
async function run() {
  const results = {};
  for (const [method, url] of [["GET", control + "/readable"], ...attempts]) {
    const options = {method, headers: {"Content-Type": "text/plain"}, body: method == "GET" ? undefined : "{}"};
    for (const mode of ["cors", "no-cors"]) {
      try {
        const answer = await fetch(url, {...options, mode});
        results[mode + " " + method + " " + url] = mode == "cors" ? answer.status : answer.type;
      } catch (error) { results[mode + " " + method + " " + url] = "blocked"; }
    }
  }
  for (const action of [control + "/form", ...attempts.map(attempt => attempt[1])]) {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = "frame" + Math.random(); document.body.append(frame, form);
    form.target = frame.name; form.method = "POST"; form.action = action; form.enctype = "text/plain"; form.submit();
  }
  await new Promise(resolve => setTimeout(resolve, 1500));
  await fetch("/report", {method: "POST", body: JSON.stringify(results)});
}
run();
</script>"""


class Site(ThreadingHTTPServer):
    """A web server that serves one page, lets every page read its answers, and keeps its requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page, self.asked, self.reported = "", [], threading.Event()
        self.report = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        """Stop serving."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(self.server.page.encode())
        if self.path == "/report":
            self.server.report = json.loads(body)
            self.server.reported.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with contextlib.closing(Site()) as made:
        yield made


@pytest.fixture
def control():
    with contextlib.closing(Site()) as made:
        yield made


def browse(profile, url, *flags, until=None):
    """Open a page in a browser with a new profile; return its DOM, or wait for `until` and return nothing."""
    names = "MAP *.example 127.0.0.1"
    line = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--host-resolver-rules={names}", *flags, url]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as browser:
        try:
            if until is not None:
                assert until.wait(60)
                return ""
            return browser.communicate(timeout=60)[0]
        finally:
            browser.kill()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_page_in_a_browser_reads_nothing_and_changes_nothing(here, requests, untouched, site, control, tmp_path):
    at_control = f"http://control.example:{control.server_address[1]}"
    site.page = PAGE % (json.dumps(requests), at_control)
    browse(tmp_path / "profile", f"http://evil.example:{site.server_address[1]}/", until=site.reported)
    # The browser itself does not protect: the page's requests to another server arrived, and were read.
    assert site.report[f"cors GET {at_control}/readable"] == 200
    assert "POST /form" in control.asked
    assert {result for result in site.report.values() if result != "blocked"} == {200, "opaque"}
    assert [what for what, result in site.report.items() if result == 200] == [f"cors GET {at_control}/readable"]
    untouched()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_name_that_was_rebound_to_this_machine_shows_a_browser_nothing(here, bucket, tmp_path):
    port = urlsplit(here.endpoint).port
    shown = browse(tmp_path / "profile", f"http://rebound.example:{port}/", "--dump-dom")
    assert "AccessDenied" in shown
    assert bucket not in shown
