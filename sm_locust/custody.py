"""Somebody's scaling in our hands: recorded before it is changed, given back as it was, from the record alone.

Both who changes it for good (`sm-locust scaling`) and who only borrows it (the experiment) go through here. What is
there and what is asked of AWS is aws/scaling's, how the record lies on disk record/prior's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sm_locust.aws import scaling, serving
from sm_locust.aws.endpoint import NOT_FOUND
from sm_locust.aws.preview import Row, preview
from sm_locust.aws.scaling import ScalingState
from sm_locust.aws.session import AwsFault
from sm_locust.config import ConfigError, RunConfig
from sm_locust.interrupts import Interrupts
from sm_locust.loopback import stand_in
from sm_locust.record import prior
from sm_locust.record.prior import APPLIED, EXPERIMENT, Prior, PriorError
from sm_locust.scaled import PREFIX

STEADY_PATIENCE = 1800.0  # schedule seconds: an instance takes minutes to come and to go
RESTORE_ATTEMPTS = 4
RESTORE_PAUSE = 2.0  # real seconds more before each


def patience(speed: int) -> float:
    """Real seconds for instances to come or go."""
    return STEADY_PATIENCE / speed + 10


def every(speed: int) -> float:
    """Real seconds between two questions about them."""
    return max(0.5, 15 / speed)


def refuse_owed(run_dir: Path, config: RunConfig, state: ScalingState) -> None:
    """Refuses to touch scaling that a record in `run_dir` has yet to put back: what is there now is not what was.

    Raises PriorError, which names the folder and the ways out.
    """
    for path in prior.unreadable(run_dir):
        raise PriorError(
            f"{path}: cannot be read, so whether scaling has yet to be put back is not known: mend it, or move it away"
        )
    for owed in _not_put_back(run_dir, config, state):
        if not owed.owed:
            continue
        owed.claim()  # or whoever is at work on it is named
        owed.release()
        resume = f", or go on with it: sm-locust experiment --resume {owed.folder}"
        raise PriorError(
            f"scaling of {state.resource_id} is not as it was before {owed.folder} was begun at {owed.at}: put it back "
            f"first: sm-locust scaling restore {owed.folder}{resume if owed.path.name == EXPERIMENT else ''}"
        )


def _not_put_back(run_dir: Path, config: RunConfig, state: ScalingState) -> list[Prior]:
    address = stand_in(config.target.url, config.target.api_gateway) if config.target else None
    return prior.not_put_back(run_dir, state.arn, state.resource_id, address)


def take(path: Path, config: RunConfig, state: ScalingState, speed: int, **more: Any) -> Prior:
    """The record of `state` at `path`, on disk and claimed. Raises PriorError, also for what `refuse_owed` refuses."""
    refuse_owed(path.parent.parent, config, state)
    return Prior.create(
        path,
        resource_id=state.resource_id,
        arn=state.arn,
        config=config.recorded(),
        speed=speed,
        scaling_before=state.as_dict(),
        **more,
    )


def set_up(record: Prior, config: RunConfig, state: ScalingState) -> list[str]:
    """scaling.apply, recorded: once it is asked for, a registration that was not there is known to be ours."""
    if state.target is None:
        record.write(registered_by_us=True)
    return scaling.apply(config, state)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is, beside what a configuration would make of it."""

    config: RunConfig
    state: ScalingState
    rows: tuple[Row, ...]

    @property
    def differs(self) -> bool:
        return any(row.changes for row in self.rows)


def look(config: RunConfig) -> Found:
    """Reads the scaling that a configuration is of. Raises ConfigError or AwsFault."""
    scaling.wanted(config)
    state = scaling.read(config)
    return Found(config, state, tuple(preview(config, state, serving.describe(config).current)))


def may_apply(found: Found, run_dir: Path, *, replace: bool) -> None:
    """Raises ConfigError or PriorError for what `apply` must not do."""
    scaling.check(found.config, found.state, replace=replace)
    refuse_owed(run_dir, found.config, found.state)


def apply(found: Found, run_dir: Path, say: Callable[[str], None]) -> tuple[Prior, list[str]]:
    """Sets up what the configuration says, to stay; the record of what there was, and what was done in sentences.

    say  told what is put back

    What is refused or interrupted half way is put back. Raises PriorError before anything was changed; ConfigError,
    AwsFault or KeyboardInterrupt after it was put back, or with the command that does it.
    """
    folder = run_dir / ("scaling-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    record = take(folder / APPLIED, found.config, found.state, 1)
    try:
        with Interrupts() as interrupts:
            try:
                done = set_up(record, found.config, found.state)
                interrupts.disarm()
            except (AwsFault, ConfigError, KeyboardInterrupt):
                interrupts.disarm()
                interrupts.impatient = lambda: say("  scaling is being put back: this is not interrupted")
                _, not_restored = give_back(record, lambda _: None)
                say(
                    f"what was changed could not be put back: {not_restored}; sm-locust scaling restore {folder}"
                    if not_restored
                    else "what was changed is put back: scaling is as it was"
                )
                raise
            record.write(kept=True)
    finally:
        record.release()
    return record, done


def removable(found: Found, run_dir: Path) -> list[str]:
    """What `remove` would take away, in words. Raises PriorError while something else has to be put back."""
    refuse_owed(run_dir, found.config, found.state)
    names = [str(there["PolicyName"]) for there in found.state.policies]
    ours = [f"policy {name}" for name in names if name.startswith(PREFIX)]
    needed = found.state.foreign_policies or found.state.scheduled_actions
    if found.state.target is not None and not needed and _registrations(found, run_dir):
        ours.append(f"the registration of {found.state.resource_id}, which we made")
    return ours


def remove(found: Found, run_dir: Path) -> list[str]:
    """Takes away what is ours; what was done, in sentences. Raises AwsFault."""
    records = _registrations(found, run_dir)
    done = scaling.remove(found.config, registered_by_us=bool(records))
    if scaling.read(found.config).target is None:
        for record in records:  # whoever registers it from now on, it is not we
            record.write(registered_by_us=False)
    return done


def _registrations(found: Found, run_dir: Path) -> list[Prior]:
    """Those by which it is we who registered it."""
    return [record for record in _not_put_back(run_dir, found.config, found.state) if record.registered_by_us]


def replaced(found: Found, run_dir: Path) -> list[str]:
    """What `remove` does not put back, since `apply` replaced it: the commands that do, in sentences."""
    return [
        f"What there was before {each.folder} was applied is put back by: sm-locust scaling restore {each.folder}"
        for each in _not_put_back(run_dir, found.config, found.state)
        if state_of(each).target is not None
    ]


def refuse_out_of_order(record: Prior) -> None:
    """Refuses to put back what there was before something that a later record of the same has yet to put back.

    Raises PriorError.
    """
    for later in prior.not_put_back(record.folder.parent, record.arn, record.resource_id, record.address):
        if (later.at, later.folder.name) > (record.at, record.folder.name):
            raise PriorError(
                f"{later.folder} changed scaling of {record.resource_id} later, at {later.at}: put that back first: "
                f"sm-locust scaling restore {later.folder}"
            )


def state_of(record: Prior) -> ScalingState:
    """What the record says that was there. Raises PriorError when it cannot be read."""
    before: Mapping[str, Any] = record.found["scaling_before"]
    try:
        return ScalingState.from_dict(before)
    except (KeyError, TypeError) as e:
        raise PriorError(f"{record.path}: scaling_before cannot be read: {e}") from None


def config_of(record: Prior) -> RunConfig:
    """The configuration that the record holds. Raises ConfigError."""
    return RunConfig.from_dict(record.found["config"], f"{record.path}: config")


def give_back(record: Prior, say: Callable[[str], None]) -> tuple[list[str], str]:
    """Puts back what the record holds: what was done, and why not all of it, in sentences; the record holds both.

    What AWS refuses for the moment is tried again. Raises nothing: whoever is interrupted must be able to call it.
    """
    done: list[str] = []
    not_restored = ""
    for attempt in range(RESTORE_ATTEMPTS):
        time.sleep(attempt * RESTORE_PAUSE)
        config = state = None
        try:
            config, state = config_of(record), state_of(record)
            here = serving.describe(config).arn
            if here != record.arn:
                not_restored = (
                    f"the record is of {record.arn}, and what answers here is {here}: another account or region"
                )
                break
            scaling.restore(
                config,
                state,
                registered_by_us=record.registered_by_us,
                patience=patience(record.speed),
                every=every(record.speed),
                say=say,
                done=done,
            )
        except (AwsFault, ConfigError, PriorError) as e:
            if NOT_FOUND in str(e).lower():  # the endpoint or component was deleted
                done.append(f"{record.resource_id} is gone, and its scaling with it: nothing is left to put back.")
                not_restored = ""
                break
            not_restored = "" if _is_as_it_was(config, state) else str(e)
            if not not_restored or not getattr(e, "passing", False):
                break
        else:
            not_restored = ""
            break
    with contextlib.suppress(OSError):  # a full disk changes nothing of what was done
        record.write_restored(done, not_restored)
    return done, not_restored


def _is_as_it_was(config: RunConfig | None, state: ScalingState | None) -> bool:
    """Whether all is as it was though a step was refused: what it was to delete may have gone with something else."""
    if config is None or state is None:
        return False
    try:
        now = scaling.read(config)
    except (AwsFault, ConfigError):
        return False
    parts = ("target", "policies", "scheduled_actions", "instances")
    return all(getattr(now, part) == getattr(state, part) for part in parts)
