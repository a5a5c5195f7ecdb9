"""Asks at the end of a run what still costs money, and does not let that hold up anybody."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from sm_locust.aws.billing import still_billing, unanswered
from sm_locust.config import RunConfig
from sm_locust.record.billing import Billing

PATIENCE = 15.0  # seconds, for a few calls and their retries
HURRIED_PATIENCE = 2.0  # when somebody wants to go
LOOK_EVERY = 0.1


def ask(config: RunConfig, is_hurried: Callable[[], bool]) -> Billing | None:
    """What goes on billing; None where the configuration names no endpoint.

    is_hurried  asked again and again whether somebody wants to go
    """
    asking = gevent.spawn(still_billing, config)
    waited = hurried = 0.0
    while not asking.ready() and waited < PATIENCE and hurried < HURRIED_PATIENCE:
        asking.join(LOOK_EVERY)
        waited += LOOK_EVERY
        hurried += LOOK_EVERY if is_hurried() else 0.0
    found = asking.value if asking.successful() else unanswered(config)
    asking.kill()
    return found
