"""Up, down and what survives them; each test has its own cloud."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud import cloud
from localcloud.access.key import find_key
from localcloud.home import Home, home_of
from localcloud.host import process
from tests.localcloud.example import PROJECT

SYNTHESISED = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}},
}
IMPORTS = "from localcloud import cloud; from tests.localcloud.example import PROJECT"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EXAMPLE_HOME", str(tmp_path / "home"))
    yield home_of(PROJECT)
    cloud.down(PROJECT, wipe=True)


@pytest.fixture
def app(monkeypatch, assembly):
    """Stands in for the CDK app: the template that it synthesises, and how often it did."""

    class App:
        template = SYNTHESISED
        runs = 0

        def synthesise(self, _project, _stage, output):
            self.runs += 1
            assembly(output, self.template)

        def fingerprint(self, _project, stage):
            return stage + json.dumps(self.template)

    made = App()
    monkeypatch.setattr(cloud, "synthesise", made.synthesise)
    monkeypatch.setattr(cloud, "fingerprint", made.fingerprint)
    return made


def test_up_starts_and_deploys_once(home, app):
    said = []
    first = cloud.up(PROJECT, progress=said.append)
    second = cloud.up(PROJECT)
    assert (first.endpoint, first.stack) == (second.endpoint, second.stack) == (first.endpoint, "Example")
    assert app.runs == 1
    assert [sentence.split()[0] for sentence in said] == ["Starting", "Synthesising", "Deploying", "The"]
    assert cloud.current(PROJECT) == second
    assert "Bucket" in json.dumps(
        first.session().client("cloudformation").describe_stack_resources(StackName="Example"), default=str
    )


def test_up_deploys_again_when_the_stack_is_gone(home, app):
    session = cloud.up(PROJECT).session()
    session.client("cloudformation").delete_stack(StackName="Example")
    cloud.up(PROJECT)
    assert app.runs == 2


def test_up_deploys_again_when_the_sources_have_changed(home, app):
    cloud.up(PROJECT)
    app.template = {**SYNTHESISED, "Resources": {**SYNTHESISED["Resources"], "Queue": {"Type": "AWS::SQS::Queue"}}}
    sqs = cloud.up(PROJECT).session().client("sqs")
    assert len(sqs.list_queues()["QueueUrls"]) == 1
    assert app.runs == 2


def test_two_commands_at_once_start_one_cloud(home):
    command = [sys.executable, "-c", f"{IMPORTS}; print(cloud.start(PROJECT).endpoint)"]
    commands = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    endpoints = {running.communicate()[0].strip() for running in commands}
    assert endpoints == {cloud.current(PROJECT).endpoint}


def test_down_ends_the_cloud_and_keeps_its_data_until_wiped(home):
    here = cloud.start(PROJECT)
    endpoint, pid = here.endpoint, process.running(home)
    here.session().client("s3").create_bucket(Bucket="kept")

    cloud.down(PROJECT)

    assert cloud.current(PROJECT) is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    cloud.down(PROJECT)

    again = cloud.start(PROJECT)
    assert again.endpoint == endpoint
    assert [bucket["Name"] for bucket in again.session().client("s3").list_buckets()["Buckets"]] == ["kept"]

    (home.root / "another file").touch()
    cloud.down(PROJECT, wipe=True)
    assert [path.name for path in home.root.iterdir()] == ["another file"]
    (home.root / "another file").unlink()  # with it the folder is not a home any more


def test_down_of_a_cloud_that_never_was(home):
    cloud.down(PROJECT)
    assert not home.root.exists()


def test_files_of_a_dead_launcher_do_not_count(home):
    home.create()
    home.launcher_lock.write_text(str(os.getpid()))
    assert process.running(home) is None
    cloud.down(PROJECT)
    assert cloud.start(PROJECT).endpoint


def test_another_port_is_taken_when_the_wanted_one_is_used_and_kept(home):
    wanted = int(os.environ[PROJECT.variable("PORT")])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if process._bindable(wanted):
            other.bind(("127.0.0.1", wanted))
            other.listen()
        here = cloud.start(PROJECT)
    assert not here.endpoint.endswith(f":{wanted}")
    cloud.down(PROJECT)
    assert cloud.start(PROJECT).endpoint == here.endpoint


def test_a_remembered_port_that_is_used_is_an_error_with_advice(home):
    here = cloud.start(PROJECT)
    cloud.down(PROJECT)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(here.endpoint.rpartition(":")[2])))
        other.listen()
        with pytest.raises(cloud.CloudError, match=r"used by another program\. End that program, or start afresh"):
            cloud.start(PROJECT)


def test_a_launcher_that_cannot_start_leaves_its_last_words(home, monkeypatch):
    monkeypatch.setenv("EXAMPLE_LAMBDA_CONCURRENCY", "many")
    with pytest.raises(cloud.CloudError, match="EXAMPLE_LAMBDA_CONCURRENCY is 'many', where int is expected"):
        cloud.start(PROJECT)


def test_the_modules_that_are_named_as_extensions_are_loaded_at_start(home, monkeypatch):
    monkeypatch.setenv("EXAMPLE_EXTENSIONS", "tests.absent")
    with pytest.raises(cloud.CloudError, match=r"No module named 'tests\.absent'"):
        cloud.start(PROJECT)


def test_a_launcher_that_hangs_is_replaced(home, monkeypatch):
    cloud.start(PROJECT)
    monkeypatch.setattr(process, "_HEALTH_SECONDS", 1.0)
    monkeypatch.setattr(process, "_END_SECONDS", 1.0)
    pid = process.running(home)
    os.kill(pid, signal.SIGSTOP)
    said = []
    try:
        cloud.start(PROJECT, said.append)
    finally:
        if process.running(home) == pid:
            os.kill(pid, signal.SIGCONT)
    assert process.running(home) not in (None, pid)
    assert said[0].startswith("The local cloud runs, but does not answer")


def test_a_tethered_cloud_goes_down_with_its_starter(home, until):
    script = f"{IMPORTS}; print(cloud.start(PROJECT, tether=True).endpoint, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout.readline()
        assert process.running(home)
        starter.kill()
    until(lambda: process.running(home) is None)


def test_the_session_ignores_the_caller_s_aws_settings(home, monkeypatch):
    for name, value in {
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "theirs",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    here = cloud.start(PROJECT)
    session = here.session()
    assert session.region_name == "us-east-1"
    assert session.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert session.client("sts", region_name="us-west-2").meta.region_name == "us-west-2"
    assert here.environment()["AWS_ENDPOINT_URL"] == here.endpoint


def test_the_folder_is_its_owner_s_alone(home):
    cloud.start(PROJECT)
    assert home.root.stat().st_mode & 0o077 == 0


def test_the_home_is_the_project_s_own_unless_set(monkeypatch):
    monkeypatch.delenv("EXAMPLE_HOME", raising=False)
    assert home_of(PROJECT) == Home(PROJECT.state, PROJECT)
    monkeypatch.setenv("EXAMPLE_HOME", "/somewhere/else")
    assert home_of(PROJECT).state_file == Path("/somewhere/else/cloud.json")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_launcher_in_the_foreground_ends_well_when_asked(home, until, number):
    port = process.choose_port(PROJECT, None)
    environment = {**os.environ, "EXAMPLE_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "localcloud.host.launcher", PROJECT.to_json()], env=environment
    ) as launcher:
        until(lambda: (key := find_key(home)) and process.healthy(key, f"http://127.0.0.1:{port}"))
        assert process.running(home) == launcher.pid
        launcher.send_signal(number)
        assert launcher.wait(20) == 0
    assert process.running(home) is None
    assert (home.services / "s3.json").exists()


def test_a_second_launcher_of_the_same_home_is_refused(home):
    cloud.start(PROJECT)
    command = [sys.executable, "-m", "localcloud.host.launcher", PROJECT.to_json()]
    second = subprocess.run(command, check=False, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"already runs in {home.root} (process {process.running(home)})" in second.stderr
