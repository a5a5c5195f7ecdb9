"""What Locust says while a line of progress stands on a terminal."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sm_locust.plugin import finish
from sm_locust.plugin.progress import Progress

TABLES = "locust.stats_logger"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stderr() -> Iterator[Terminal]:
    """A terminal as standard error, with Locust's two ways to write there; nothing of it is left behind."""
    stream = Terminal()
    loggers = [logging.getLogger(), logging.getLogger("locust"), logging.getLogger(TABLES)]
    before = [
        (logger, list(logger.handlers), list(logger.filters), logger.level, logger.propagate) for logger in loggers
    ]
    for logger in loggers[1:]:
        logger.handlers, logger.propagate = [logging.StreamHandler(stream)], False
        logger.setLevel("INFO")
    yield stream
    for logger, handlers, filters, level, propagate in before:
        logger.handlers, logger.filters, logger.propagate = handlers, filters, propagate
        logger.setLevel(level)


def said(stderr: Terminal, *, in_place: bool, has_quit: bool = False, print_stats: bool = False) -> str:
    progress = Progress(1, None, stderr if in_place else io.StringIO())
    live: Any = SimpleNamespace(progress=progress, has_quit=has_quit)
    environment: Any = SimpleNamespace(parsed_options=SimpleNamespace(print_stats=print_stats))
    with pytest.MonkeyPatch.context() as patched:  # here: pytest's own capture takes its place between fixture and test
        patched.setattr(sys, "stderr", stderr)
        finish.keep_the_line(environment, live)
    progress.wait("a line")
    logging.getLogger(TABLES).info("a table")
    logging.getLogger("locust.main").info("a word")
    return stderr.getvalue()


def test_a_word_of_locust_wipes_the_line_and_its_tables_wait_for_the_end(stderr: Terminal) -> None:
    assert said(stderr, in_place=True) == "\r\x1b[2Ka line\r\x1b[2Ka word\n"


def test_at_the_end_tables_are_there(stderr: Terminal) -> None:
    assert said(stderr, in_place=True, has_quit=True) == "\r\x1b[2Ka line\r\x1b[2Ka table\na word\n"


def test_who_asks_for_tables_has_them(stderr: Terminal) -> None:
    assert "a table" in said(stderr, in_place=True, print_stats=True)


def test_without_a_terminal_tables_wait_as_well(stderr: Terminal) -> None:
    assert said(stderr, in_place=False) == "a word\n"


def test_at_the_end_tables_are_in_a_log_too(stderr: Terminal) -> None:
    assert said(stderr, in_place=False, has_quit=True) == "a table\na word\n"


def test_who_asks_for_tables_has_them_in_a_log(stderr: Terminal) -> None:
    assert said(stderr, in_place=False, print_stats=True) == "a table\na word\n"


CONCLUDES = """
import os, signal, time
import locust, gevent
from sm_locust.plugin import finish
signal.signal(signal.SIGINT, signal.default_int_handler)
finish.hear_ctrl_c(lambda: print("leave", flush=True))
def press():
    os.kill(os.getpid(), signal.SIGINT)
    gevent.sleep(0.05)
try:
    press()
except KeyboardInterrupt:
    print("ends", flush=True)
for _ in range(3):
    press()
print("concluded", flush=True)
"""


def test_however_often_ctrl_c_is_pressed_what_is_being_concluded_is_not_cut_off() -> None:
    done = subprocess.run([sys.executable, "-c", CONCLUDES], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["ends", "leave", "leave", "leave", "concluded"], done.stderr
