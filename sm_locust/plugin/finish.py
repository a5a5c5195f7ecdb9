"""How a Locust process ends: which signals are heard, what is said last, and with what exit code."""

from __future__ import annotations

import atexit
import logging
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from locust.env import Environment

from sm_locust.report import text

if TYPE_CHECKING:
    from sm_locust.plugin.live import LiveRun

WRONG_CONFIGURATION = 2
NOT_VALID = 3
TERMINATED = 128 + signal.SIGTERM

# What Locust says at every tick of a ramp, once or several times a second.
_PER_TICK = (
    "Shape test updating to",
    "Ramping to",
    "All users spawned",
    "Sending spawn jobs",
    "Your selected spawn rate is very high",
    "Spawning is complete and report waittime",
)


def be_quiet_about_ticks() -> None:
    """Keeps Locust's per-tick lines out of the log."""
    logging.getLogger("locust.runners").addFilter(lambda record: not record.getMessage().startswith(_PER_TICK))


def keep_the_line(environment: Environment, live: LiveRun) -> None:
    """Whoever logs wipes the line of progress of a terminal first, and Locust's tables wait for the end of the run.

    They say what the line says: every other second they would be written over it, or bury it in the log of a CI job.
    --print-stats asks for them all the same.
    """

    def makes_way(record: logging.LogRecord) -> bool:
        if live.progress is not None:
            live.progress.make_way()
        return True

    def waits(record: logging.LogRecord) -> bool:
        return live.has_quit

    tables = logging.getLogger("locust.stats_logger")
    for logger in (logging.getLogger(), logging.getLogger("locust"), tables):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                handler.addFilter(makes_way)
    if not getattr(environment.parsed_options, "print_stats", False):
        tables.addFilter(waits)


def hear_sigterm(environment: Environment, live: LiveRun) -> None:
    """With --headless and a shape, Locust hears SIGTERM only once the shape has ended: it would die without a word."""

    def quit_in_order() -> None:
        started = live.is_running
        live.ended_by("terminated")
        live.hurry()
        if environment.runner is not None:
            environment.runner.quit()
        if not started:  # main is still waiting for workers, and would go on to start
            gevent.kill(gevent.get_hub().parent, SystemExit(TERMINATED))

    gevent.signal_handler(signal.SIGTERM, quit_in_order)


def hear_ctrl_c(leave: Callable[[], None]) -> None:
    """The first Ctrl-C ends the process in order, and any more have it wait for nothing any more.

    Python raises KeyboardInterrupt wherever it happens to be, in mid-shipment too, where whoever runs then takes it for
    his own. Here the loop hears it, and hands it to the main greenlet, which waits. A loop that does not turn, since
    somebody computes, is interrupted by the next Ctrl-C, as it always was.

    leave  has whoever waits wait no longer
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # in the background it is ignored
    main = gevent.get_hub().parent
    wake = gevent.get_hub().loop.async_(ref=False)
    heard, is_waiting = 0, False

    def in_the_loop() -> None:
        nonlocal heard, is_waiting
        heard, is_waiting = heard + 1, False
        if heard == 1:
            gevent.kill(main, KeyboardInterrupt)
        else:
            gevent.spawn(leave)  # again: what is being concluded by now is nothing to be cut off

    def hear(*_: object) -> None:
        nonlocal is_waiting
        if is_waiting:
            raise KeyboardInterrupt
        is_waiting = True
        wake.send()

    wake.start(in_the_loop)
    signal.signal(signal.SIGINT, hear)
    # The interpreter gives the system's handler back before its last moments, and that would end them with -2.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def say_at_the_end(environment: Environment, live: LiveRun) -> None:
    """Sets the exit code, and prints the summary after Locust's own tables."""

    def on_quitting(**_: Any) -> None:
        try:
            live.quit()
        except KeyboardInterrupt:
            live.failed = live.failed or "the run folder is not complete: it was interrupted at its end"
            environment.process_exit_code = NOT_VALID
            return
        if live.failed:
            environment.process_exit_code = WRONG_CONFIGURATION if live.finished is None else NOT_VALID
        elif live.summary is not None:
            environment.process_exit_code = live.summary.exit_code

    def on_quit(**_: Any) -> None:
        options = environment.parsed_options
        if live.summary is not None and live.finished is not None:
            stream = sys.stderr if getattr(options, "json", False) else sys.stdout
            text.show(live.summary, live.finished.folder, stream)

    environment.events.quitting.add_listener(on_quitting)
    environment.events.quit.add_listener(on_quit)
