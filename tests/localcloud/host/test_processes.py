from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.host.processes import Guard

# An owner that starts a child, which starts two more, one of them in another group. All sleep.
OWNER = """
import signal, subprocess, sys
from pathlib import Path
from localcloud.host.processes import guard
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
script = "import subprocess as s,time;a=s.Popen(['sleep','60']);b=s.Popen(['sleep','60'],start_new_session=True)"
script += ";print(a.pid,b.pid,flush=True);time.sleep(60)"
child = guard().start([sys.executable, "-c", script], cwd=Path("/"), environment={"PATH": "/usr/bin:/bin"},
                      stdout=subprocess.PIPE)
print(child.pid, child.output.readline().decode().strip(), guard().reaper_pid, flush=True)
input()
"""


def alive(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    state = listed.stdout.strip()
    return bool(state) and not state.startswith("Z")


def gone(*pids: int) -> bool:
    return not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_child_outlives_its_owner(end, until):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", OWNER], **pipes) as owner:
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert all(alive(pid) for pid in pids)

        owner.send_signal(end)

        owner.wait()
        until(lambda: gone(*pids))


def test_ending_the_owner_normally_kills_the_children_too(until):
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    with owner:
        pids = [int(word) for word in owner.stdout.readline().split()]
        owner.stdin.write(b"\n")
        owner.stdin.close()
        assert owner.wait() == 0
        until(lambda: gone(*pids))


@pytest.fixture
def guard():
    made = Guard()
    yield made
    made.close()


def start(guard, *command, **streams):
    return guard.start(command, cwd=Path("/"), environment={"PATH": "/usr/bin:/bin"}, **streams)


def test_a_child_gets_its_environment_and_no_input(guard):
    child = start(guard, "sh", "-c", "env; cat", stdout=subprocess.PIPE)
    with child.output as output:
        names = {line.partition(b"=")[0] for line in output.read().splitlines()}
    assert child.wait() == 0
    assert names <= {b"PATH", b"PWD", b"SHLVL", b"_"}


def test_stop_asks_first_and_then_kills(guard):
    polite = start(guard, "sh", "-c", 'trap "exit 7" TERM; echo; while :; do sleep 0.01; done', stdout=subprocess.PIPE)
    deaf = start(guard, "sh", "-c", 'trap "" TERM; echo; while :; do sleep 0.01; done', stdout=subprocess.PIPE)
    for child in (polite, deaf):
        child.output.readline()

    assert polite.stop(grace=10) == 7
    assert deaf.stop(grace=0.2) == -signal.SIGKILL
    for child in (polite, deaf):
        child.output.close()


def test_stop_kills_descendants_that_have_left_the_group_too(guard, until):
    script = "import subprocess as s;p=s.Popen(['sleep','60'],start_new_session=True);print(p.pid,flush=True);p.wait()"
    child = start(guard, sys.executable, "-c", script, stdout=subprocess.PIPE)
    stray = int(child.output.readline())
    child.stop(grace=0)
    child.output.close()
    until(lambda: gone(stray))


def test_what_an_ended_child_left_in_its_group_is_killed(guard, until):
    child = start(guard, "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!", stdout=subprocess.PIPE)
    with child.output as output:
        orphan = int(output.readline())
    assert child.wait() == 0
    until(lambda: gone(orphan))


def test_a_guard_without_its_reaper_starts_nothing(guard, until):
    os.kill(guard.reaper_pid, signal.SIGKILL)
    until(lambda: guard._reaper.poll() is not None)
    with pytest.raises(RuntimeError, match="reaper"):
        start(guard, "true")
