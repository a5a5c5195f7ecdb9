"""The experiment of the AWS blog: the same load BEFORE and AFTER automatic scaling, and what made the difference.

Each side is a Locust process of its own. Between them scaling is changed, and whatever happens it is put back: custody
has what was found on disk before the first change. An experiment that was killed goes on from its folder. What one side
was, its run folder says; this only conducts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sm_locust import custody, payloads, tables
from sm_locust.analysis import cost
from sm_locust.aws import scaling, serving
from sm_locust.aws.endpoint import STEADY
from sm_locust.aws.runtime import runtime_urls
from sm_locust.aws.scaling import ScalingState
from sm_locust.aws.session import AwsFault, addresses
from sm_locust.config import ConfigError, RunConfig
from sm_locust.interrupts import HEARD, Interrupts
from sm_locust.kept import NOT_KEPT
from sm_locust.loopback import only_loopback
from sm_locust.record.meta import ENDS_OF_ITSELF
from sm_locust.record.prior import EXPERIMENT, Prior, PriorError
from sm_locust.record.run import LEDGER, META, Run, RunError
from sm_locust.report.under_way import progress, say
from sm_locust.schedule import SPEEDS
from sm_locust.shipped import STARTERS, locustfile

# YAML, the analysis and the report are imported by who comes to them, hours later: whoever only names run_experiment
# in a program does not wait for them.
if TYPE_CHECKING:
    from sm_locust.analysis.compare import Comparison

BEFORE, AFTER = "before", "after"
RESUMED = "resumed.json"  # the configuration of the record, as a file for Locust; JSON is YAML

END_PATIENCE = 60.0  # real seconds for a Locust that was told to end


class ExperimentError(Exception):
    """What kept the experiment from going on, in one sentence."""


@dataclass(frozen=True)
class Experiment:
    """What is to be played.

    config       the YAML file
    folder       where before/, after/, the comparison and experiment.json go; made if it is not there
    speed        schedule seconds for one real second
    endpoint, region, url   as Locust's --sm- options of the same names
    replace      whether policies that are not ours are taken away for AFTER, and put back after it
    locust       further arguments for both Locust processes, such as --processes 4
    name         of the configuration in errors; its path by default
    prefix       of what errors call the arguments: the command's options begin with --
    """

    config: Path
    folder: Path
    speed: int = 1
    endpoint: str | None = None
    region: str | None = None
    url: str | None = None
    replace: bool = False
    locust: tuple[str, ...] = ()
    name: str = ""
    prefix: str = "--"

    def resolved(self) -> RunConfig:
        """The configuration, checked for what an experiment needs. Raises ConfigError."""
        from sm_locust.config import load

        config = load(self.config)
        config = config.with_overrides(self.endpoint, self.region, self.url, prefix=self.prefix)
        named = self.name or self.config
        if config.target is None or config.target.endpoint is None:
            raise ConfigError(f"{named}: target.endpoint: missing; required: the endpoint to scale")
        if config.phases is None:
            raise ConfigError(f"{named}: phases: missing; required: the load of both sides")
        if self.speed not in SPEEDS:
            accepted = ", ".join(map(str, SPEEDS))
            raise ConfigError(f"{self.prefix}speed {self.speed} is not accepted: one of {accepted}")
        if self.speed != 1:
            urls = [*config.urls(), *runtime_urls(config), *addresses(config)]
            only_loopback(urls, self.speed, f"{self.prefix}speed")
        scaling.wanted(config)
        config.check_guard(self.speed)
        bodies = payloads.load(config.request, self.config.parent)
        tables.load(config.feeds, self.config.parent)
        cost.check_load(config, None, self.speed, bodies, "experiment")
        return config


def new_folder(run_dir: str | Path) -> Path:
    """`<run_dir>/experiment-<UTC time>`, not made yet."""
    return Path(run_dir) / ("experiment-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))


def run_experiment(
    config: str | Path | RunConfig,
    folder: str | Path | None = None,
    *,
    speed: int = 1,
    endpoint: str | None = None,
    region: str | None = None,
    url: str | None = None,
    replace: bool = False,
    locust: Sequence[str] = (),
) -> Comparison:
    """Plays a load BEFORE and AFTER its automatic scaling, puts scaling back as it was, and compares the two.

    It is `sm-locust experiment`, for a program or a notebook: two `locust` processes, one after the other, and what is
    under way on stderr. It takes as long as both loads and the scaling between them.

    config    a YAML file, or a RunConfig whose relative paths start at the working folder; `target.endpoint`, `phases`
              and `scaling` are required
    folder    where all of it goes (default `runs/experiment-<UTC time>`): `before/` and `after/`, which `Run.open`
              reads; `compare.md`, `compare.json`, `compare.html`; `locust-before.log`, `locust-after.log`; and
              `experiment.json`, from which `sm-locust experiment --resume` and `sm-locust scaling restore` go on
    speed     schedule seconds for one real second; other than 1 only against this machine
    endpoint, region, url   instead of those of the configuration's target
    replace   whether policies that are not ours are taken away for AFTER, and put back after it
    locust    further arguments for both processes, such as `["--processes", "4"]`

    Raises ConfigError before anything was changed, and ExperimentError for whatever else keeps it from its end; either
    is one sentence, and says so where scaling is not as it was. KeyboardInterrupt, by SIGINT, SIGTERM or SIGHUP, comes
    once scaling has been put back. To be called in the main thread, which hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ExperimentError("run_experiment: called in a thread; accepted: in the main thread, which hears signals")
    before = {number: signal.getsignal(number) for number in HEARD}
    try:
        with _as_file(config) as path:
            return play(
                Experiment(
                    *(path, Path(folder) if folder is not None else new_folder("runs"), speed, endpoint, region, url),
                    replace=replace,
                    locust=tuple(locust),
                    name="configuration" if isinstance(config, RunConfig) else "",
                    prefix="",
                )
            )
    except (AwsFault, PriorError, RunError, OSError) as e:
        raise ExperimentError(str(e)) from e
    finally:
        for number, handler in before.items():  # a command hears nothing any more at its end; a program goes on
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _as_file(config: str | Path | RunConfig) -> Iterator[Path]:
    """A configuration as Locust takes it: one made in code in a file that only its owner may read, for as long."""
    if not isinstance(config, RunConfig):
        yield Path(config)
        return
    data = config.with_files_from(Path()).as_dict()
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:  # JSON is YAML
        json.dump(data, file)
        file.flush()
        yield Path(file.name)


def play(experiment: Experiment) -> Comparison:
    """Plays both sides and compares them; scaling is then as it was, also after Ctrl-C, SIGTERM or a fault.

    Raises ConfigError, PriorError or AwsFault before anything was changed, ExperimentError or KeyboardInterrupt after
    all was put back.
    """
    config = experiment.resolved()
    if there := sorted(experiment.folder.glob(f"*/{META}")):  # it would be taken for a side that was played
        raise ConfigError(
            f"{experiment.folder}: holds a run already, {there[0].parent.name}; accepted: a folder without runs"
        )
    before = _found(experiment, config)
    given = {"endpoint": experiment.endpoint, "region": experiment.region, "url": experiment.url}
    record = custody.take(
        experiment.folder / EXPERIMENT,
        config,
        before,
        experiment.speed,
        config_file=str(experiment.config.absolute()),
        given={name: value for name, value in given.items() if value},
        replace=experiment.replace,
        locust=list(experiment.locust),
    )
    return _conduct(_Conductor(experiment, config, before, record))


def resume(folder: Path) -> Comparison:
    """Goes on with an experiment that was interrupted, from what its folder holds.

    A side that was played to its end is not played again, one that was interrupted is, from its beginning; its folder
    is kept as `before-interrupted-1`. What scaling is put back to is what the experiment found when it began; only when
    it was put back since, whatever is there now.

    Raises as `play` does, and PriorError or ExperimentError when there is nothing to go on with.
    """
    record = Prior.open(folder)
    if record.path.name != EXPERIMENT:
        raise ExperimentError(f"{folder}: not the folder of an experiment: it has no {EXPERIMENT}")
    record.claim()
    experiment, config = _recorded(record)
    if not record.owed and _finished(folder, BEFORE) and _finished(folder, AFTER):
        raise ExperimentError(
            f"{folder}: both sides were played to their ends, and scaling was put back: nothing is left"
        )
    _outlast_locust(folder)
    if record.owed:
        before = custody.state_of(record)
    else:
        before = _found(experiment, config)
        custody.refuse_owed(folder.parent, config, before)
        record.write(
            scaling_before=before.as_dict(), registered_by_us=False, restored=[], not_restored="", restored_at=None
        )
    return _conduct(_Conductor(experiment, config, before, record))


def _found(experiment: Experiment, config: RunConfig) -> ScalingState:
    """Scaling as it is, if an experiment may begin with it."""
    before = scaling.read(config)
    scaling.check(config, before, replace=experiment.replace, option=f"{experiment.prefix}replace")
    status = serving.describe(config).status
    if status != STEADY:
        raise ConfigError(f"{before.resource_id} is {status}; accepted: {STEADY}")
    return before


def _recorded(record: Prior) -> tuple[Experiment, RunConfig]:
    """The experiment of a record; its configuration is a file in the folder, whatever has become of the first one."""
    found, folder = record.found, record.folder
    config = custody.config_of(record)
    if NOT_KEPT in json.dumps(config.as_dict()):  # of scenarios, and of the variables that they send
        raise ConfigError(
            f"{record.path}: cannot be resumed: its scenarios send passwords or keys, which no record keeps; "
            f"`sm-locust scaling restore {folder}` puts scaling back"
        )
    for key in ("config_file", "replace", "locust"):
        if found.get(key) is None:
            raise ExperimentError(f"{record.path}: {key}: missing: it was not written by this sm-locust")
    config = config.with_files_from(Path(str(found["config_file"])).parent)
    path = folder / RESUMED
    path.write_text(json.dumps(config.as_dict(), indent=2) + "\n", encoding="utf-8")
    played = Experiment(
        path, folder, record.speed, replace=bool(found["replace"]), locust=tuple(map(str, found["locust"]))
    )
    return played, played.resolved()


def _finished(folder: Path, side: str) -> bool:
    with contextlib.suppress(RunError):
        return Run.open(folder / side).meta.get("ended") in ENDS_OF_ITSELF
    return False


def _outlast_locust(folder: Path) -> None:
    """Waits for what a killed experiment has left running: it holds its log for as long as it lives."""
    deadline = time.monotonic() + END_PATIENCE
    for log in folder.glob("locust-*.log"):
        with open(log, "rb") as file, progress() as told:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    pass
                if time.monotonic() > deadline:
                    raise ExperimentError(f"{folder}: the Locust of the interrupted side still runs: see {log}")
                told("waiting for the Locust of the interrupted side to end")
                time.sleep(0.2)


def _conduct(conductor: _Conductor) -> Comparison:
    with Interrupts() as interrupts:
        conductor.interrupts = interrupts
        try:
            try:
                conductor.both_sides()
            finally:
                interrupts.disarm()
        finally:  # twice: a signal may come on the way here, but only one
            not_restored = conductor.put_back()
        comparison = conductor.compare()
    if not_restored:
        raise ExperimentError(
            f"{not_restored}; what it was is in {conductor.record.path}, scaling_before: "
            f"sm-locust scaling restore {conductor.record.folder} tries again"
        )
    return comparison


class _Conductor:
    """One experiment under way."""

    def __init__(self, experiment: Experiment, config: RunConfig, before: ScalingState, record: Prior) -> None:
        self.interrupts = Interrupts()
        self.record = record
        self._experiment = experiment
        self._config = config
        self._before = before
        self._speed = experiment.speed
        self._scaling = scaling.wanted(config)
        self._counted = serving.scaled(config).counted

    def both_sides(self) -> None:
        if self.record.stages:
            self._begin_again()
        wanted, folder = self._scaling, self._experiment.folder
        if _finished(folder, BEFORE) and _finished(folder, AFTER):
            return
        if _finished(folder, BEFORE):
            scaling.suspend(self._config, self._before)  # somebody's policies must not act while the alarms grow quiet
        else:
            self._stage(BEFORE, f"no scaling, {self._counted(wanted.min_instances)}")
            scaling.suspend(self._config, self._before)
            self._steady()
            self._locust(BEFORE)
        self._stage("apply", "automatic scaling as configured")
        self._quiet()
        for sentence in custody.set_up(self.record, self._config, self._before):
            say(f"  {sentence}")
        self._stage("steady", f"until {self._counted(wanted.min_instances)} {_serve(wanted.min_instances)}")
        self._steady()

        self._stage(AFTER, "the same load with scaling")
        self._locust(AFTER)

    def put_back(self) -> str:
        """Restores what was found, or says why not; neither a signal nor a full disk or closed terminal prevents it."""
        self.interrupts.impatient = lambda: say("  scaling is being put back: this is not interrupted")
        with contextlib.suppress(OSError):
            self._stage("restore", "scaling as it was before")
        with progress() as told:
            restored, not_restored = custody.give_back(self.record, told)
        if not_restored:
            say(f"  SCALING IS NOT AS IT WAS: {not_restored}")
        else:
            for sentence in restored or ["nothing had to be put back"]:
                say(f"  {sentence}")
        return not_restored

    def compare(self) -> Comparison:
        from sm_locust.report import compare
        from sm_locust.report.folder import write

        folder = self._experiment.folder
        for side in (BEFORE, AFTER):
            write(Run.open(folder / side))  # what was put back is known only now
        return compare.write(Run.open(folder / BEFORE), Run.open(folder / AFTER), folder)

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _begin_again(self) -> None:
        """After a kill: what the experiment had set up goes, and what was not played to its end is put aside."""
        folder = self._experiment.folder
        self._stage("resume", "what was there, before it goes on")
        with progress() as told:
            done = scaling.restore(
                self._config,
                self._before,
                registered_by_us=self.record.registered_by_us,
                patience=custody.patience(self._speed),
                every=custody.every(self._speed),
                say=told,
            )
        for sentence in done:
            say(f"  {sentence}")
        side = AFTER if _finished(folder, BEFORE) else BEFORE
        for path in sorted(folder.iterdir()):
            if (path / META).exists() and not path.name.startswith((f"{BEFORE}-", f"{AFTER}-")):
                if path.name in (BEFORE, AFTER) and _finished(folder, path.name):
                    continue
                number = 1
                while (aside := folder / f"{side}-interrupted-{number}").exists():
                    number += 1
                path.rename(aside)
                with contextlib.suppress(FileNotFoundError):
                    (folder / f"locust-{side}.log").rename(aside / "locust.log")
                say(f"  what was interrupted is kept in {aside}")

    def _stage(self, name: str, what: str) -> None:
        self.record.stage(name)
        say(f"{name.upper() if name in (BEFORE, AFTER) else name}: {what}")

    def _steady(self) -> None:
        patience, every = custody.patience(self._speed), custody.every(self._speed)
        with progress() as told:
            wanted = self._scaling.min_instances
            # An endpoint that is Updating takes no number of instances.
            now = serving.wait_until_steady(self._config, None, patience=patience, every=every, say=told)
            if now.desired != wanted:
                serving.ask_for(self._config, wanted)
                serving.wait_until_steady(self._config, wanted, patience=patience, every=every, say=told)

    def _quiet(self) -> None:
        """Waits until the alarms of a new policy can no longer see the load that was: `cost.BETWEEN`."""
        ledgers = list(self._experiment.folder.glob(f"*/{LEDGER}"))
        since = max((path.stat().st_mtime for path in ledgers), default=0.0)
        with progress() as told:
            while (left := since + cost.BETWEEN / self._speed - time.time()) > 0:
                told(f"waiting {left:.0f} s for the load of BEFORE to leave the alarms' sight")
                time.sleep(min(1.0, left))

    def _locust(self, side: str) -> None:
        """Plays one side to its end and names its folder."""
        from sm_locust.analysis.summary import Summary
        from sm_locust.plugin.orphan import PARENT  # gevent comes with it, and nobody else here needs that
        from sm_locust.report import text, wording

        experiment = self._experiment
        folder = experiment.folder
        log = folder / f"locust-{side}.log"
        known = {path for path in folder.iterdir() if path.is_dir()}
        plays = STARTERS / locustfile(self._config.as_dict()["target"])
        given = {"endpoint": experiment.endpoint, "region": experiment.region, "url": experiment.url}
        command = [
            *(sys.executable, "-m", "locust"),
            *("-f", f"{plays},{STARTERS / 'shapes/from_config.py'}"),
            *("--sm-config", str(experiment.config), "--sm-speed", str(experiment.speed)),
            *(f"--sm-{name}={value}" for name, value in given.items() if value),
            *("--sm-run-dir", str(folder), "--headless", "--only-summary", "--logfile", str(log)),
            *("--json-file", str(folder / f"locust-{side}")),  # instead of Locust's tables on the terminal
            *experiment.locust,
        ]
        child = None
        try:
            with open(log, "wb") as output, self.interrupts.held():
                fcntl.flock(output, fcntl.LOCK_EX)  # Locust's own from here on, until it ends: see _outlast_locust
                # A session of its own: Ctrl-C is ours to pass on.
                child = subprocess.Popen(  # nosec B603 # locust, with what its caller gave, no shell
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    start_new_session=True,
                    env={**os.environ, PARENT: str(os.getpid())},
                )
                self.interrupts.impatient = child.kill
            code = child.wait()
        finally:
            if child is not None:
                end(child)
            self.interrupts.impatient = None
            made = [path for path in folder.iterdir() if path not in known and (path / META).exists()]
            for path in made:
                path.rename(folder / side)
        if not made:
            raise ExperimentError(f"{side}: Locust ended with exit code {code} and made no run folder: see {log}")
        if code < 0:
            raise ExperimentError(f"{side}: Locust was killed by signal {-code}; its folder is {folder / side}")
        run = Run.open(folder / side)
        ended = run.meta.get("ended")
        if ended not in ENDS_OF_ITSELF:
            raise ExperimentError(f"{side}: the run was not played to its end: {ended}; its folder is {run.folder}")
        summary = Summary.of(run)
        say(f"  {text.verdict(summary)}")
        if summary.stopped is not None:
            say(f"  {wording.stopped(summary)}")


def exit_code(comparison: Comparison) -> int:
    """3 when either side is not valid, 4 when `stop_when` ended AFTER, 1 when it does not keep the SLO, 0 otherwise.

    BEFORE may fail its SLO, and be ended by `stop_when`: that shows what it cannot take.
    """
    from sm_locust.analysis.summary import EXIT_NOT_VALID

    before, after = comparison.before.summary, comparison.after.summary
    if not (before.verdict.valid and after.verdict.valid):
        return EXIT_NOT_VALID
    return after.exit_code


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child in order if it still runs, and by force if it does not listen."""
    if child.poll() is None:
        child.terminate()  # not SIGINT: who was started in the background would pass on that it is ignored
        try:
            child.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _serve(n: int) -> str:
    return "serves" if n == 1 else "serve"
