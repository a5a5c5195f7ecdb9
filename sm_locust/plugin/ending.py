"""How a run ends: what is in flight is drained, the folder completed, and once more with what CloudWatch still owed.

When, and that nothing else begins meanwhile, is LiveRun's.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from sm_locust.plugin import billing
from sm_locust.plugin.active import JUST_BEFORE, Active
from sm_locust.plugin.options import patience, run_time
from sm_locust.plugin.watch import Watch
from sm_locust.record.clock import iso
from sm_locust.record.ledger import WORKER_LOST, Event
from sm_locust.record.meta import ALL_LOST, BY_HAND, COMPLETE, RUN_TIME
from sm_locust.record.run import RunError
from sm_locust.report import folder, text, wording

logger = logging.getLogger(__name__)


def drain(active: Active, *, hurry: bool) -> None:
    """Ends arrivals and waits until what is in flight has been counted; with `hurry` it is cancelled."""
    end = max(0.0, min(active.clock.now(), active.until))
    active.write_plan(end)
    if active.master is not None:  # Locust ends a run in the turn in which it finds its last worker missing
        active.look_for_workers(active.master, max(0.0, end - JUST_BEFORE))
    active.ended_at = end
    active.ended = active.ended_by or _why(active, end)
    active.progress.end()
    if active.board is not None:
        active.board.ending(end)
    waits = 0.0 if hurry else patience(active.environment)
    if active.generator is not None:
        try:
            active.generator.drain(waits)
        except KeyboardInterrupt:  # a second Ctrl-C: no more patience, but nothing is left uncounted
            active.generator.cancel()
        active.take(active.generator, None)
        active.generator.close(hurry=hurry)
    elif active.master is not None:
        silent: set[str] = set()
        with contextlib.suppress(KeyboardInterrupt):
            silent = active.master.drain(waits)
        now = active.clock.now()
        active.note_events([Event(now, WORKER_LOST, worker) for worker in sorted(silent - active.lost)])


def _why(active: Active, end: float) -> str:
    """What ended it where nobody has said so."""
    if active.schedule is not None and end >= active.schedule.duration:
        return COMPLETE
    if end >= run_time(active.environment) - 1.5:  # Locust counts from its start, we from the next whole second
        return RUN_TIME
    if active.master is not None and active.processes and set(active.processes) <= active.master.missing():
        return ALL_LOST
    return BY_HAND


def leave(active: Active) -> None:
    """Has the drain wait for nothing any more: what is in flight is cancelled."""
    if active.generator is not None:
        active.generator.leave()
    elif active.master is not None:
        active.master.leave()


def complete(active: Active) -> None:
    """Completes the folder of a run that has been drained, but for what CloudWatch has not said yet."""
    active.is_closed = True
    active.write(active.run.flush)
    if active.exposed is not None:
        active.exposed.end()
    ended_at = iso(active.clock.wall(active.clock.now()))
    if active.watch is not None:
        active.watch.end()
    _conclude(
        active,
        last=active.watch is None,
        ended_at=ended_at,
        ended_s=active.ended_at,
        ended=active.ended,
        started_at=iso(active.clock.started_at),
        workers=active.processes,
        **({"search": active.searching.as_dict()} if active.searching is not None else {}),
    )


def settle(active: Active, watch: Watch, another_goes_on: Callable[[], bool]) -> None:
    """Completes the folder once more, with all that CloudWatch says of the run.

    another_goes_on  whose arrivals must not wait for a report
    """

    def say(what: str) -> None:
        active.progress.wait(what)
        if active.board is not None:
            active.board.settling(what)

    watch.settle(active.answered, active.last_answered_at, active.clock.wall(active.ended_at or 0.0), say)
    active.progress.end()
    active.write(active.run.rewrite_observations, watch.observations)
    active.write(active.run.rewrite_scaling, watch.events)
    bills = None if watch.is_left else billing.ask(active.order.config, lambda: watch.is_hurried)
    hosted = None if watch.hosted is None else watch.hosted._asdict()
    meta = {"cloudwatch": watch.as_dict(), "scaling": watch.scaling_at_start, "endpoint": hosted}
    if bills is not None:
        meta["billing"] = bills.as_dict()
    if another_goes_on():
        active.write(lambda: active.run.finish(**meta))
    else:
        _conclude(active, last=True, **meta)


def _conclude(active: Active, *, last: bool, **meta: Any) -> None:
    """Adds to run.json, and makes what is derived from the folder; `last`: CloudWatch has said all it will."""
    try:
        active.run.finish(**meta)
        active.summary = folder.write(active.run)
        # In the web UI this is the only word of it, for a headless run the first.
        then = f"open {active.run.folder / 'report.html'}" if last else "CloudWatch's last minutes are to come"
        logger.info("%s; %s", text.verdict(active.summary), then)
        if active.board is not None:
            said = " ".join(filter(None, (wording.stopped(active.summary), wording.headline(active.summary))))
            active.board.conclude(active.summary.as_dict(), said, last=last)
    except (RunError, OSError) as e:
        active.failed = str(e)
        again = f"sm-locust summarize {active.run.folder}"
        logger.error("the run folder is not complete: %s; once that is mended, complete it by %s", e, again)
        if active.board is not None:
            active.board.broken(active.failed)
