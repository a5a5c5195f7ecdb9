"""Who signs in this process: a signer for each AWS service, with keys that are renewed beside the load, never in it.

When keys are due to be renewed is credentials', how a request is signed sigv4's.
"""

from __future__ import annotations

import logging
import math
import time
from functools import cached_property

import gevent
from gevent import Greenlet

from sm_locust.aws.runtime import Keys, Runtime, runtime
from sm_locust.config import RunConfig
from sm_locust.load.beside import Beside
from sm_locust.load.credentials import Renewal
from sm_locust.load.signing_clock import SigningClock
from sm_locust.load.sigv4 import Credentials, Signer

logger = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds for a source of credentials that does not answer


class Signers:
    """The signers of one run.

    ends_at  Unix seconds at which the schedule ends; infinity without one
    """

    def __init__(self, config: RunConfig, ends_at: float) -> None:
        self._config = config
        self._ends_at = ends_at
        self._signers: dict[str, Signer] = {}
        self._renewal: Renewal | None = None
        self._keeper: Greenlet | None = None
        self._beside = Beside()  # where botocore's own work is done: reading certificates takes it 30 ms
        self.clock = SigningClock()

    @cached_property
    def runtime(self) -> Runtime:
        """Where InvokeEndpoint goes and whose keys sign it. Raises ConfigError when either cannot be found."""
        return runtime(self._config)

    def signer(self, service: str) -> Signer:
        """The signer for an AWS service. The first finds keys; raises what their source raises."""
        if self._renewal is None:
            self._renewal = Renewal(self._ask_for_keys, self.runtime.source)
            self._warn_of_expiry(self._renewal.keys)
            self._keeper = gevent.spawn(self._keep_credentials, self._renewal)
        if service not in self._signers:
            self._signers[service] = Signer(service, self.runtime.region, _credentials(self._renewal.keys), self.clock)
        return self._signers[service]

    def _keep_credentials(self, renewal: Renewal) -> None:
        while True:
            gevent.sleep(renewal.wait)
            renewal.renew()
            credentials = _credentials(renewal.keys)
            for signer in self._signers.values():
                if signer.credentials != credentials:
                    signer.credentials = credentials

    def _ask_for_keys(self) -> Keys:
        """In a thread, since a session of STS costs 35 ms of CPU, most of it outside of Python, and the loop turns on.

        gevent starts programs from the main thread alone: a `credential_process` is waited for here, which lets the
        loop turn as well; starting it costs 2 ms.
        """
        with gevent.Timeout(PATIENCE, TimeoutError()):
            if self.runtime.starts_a_process:
                return self.runtime.keys()
            return self._beside.do(self.runtime.keys)

    def _warn_of_expiry(self, keys: Keys) -> None:
        if not self.runtime.renews and keys.expires_at is not None and keys.expires_at < self._ends_at < math.inf:
            logger.warning(
                "the credentials (%s) cannot renew themselves and expire at %s, before the schedule's end at %s: the "
                "run would be ended then, and not be valid; use credentials that renew themselves or last longer",
                self.runtime.source,
                _utc(keys.expires_at),
                _utc(self._ends_at),
            )

    def close(self) -> None:
        """Renews nothing any more."""
        if self._keeper is not None:
            self._keeper.kill(block=False)


def _credentials(keys: Keys) -> Credentials:
    return Credentials(keys.access_key, keys.secret_key, keys.token)


def _utc(unix: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))
