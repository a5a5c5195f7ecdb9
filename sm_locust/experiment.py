"""The experiment of the AWS blog: the same load BEFORE and AFTER automatic scaling, and what made the difference.

Each side is a Locust process of its own. Between them scaling is changed, and whatever happens it is put back: the
state that was found is on disk before the first change. What one side was, its run folder says; this only conducts.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sm_locust import payloads
from sm_locust.analysis import cost
from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.summary import EXIT_FAILED, EXIT_GOOD, EXIT_NOT_VALID, Summary
from sm_locust.aws import endpoint, scaling
from sm_locust.aws.scaling import ScalingState
from sm_locust.aws.session import AwsFault, addresses, runtime_url
from sm_locust.config import ConfigError, RunConfig, load
from sm_locust.interrupts import Interrupts
from sm_locust.loopback import only_loopback
from sm_locust.record.run import ENDS_OF_ITSELF, Run
from sm_locust.report import compare, text
from sm_locust.schedule import SPEEDS

STARTERS = Path(__file__).parent / "starters"

BEFORE, AFTER = "before", "after"
RECORD = "experiment.json"

# Schedule seconds. The alarms of a new policy look back over three minutes: those of BEFORE must be over by then.
QUIET = 300.0
STEADY_PATIENCE = 1800.0  # an instance takes minutes to come and to go
END_PATIENCE = 60.0  # real seconds for a Locust that was told to end
RESTORE_ATTEMPTS = 4
RESTORE_PAUSE = 2.0  # real seconds more before each


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
    """

    config: Path
    folder: Path
    speed: int = 1
    endpoint: str | None = None
    region: str | None = None
    url: str | None = None
    replace: bool = False
    locust: tuple[str, ...] = ()

    def resolved(self) -> RunConfig:
        """The configuration, checked for what an experiment needs. Raises ConfigError."""
        config = load(self.config).with_overrides(endpoint=self.endpoint, region=self.region, url=self.url)
        if config.target is None or config.target.endpoint is None:
            raise ConfigError(f"{self.config}: target.endpoint: missing; required: the endpoint to scale")
        if config.phases is None:
            raise ConfigError(f"{self.config}: phases: missing; required: the load of both sides")
        if self.speed not in SPEEDS:
            accepted = ", ".join(map(str, SPEEDS))
            raise ConfigError(f"--speed {self.speed} is not accepted: one of {accepted}")
        if self.speed != 1:
            only_loopback([*config.urls(), runtime_url(config), *addresses(config)], self.speed)
        scaling.of_a_variant(config)
        config.check_guard(self.speed)
        bodies = payloads.load(config.request, self.config.parent)
        cost.check(config, None, self.speed, bodies, "experiment")
        return config


@dataclass
class _Record:
    """experiment.json: what was found, what was done and what was put back, on disk before the next step is taken."""

    path: Path
    found: dict[str, Any]

    def __post_init__(self) -> None:
        self.found = {"schema_version": 1, **self.found}
        self.write()

    def stage(self, name: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.found.setdefault("stages", []).append({"stage": name, "at": now})
        self.write()

    def write(self, **more: Any) -> None:
        self.found.update(more)
        beside = self.path.with_name(self.path.name + ".part")
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(self.found, file, indent=2, default=str)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def new_folder(run_dir: str | Path) -> Path:
    """`<run_dir>/experiment-<UTC time>`, not made yet."""
    return Path(run_dir) / ("experiment-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))


def play(experiment: Experiment) -> Comparison:
    """Plays both sides and compares them; scaling is then as it was, also after Ctrl-C, SIGTERM or a fault.

    Raises ConfigError or AwsFault before anything was changed, ExperimentError or KeyboardInterrupt after all was put
    back.
    """
    config = experiment.resolved()
    before = scaling.read(config)
    foreign = before.foreign_policies
    if foreign and not experiment.replace:
        raise ConfigError(
            f"{before.resource_id} has the scaling policy {', '.join(foreign)}, and AFTER would measure it together "
            "with the one of the configuration: give --replace to take it away for AFTER and put it back"
        )
    status = endpoint.describe(config).status
    if status != endpoint.STEADY:
        raise ConfigError(f"{before.resource_id} is {status}; accepted: {endpoint.STEADY}")
    try:
        experiment.folder.mkdir(parents=True, exist_ok=True)
        record = _Record(
            experiment.folder / RECORD,
            {"config": str(experiment.config), "speed": experiment.speed, "scaling_before": before.as_dict()},
        )
    except OSError as e:
        raise ConfigError(f"{experiment.folder}: not a folder that can be written: {e.strerror}") from None
    with Interrupts() as interrupts:
        conductor = _Conductor(experiment, config, before, record, interrupts)
        try:
            try:
                conductor.both_sides()
            finally:
                interrupts.disarm()
        finally:  # twice: a signal may come on the way here, but only one
            not_restored = conductor.put_back()
        comparison = conductor.compare()
    if not_restored:
        raise ExperimentError(f"{not_restored}; what it was is in {record.path}, scaling_before")
    return comparison


class _Conductor:
    """One experiment under way."""

    def __init__(
        self,
        experiment: Experiment,
        config: RunConfig,
        before: ScalingState,
        record: _Record,
        interrupts: Interrupts,
    ) -> None:
        self._interrupts = interrupts
        self._experiment = experiment
        self._config = config
        self._before = before
        self._record = record
        self._speed = experiment.speed
        self._scaling = scaling.of_a_variant(config)

    def both_sides(self) -> None:
        wanted = self._scaling
        self._stage(BEFORE, f"no scaling, {_instances(wanted.min_instances)}")
        scaling.suspend(self._config, self._before)
        self._steady()
        self._locust(BEFORE)
        ended = time.monotonic()

        self._stage("apply", "automatic scaling as configured")
        self._quiet(ended)
        if self._experiment.replace:
            scaling.take_away(self._config, self._before)
        for sentence in scaling.apply(self._config):
            _say(f"  {sentence}")
        self._stage("steady", f"until {_instances(wanted.min_instances)} {_serve(wanted.min_instances)}")
        self._steady()

        self._stage(AFTER, "the same load with scaling")
        self._locust(AFTER)

    def put_back(self) -> str:
        """Restores what was found, or says why not; neither a signal nor a full disk or closed terminal prevents it."""
        self._interrupts.impatient = lambda: _say("  scaling is being put back: this is not interrupted")
        with contextlib.suppress(OSError):
            self._stage("restore", "scaling as it was before")
        restored, not_restored = self._restored()
        with contextlib.suppress(OSError):
            self._record.write(restored=restored, not_restored=not_restored)
        if not_restored:
            _say(f"  SCALING IS NOT AS IT WAS: {not_restored}")
        else:
            for sentence in restored or ["nothing had to be put back"]:
                _say(f"  {sentence}")
        return not_restored

    def _restored(self) -> tuple[list[str], str]:
        """What was done, and why not all of it; what AWS refuses for the moment is tried again."""
        done: list[str] = []
        not_restored = ""
        for attempt in range(RESTORE_ATTEMPTS):
            time.sleep(attempt * RESTORE_PAUSE)
            try:
                with _progress() as say:
                    done += scaling.restore(
                        self._config, self._before, patience=self._patience, every=self._every, say=say
                    )
            except (AwsFault, ConfigError) as e:
                not_restored = str(e)
                if not getattr(e, "passing", False):
                    break
            else:
                return done, ""
        return done, not_restored

    def compare(self) -> Comparison:
        folder = self._experiment.folder
        return compare.write(Run.open(folder / BEFORE), Run.open(folder / AFTER), folder)

    # -- the steps ---------------------------------------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        """Real seconds for instances to come or go."""
        return STEADY_PATIENCE / self._speed + 10

    @property
    def _every(self) -> float:
        return max(0.5, 15 / self._speed)

    def _stage(self, name: str, what: str) -> None:
        self._record.stage(name)
        _say(f"{name.upper() if name in (BEFORE, AFTER) else name}: {what}")

    def _steady(self) -> None:
        with _progress() as say:
            wanted = self._scaling.min_instances
            # An endpoint that is Updating takes no number of instances.
            now = endpoint.wait_until_steady(self._config, None, patience=self._patience, every=self._every, say=say)
            if now.desired != wanted:
                endpoint.set_instances(self._config, wanted)
                endpoint.wait_until_steady(self._config, wanted, patience=self._patience, every=self._every, say=say)

    def _quiet(self, since: float) -> None:
        """Waits until the alarms of a new policy can no longer see the load of BEFORE."""
        with _progress() as say:
            while (left := since + QUIET / self._speed - time.monotonic()) > 0:
                say(f"waiting {left:.0f} s for the load of BEFORE to leave the alarms' sight")
                time.sleep(min(1.0, left))

    def _locust(self, side: str) -> None:
        """Plays one side to its end and names its folder."""
        experiment = self._experiment
        folder = experiment.folder
        log = folder / f"locust-{side}.log"
        known = {path for path in folder.iterdir() if path.is_dir()}
        locustfile = "api_gateway" if self._config.target and self._config.target.api_gateway else "invoke_endpoint"
        given = {"endpoint": experiment.endpoint, "region": experiment.region, "url": experiment.url}
        command = [
            *(sys.executable, "-m", "locust"),
            *("-f", f"{STARTERS / 'locustfiles' / locustfile}.py,{STARTERS / 'shapes/from_config.py'}"),
            *("--sm-config", str(experiment.config), "--sm-speed", str(experiment.speed)),
            *(f"--sm-{name}={value}" for name, value in given.items() if value),
            *("--sm-run-dir", str(folder), "--headless", "--only-summary", "--logfile", str(log)),
            *("--json-file", str(folder / f"locust-{side}")),  # instead of Locust's tables on the terminal
            *experiment.locust,
        ]
        child = None
        try:
            with open(log, "wb") as output, self._interrupts.held():
                # A session of its own: Ctrl-C is ours to pass on.
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, start_new_session=True)
                self._interrupts.impatient = child.kill
            code = child.wait()
        finally:
            if child is not None:
                end(child)
            self._interrupts.impatient = None
            made = [path for path in folder.iterdir() if path not in known and (path / "run.json").exists()]
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
        _say(f"  {text.verdict(Summary.of(run))}")


def exit_code(comparison: Comparison) -> int:
    """3 when either side is not valid, 1 when AFTER does not keep the SLO, 0 otherwise: BEFORE may fail it."""
    before, after = comparison.before.summary, comparison.after.summary
    if not (before.verdict.valid and after.verdict.valid):
        return EXIT_NOT_VALID
    return EXIT_GOOD if after.exit_code == EXIT_GOOD else EXIT_FAILED


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child in order if it still runs, and by force if it does not listen."""
    if child.poll() is None:
        child.terminate()  # not SIGINT: who was started in the background would pass on that it is ignored
        try:
            child.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _instances(n: int) -> str:
    return f"{n} instance" if n == 1 else f"{n} instances"


def _serve(n: int) -> str:
    return "serves" if n == 1 else "serve"


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone; what is under way is not
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line that is rewritten in place on a terminal; elsewhere what has changed is said on a line of its own."""
    last = ""

    def say(line: str) -> None:
        nonlocal last
        if sys.stderr.isatty():
            with contextlib.suppress(OSError):
                sys.stderr.write(f"\r\x1b[2K  {line}")
                sys.stderr.flush()
        elif not last:
            _say(f"  {line}")
        last = line

    yield say
    if last and sys.stderr.isatty():
        with contextlib.suppress(OSError):
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
