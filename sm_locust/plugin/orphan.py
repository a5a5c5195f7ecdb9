"""A Locust that an experiment has started does not outlive it: nobody would be there to end its load.

An experiment can be killed without a word to its children. They look after it themselves, whatever the system.
"""

from __future__ import annotations

import os
import signal

import gevent

PARENT = "SM_LOCUST_PARENT"  # in the environment: the process id of who started this Locust
EVERY = 1.0  # seconds


def end_with_parent() -> None:
    """Ends this process in order, as SIGTERM does, once the one that PARENT names is no longer its parent."""
    parent = os.environ.get(PARENT, "")
    if parent.isdigit():
        gevent.spawn(_watch, int(parent))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        gevent.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
