"""Signals before, in and after the work of a process that takes long."""

from __future__ import annotations

import subprocess
import sys

import pytest

SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"]


def play(script: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a process in which `come(name)` lets a signal come."""
    preamble = (
        "import os, signal, sys, time\n"
        # However the tests were started: with nohup, or in the background, their children are deaf to some.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from sm_locust.interrupts import Interrupts\n"
        "def come(name):\n"
        "    os.kill(os.getpid(), getattr(signal, name))\n"
        "    time.sleep(0.01)\n"
    )
    done = subprocess.run([sys.executable, "-c", preamble + script], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", SIGNALS)
def test_the_first_signal_interrupts_and_the_second_does_not(name: str) -> None:
    script = (
        "try:\n"
        "    with Interrupts() as interrupts:\n"
        "        try:\n"
        f"            come('{name}')\n"
        "            print('not heard')\n"
        "        finally:\n"
        f"            come('{name}')\n"
        "            print('cleaned up')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert play(script) == (0, "cleaned up\ninterrupted\n", "")


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("work", ["pass", "come('SIGTERM')"])
def test_a_signal_after_the_work_is_too_late_and_breaks_into_nothing(name: str, work: str) -> None:
    script = (
        "import threading\n"
        "code = 7\n"
        "try:\n"
        "    with Interrupts():\n"
        f"        {work}\n"
        "except KeyboardInterrupt:\n"
        "    code = 130\n"
        # It comes while the interpreter waits for its threads, as late as a signal can come.
        f"threading.Thread(target=lambda: (time.sleep(0.2), come('{name}'))).start()\n"
        "sys.exit(code)\n"
    )
    assert play(script) == (7 if work == "pass" else 130, "", "")


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_in_the_last_moments_of_the_interpreter_does_not_kill_it(name: str) -> None:
    """When it takes its modules apart it has given the default handlers back, and those end a process at once."""
    script = (
        "class Last:\n"
        f"    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):\n"
        "        kill(pid, number)\n"
        "last = Last()\n"
        "with Interrupts():\n"
        "    pass\n"
        "sys.exit(7)\n"
    )
    assert play(script) == (7, "", "")


def test_what_the_process_was_started_deaf_to_interrupts_nothing() -> None:
    """`nohup sm-locust experiment … &` outlives the terminal that it was begun in."""
    script = (
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with Interrupts():\n"
        "    come('SIGHUP')\n"
        "    print('goes on')\n"
        "    try:\n"
        "        come('SIGTERM')\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
        "print(signal.getsignal(signal.SIGHUP).name)\n"
    )
    assert play(script) == (0, "goes on\ninterrupted\nSIG_IGN\n", "")


def test_who_listened_before_listens_again() -> None:
    script = (
        "with Interrupts() as outer:\n"
        "    with Interrupts():\n"
        "        pass\n"
        "    try:\n"
        "        come('SIGTERM')\n"
        "        print('not heard')\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    assert play(script) == (0, "interrupted\n", "")
