"""Process 1: played by a subprocess that the kernel gives orphans to, as it does to a container's first process."""

import os
import signal
import subprocess
import sys

from conftest import APP, wait_until
from patient import LONG

# PR_SET_CHILD_SUBREAPER makes this process the heir of its descendants' orphans.
HEIR = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(36, 1)
from ratemyunit import init

def role():
    if os.fork() == 0:              # a helper that dies when it is told to, and its own parent before it
        if os.fork() == 0:
            sys.stdin.read()
        os._exit(0)
    os.wait()
    FIRST
    print("ready", flush=True)
    THEN

code = init.run(role)
sys.exit(code)
"""


def heir(then: str, *, first: str = "pass") -> "subprocess.Popen[str]":
    """Start a process 1 whose role leaves an orphan behind, and does this before and after it is ready."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP)}
    argv = [sys.executable, "-c", HEIR.replace("FIRST", first).replace("THEN", then)]
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def children(pid: int) -> list[str]:
    """List the states of a process's children."""
    found = subprocess.run(["ps", "-o", "stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_orphans_are_buried_and_the_role_lives_on() -> None:
    with heir("time.sleep(3000)") as process:
        assert len(children(process.pid)) == 2
        assert process.stdin
        process.stdin.close()
        wait_until(lambda: len(children(process.pid)) == 1)
        process.send_signal(signal.SIGTERM)


def test_sigterm_reaches_the_role_and_its_exit_code_comes_back() -> None:
    with heir("time.sleep(3000)", first="signal.signal(signal.SIGTERM, lambda *_: os._exit(7))") as process:
        process.send_signal(signal.SIGTERM)

        assert process.wait(LONG) == 7


def test_a_role_that_was_killed_is_128_and_the_signal() -> None:
    with heir("os.kill(os.getpid(), signal.SIGKILL)") as process:
        assert process.wait(LONG) == 137


def test_a_role_that_raised_is_1_and_never_comes_back_into_its_parents_code() -> None:
    with heir("raise RuntimeError") as process:
        assert process.wait(LONG) == 1
        assert process.communicate(timeout=LONG)[0] == ""


def test_a_signal_that_comes_while_the_role_is_still_being_started_is_handed_on_all_the_same() -> None:
    early = """
import os, signal, sys
from ratemyunit import init

fork = os.fork
def late():
    child = fork()
    if child:
        os.kill(os.getpid(), signal.SIGTERM)      # before `run` goes on in the parent
    return child
os.fork = late
sys.exit(init.run(lambda: signal.sigwait({signal.SIGUSR1}) and 0))
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP)}

    done = subprocess.run([sys.executable, "-c", early], env=env, timeout=LONG, check=False)

    assert done.returncode == 128 + signal.SIGTERM
