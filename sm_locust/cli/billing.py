"""What a command that has to do with an endpoint says near its end: what still costs money. Offered to all of them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TextIO

from sm_locust.config import ConfigError, RunConfig
from sm_locust.record.billing import Billing
from sm_locust.record.run import Run, RunError

PATIENCE = 5.0  # seconds, for a handful of calls; who has pressed Ctrl-C waits for them, too


def show(config: RunConfig, stream: TextIO, patience: float = PATIENCE) -> None:
    """Prints it, as every run does; nothing where the configuration names no endpoint.

    Raises nothing for what AWS says or does not say, and returns after `patience` seconds, answered or not.
    """
    from sm_locust.aws.billing import still_billing, unanswered
    from sm_locust.report import text

    found: list[Billing | None] = []
    asking = threading.Thread(target=lambda: found.append(still_billing(config)), daemon=True)
    asking.start()
    asking.join(patience)
    with contextlib.suppress(OSError):  # the terminal may be gone
        text.print_billing(text.console_for(stream, text.LOG_WIDTH), found[0] if found else unanswered(config))


def show_for(experiment: Path, stream: TextIO) -> None:
    """Prints it for an experiment's folder, whose runs say what was loaded; nothing where none was begun."""
    for run in sorted(experiment.glob("*/run.json")):
        with contextlib.suppress(RunError, ConfigError):
            show(RunConfig.from_dict(Run.open(run.parent).meta.get("config") or {}), stream)
            return
