"""Masters and workers of Locust in this process, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from locust.runners import MasterRunner, WorkerRunner


def until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.01)


def shut(runner: MasterRunner | WorkerRunner) -> None:
    """Ends it without a word to the other side, as a machine does that fails."""
    runner.greenlet.kill()
    connection = runner.server if isinstance(runner, MasterRunner) else runner.client
    connection.socket.context.destroy(linger=0)
