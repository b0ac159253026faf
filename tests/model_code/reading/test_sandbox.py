"""What the decoder's process can no longer do: each attempt is made in a process in the sandbox."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_code.reading import sandbox
from model_code.reading.decoder_process import DecoderProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux's")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
ROOT = Path(__file__).parents[3]
CHILD = """
import ctypes, errno, json, os, resource, socket, sys, threading
from model_code.reading import sandbox

def attempt(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    except Exception as error:
        return type(error).__name__
    return "done"

def fork():
    if os.fork() == 0:
        os._exit(0)

def trace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "")

for step in sys.argv[1:]:
    del sandbox.STEPS[step]
parent = os.getppid()
print(json.dumps(sandbox.enter()), flush=True)
sys.stdin.readline()
print(json.dumps({
    "open a file": attempt(lambda: os.open("/dev/null", os.O_RDONLY)),
    "look for a file": attempt(lambda: os.stat("/")),
    "delete a file": attempt(lambda: os.unlink("/tmp/there is none")),
    "list a folder": attempt(lambda: os.listdir("/")),
    "open a socket": attempt(lambda: socket.socket()),
    "open a local socket": attempt(lambda: socket.socketpair()),
    "copy a descriptor": attempt(lambda: os.dup(0)),
    "make a pipe": attempt(os.pipe),
    "start a process": attempt(fork),
    "run a program": attempt(lambda: os.execv("/nothing", ["nothing"])),
    "signal its parent": attempt(lambda: os.kill(parent, 0)),
    "be traced": attempt(trace),
    "become root": attempt(lambda: os.setuid(0)),
    "start a thread": attempt(threading.Thread(target=print).start),
    "lift its limits": attempt(lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, resource.RLIM_INFINITY))),
}), flush=True)
sys.stdin.readline()
"""


class Sandboxed:
    """A process that has entered the sandbox, and waits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self.pid, self._in, self._out = process.pid, process.stdin, process.stdout
        self.kept = json.loads(self._out.readline())

    def attempts(self) -> dict[str, str]:
        """Return each attempt, and the name of the error that it ended with."""
        self._in.write("\n")
        self._in.flush()
        return dict(json.loads(self._out.readline()))


@contextmanager
def sandboxed(*without: str, code: str = CHILD) -> Iterator[Sandboxed]:
    command = [sys.executable, "-c", code, *without]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Sandboxed(process)
        finally:
            process.kill()


def state(pid: int) -> dict[str, str]:
    """Return what the kernel reports of the process: its user, limits and filters."""
    status = Path(f"/proc/{pid}/status").read_text()
    limits = Path(f"/proc/{pid}/limits").read_text()
    found = {
        name: " ".join(re.findall(rf"^{name}:[ \t]*(.*)$", status, re.MULTILINE)[0].split())
        for name in ("Uid", "Gid", "Groups", "CapEff", "NoNewPrivs", "Seccomp")
    }
    names = ("Max file size", "Max core file size", "Max processes", "Max open files")
    return found | {name: " ".join(re.findall(rf"^{name}\s+(\S+)\s+(\S+)", limits, re.MULTILINE)[0]) for name in names}


NO_LIMITS = dict.fromkeys(("Max file size", "Max core file size", "Max processes", "Max open files"), "0 0")
NOBODY = {"Uid": "65534 " * 3 + "65534", "Gid": "65534 " * 3 + "65534", "Groups": "", "CapEff": "0" * 16}
ENTERED = NO_LIMITS | {"NoNewPrivs": "1", "Seccomp": "2"} | (NOBODY if os.geteuid() == 0 else {})


def test_nothing_but_computing_and_answering_is_left() -> None:
    with sandboxed() as entered:
        assert entered.kept == []
        attempts = entered.attempts()
    # Python raises its own errors for these two.
    assert (attempts.pop("start a thread"), attempts.pop("lift its limits")) == ("RuntimeError", "ValueError")
    assert len(attempts) == 13
    assert {name: error for name, error in attempts.items() if error != "EPERM"} == {}


def test_the_decoders_process_has_entered_it() -> None:
    process = DecoderProcess()
    try:
        process.start()
        assert process._child is not None
        assert ENTERED.items() <= state(process._child.pid).items()
    finally:
        process.close()


@pytest.mark.parametrize("step", sandbox.STEPS)
def test_a_step_that_is_left_out_is_missed(step: str) -> None:
    if step == "the user" and os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    with sandboxed(step) as entered:
        assert not ENTERED.items() <= state(entered.pid).items()


def test_without_the_filter_the_limits_and_the_user_still_hold() -> None:
    with sandboxed("system calls") as entered:
        attempts = entered.attempts()
    assert attempts["look for a file"] == "done"
    for what in ("open a file", "open a socket", "make a pipe"):
        assert attempts[what] == "EMFILE", what
    assert attempts["become root"] == attempts["signal its parent"] == ("EPERM" if os.geteuid() == 0 else "done")
    assert attempts["start a process"] == "EAGAIN"


def test_an_architecture_that_is_not_listed_keeps_the_rest_and_says_so() -> None:
    with sandboxed(code=CHILD.replace("parent =", "sandbox.ARCHITECTURES.clear()\nparent =")) as entered:
        assert entered.kept == [f"system calls (the calls of {os.uname().machine} are not listed here)"]
        assert (ENTERED | {"Seccomp": "0"}).items() <= state(entered.pid).items()


@as_root
def test_it_works_as_an_ordinary_user() -> None:
    decode = (
        "import os, sys; from model_code.reading import dicom; from tests.hostile.objects import CODECS, good\n"
        "from model_code.reading.decoder_process import SHARED\n"
        "found = [dicom.decode(dicom.read_instance(good(one))).shape for one in CODECS if '4.51' not in one and "
        "'4.50' not in one]\n"
        "child, = SHARED._idle.queue\n"
        "status = open(f'/proc/{child._child.pid}/status').read()\n"
        "assert 'NoNewPrivs:\t1' in status and 'Seccomp:\t2' in status and 'Uid:\t4711' in status, status\n"
        "print(os.getuid(), len(found), set(found))"
    )
    # Only so that it may read this environment, which may be root's own.
    keep = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    ran = subprocess.run(
        ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", *keep, sys.executable, "-c", decode],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "4711 7 {(72, 64)}\n", ran.stderr


def verdict(program: bytes, architecture: int, number: int) -> int:
    """Return the verdict of the filter's instructions for a call."""
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        if code == sandbox.LOAD:
            value = {sandbox.NUMBER_AT: number, sandbox.ARCHITECTURE_AT: architecture}[operand]
        elif code == sandbox.JUMP_IF_EQUAL:
            at += if_true if value == operand else if_false
        else:
            assert code == sandbox.RETURN
            return int(operand)


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_allows_the_listed_calls_of_its_architecture_and_no_other(machine: str) -> None:
    program, own = sandbox.compiled(machine), sandbox.ARCHITECTURES[machine]
    listed = {numbers[machine] for numbers in sandbox.CALLS.values()}
    assert {number for number in range(600) if verdict(program, own, number) == sandbox.ALLOW} == listed
    for number in listed:
        assert verdict(program, own ^ 0x40000000, number) == sandbox.REFUSE
        assert verdict(program, own, number | 0x40000000) == sandbox.REFUSE  # the x32 table of the same architecture


@pytest.mark.parametrize(
    ("machine", "header"), [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")]
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"{path} is not here; the package linux-libc-dev has it")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", path.read_text(), re.MULTILINE))
    for name, numbers in (sandbox.CALLS | {"seccomp": sandbox.SECCOMP}).items():
        assert numbers[machine] == int(found[name]), name
