"""The local cloud of a project: up, down, and a session for its clients."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import boto3

from localcloud.access.key import Key, ensure_key, find_key
from localcloud.account import REGION
from localcloud.deploy.deploy import Deployer
from localcloud.deploy.synthesis import fingerprint, synthesise
from localcloud.home import CloudError, Home, home_of, open_private, write_private
from localcloud.host import process
from localcloud.host.session import LocalSession, write_aws_config
from localcloud.project import Project

__all__ = ["Cloud", "CloudError", "current", "down", "up", "why_none"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Cloud:
    """A running local cloud. `stack` is the name of the deployed stack, "" until the first deployment has ended."""

    endpoint: str
    home: Home
    key: Key
    stack: str = ""

    def session(self) -> boto3.Session:
        """Return a session with clients of this cloud and its administrator's credentials."""
        return LocalSession(self.endpoint, self.home, self.key)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that direct any AWS tool to this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


@dataclass(frozen=True)
class State:
    """The content of `cloud.json`, which is kept while the cloud is down."""

    endpoint: str
    port: int
    pid: int | None = None
    stage: str = ""
    stack: str = ""
    fingerprint: str = ""

    @classmethod
    def load(cls, home: Home) -> State | None:
        """Read the state; None if the cloud was never up."""
        try:
            return cls(**json.loads(home.state_file.read_text()))
        except FileNotFoundError:
            return None

    def save(self, home: Home) -> State:
        """Write the state atomically and return it."""
        partial = home.state_file.with_suffix(".partial")
        write_private(partial, json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(home.state_file)
        return self


def up(project: Project, stage: str = "local", progress: Progress | None = None, *, tether: bool = False) -> Cloud:
    """Start the local cloud unless it runs, deploy the stack unless it is deployed, and return the cloud.

    `progress` gets short sentences. With `tether`, a cloud that is started here ends with the calling process, however
    that ends. Raise CloudError, SynthesisError or DeployError; each says what failed or what to do.
    """
    say = progress or (lambda _sentence: None)
    home = home_of(project)
    with _only_one(home, say):
        cloud, state = _running(home, say, tether)
        wanted = fingerprint(project, stage)
        deployer = Deployer(cloud.session(), cloud.endpoint, say)
        if (state.stage, state.fingerprint) == (stage, wanted) and deployer.complete(state.stack):
            say(f"The local cloud is up at {cloud.endpoint}.")
            return cloud
        say(f"Synthesising the stack for stage {stage}.")
        shutil.rmtree(home.assembly, ignore_errors=True)
        synthesise(project, stage, home.assembly)
        (stack,) = deployer.deploy(home.assembly)
        replace(state, stage=stage, stack=stack, fingerprint=wanted).save(home)
        say(f"The local cloud is up at {cloud.endpoint}.")
        return replace(cloud, stack=stack)


def start(project: Project, progress: Progress | None = None, *, tether: bool = False) -> Cloud:
    """Start the local cloud unless it runs, deploy nothing, and return the cloud."""
    say = progress or (lambda _sentence: None)
    home = home_of(project)
    with _only_one(home, say):
        return _running(home, say, tether)[0]


def down(project: Project, *, wipe: bool = False) -> None:
    """End the local cloud and every process in it. Keep its data for the next `up`, unless `wipe`."""
    home = home_of(project)
    if not home.root.exists():
        return
    with _only_one(home, lambda _sentence: None):
        process.stop(home)
        state = State.load(home)
        if state is not None:
            replace(state, pid=None).save(home)
        if wipe:
            _wipe(home)


def current(project: Project) -> Cloud | None:
    """Return the running local cloud, or None."""
    home = home_of(project)
    state, key = State.load(home), find_key(home)
    if state is None or key is None or process.running(home) is None or not process.healthy(key, state.endpoint):
        return None
    return Cloud(state.endpoint, home, key, state.stack)


def why_none(project: Project) -> str:
    """Return a sentence: why there is no current cloud."""
    running = process.running(home_of(project)) is not None
    return "The local cloud runs, but does not answer." if running else "The local cloud does not run."


def _running(home: Home, say: Progress, tether: bool) -> tuple[Cloud, State]:
    state, key = State.load(home), ensure_key(home)
    if process.running(home) is not None and (state is None or not process.healthy(key, state.endpoint)):
        say("The local cloud runs, but does not answer; starting it anew.")
        process.stop(home)
    if process.running(home) is None:
        port = process.choose_port(home.project, state.port if state else None)
        state = replace(state or State(endpoint="", port=port), endpoint=f"http://127.0.0.1:{port}", port=port)
        say(f"Starting the local cloud at {state.endpoint}.")
        state = replace(state, pid=process.start(home, key, state.endpoint, tether=tether)).save(home)
        write_aws_config(state.endpoint, home, key)
    if state is None:
        raise CloudError(
            f"{home.state_file} is gone while the local cloud runs. Run `{home.project.name} down` and start it again."
        )
    return Cloud(state.endpoint, home, key, state.stack), state


@contextlib.contextmanager
def _only_one(home: Home, say: Progress) -> Iterator[None]:
    """Let one command at a time bring the cloud up or down."""
    while True:
        home.create()
        with open_private(home.up_lock, "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Waiting for another command that brings the local cloud up or down.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock, home.up_lock):
                yield
                return


def _is_at(lock: IO[str], path: Path) -> bool:
    """Return whether the lock is still the file at `path`: a wipe removes it while other commands wait."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _wipe(home: Home) -> None:
    """Delete what the cloud has made, and nothing else: the folder may hold other files."""
    for folder in (home.services, home.objects, home.scratch, home.assembly):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (
        home.state_file,
        home.log_file,
        home.launcher_lock,
        home.aws_config,
        home.key_file,
        home.up_lock,
    ):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: it holds other files
        Path(home.root).rmdir()
