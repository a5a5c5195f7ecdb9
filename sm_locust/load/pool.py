"""The connections to one origin that are kept: which is used next, and which are replaced before they are old.

Those that get old are replaced beside the load: no request waits for that, and where it fails the old ones serve on.
"""

from __future__ import annotations

import random
import time

import gevent
from gevent import Greenlet
from gevent.pool import Pool as Greenlets

from sm_locust.load.connection import Connection, HttpFault
from sm_locust.load.opening import Opener

# AWS's load balancers and services move to other addresses within the 60 s for which their DNS answers hold, and AWS
# asks clients to look again as often. Connections end at half of that or later, each at a moment of its own.
MAX_AGE = 60.0  # seconds
_LOOK = 1.0  # how often connections are looked through for old ones
_UNUSED = 10.0  # a connection that nobody needed for so long is closed when it is old, and not replaced
_REPLACED_TOGETHER = 8
_SPARE = 8  # with so many idle, a busy one that is old is only closed when it is done
_TRY_AGAIN = 10.0  # after a replacement that did not come about; until then the old connection serves


class Pool:
    """Kept-alive connections of one opener.

    timeout  seconds for a replacement
    max_age  seconds within which a connection is replaced, unless it goes to an address that was given as such
    """

    def __init__(self, opener: Opener, timeout: float, max_age: float) -> None:
        self.idle: list[Connection] = []
        self.all: set[Connection] = set()
        self._opener = opener
        self._timeout = timeout
        self._max_age = max_age if opener.named else float("inf")
        self._keeper: Greenlet | None = None
        self._replacing = Greenlets(_REPLACED_TOGETHER)
        self._closed = False

    def take_idle(self) -> Connection | None:
        """The connection used last. Those that the server has closed since are dropped: nothing was sent on them."""
        while self.idle:
            connection = self.idle.pop()
            if connection.quiet():
                return connection
            self.discard(connection)
        return None

    def open(self) -> Connection:
        """Another one. Raises HttpFault."""
        connection = self._opener.open()
        now = connection.used_at = time.monotonic()
        connection.expires_at = now + self._max_age * random.uniform(0.5, 1.0)  # not all at once, later on
        connection.lasting = not self._closed
        self.all.add(connection)
        if not self._keeper and self._max_age < float("inf"):
            self._keeper = gevent.spawn(self._keep_looking)
        return connection

    def discard(self, connection: Connection) -> None:
        self.all.discard(connection)
        connection.close()

    def retire(self, connection: Connection) -> None:
        """Closes it now if it is idle, or else as soon as it is done."""
        connection.lasting = False
        try:
            self.idle.remove(connection)
        except ValueError:
            return
        self.discard(connection)

    def close(self) -> None:
        """Closes idle connections now and those in use as soon as they are done."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.kill(block=False)
        for connection in list(self.all):
            self.retire(connection)

    def _keep_looking(self) -> None:
        """Replaces what gets old. It ends with the last connection."""
        look = min(_LOOK, self._max_age / 10)
        while self.all and not self._closed:
            gevent.sleep(look)
            now = time.monotonic()
            due = []
            for connection in list(self.all):
                if connection.used:
                    connection.used = False
                    connection.used_at = now
                if not connection.lasting or connection.expires_at > now:
                    continue
                if connection not in self.idle:
                    # Were each of many slow requests to get a second connection, the server would see twice as many.
                    if len(self.idle) >= _SPARE:
                        self.retire(connection)
                    else:
                        due.append(connection)
                elif now - connection.used_at > _UNUSED:
                    self.retire(connection)
                else:
                    due.append(connection)
            for connection in due:
                if len(self._replacing) >= _REPLACED_TOGETHER:
                    self._replacing.wait_available(look)
                    if len(self._replacing) >= _REPLACED_TOGETHER:
                        break  # none gets anywhere; what else is to be done must not wait for that
                if connection not in self.idle and len(self.idle) + len(self._replacing) >= _SPARE:
                    continue  # looked at again
                connection.expires_at = float("inf")  # nobody else is to replace it
                self._replacing.spawn(self.replace, connection)

    def replace(self, old: Connection) -> None:
        if old not in self.all or not old.lasting:  # it ended meanwhile, and whoever needs another one opens it
            return
        try:
            # One limit for all of it: each of several addresses that do not answer would take its own.
            with gevent.Timeout(self._timeout):
                fresh = self.open()
        except (HttpFault, gevent.Timeout):
            old.expires_at = time.monotonic() + _TRY_AGAIN
            return
        self.retire(old)
        if fresh.lasting:
            self.idle.append(fresh)
        else:
            self.discard(fresh)
