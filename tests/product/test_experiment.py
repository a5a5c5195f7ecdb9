"""`sm-locust experiment`: BEFORE and AFTER with real processes, and whatever interrupts it, scaling is as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from sm_locust.cli import main
from sm_locust.config import ConfigError, RunConfig
from sm_locust.experiment import Experiment as ToPlay
from sm_locust.experiment import _as_file, _recorded, play
from sm_locust.record.prior import APPLIED, EXPERIMENT, Prior
from sm_locust.record.run import Run
from tests.product.account import METRIC, SAGEMAKER, VARIANT, policy, state
from tests.runs.harness import (
    Endpoint,
    accounted,
    client,
    endpoint,
    environment,
    hears_ctrl_c,
    refuse,
    summary,
    wait_for,
)

SPEED = 60


def config(folder: Path, url: str, **sections: Any) -> Path:
    """A ramp of ten schedule minutes past what one instance sustains, which is 12,000 a minute here."""
    path = folder / "experiment.yaml"
    document = {
        "target": {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url},
        "request": {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"},
        "phases": [{"name": "ramp", "duration": "10m", "arrival_rate": 100, "ramp_to": 300}],
        "scaling": {
            "min_instances": 1,
            "max_instances": 4,
            "metric": METRIC,
            "target": 8000,
        },
        **sections,
    }
    path.write_text(yaml.safe_dump(document))
    return path


@contextmanager
def two_instances(folder: Path) -> Iterator[Endpoint]:
    """An endpoint whose scaling is somebody's: two instances, registered from 2 to 6, with a policy."""
    with endpoint(folder, SPEED, instances=2, workers=1, service_time=0.005, provisioning_time=120) as running:
        scaling = client(running.url, "application-autoscaling")
        scaling.register_scalable_target(**VARIANT, MinCapacity=2, MaxCapacity=6)
        scaling.put_scaling_policy(**VARIANT, **policy("mine", 70000.0))
        yield running


@pytest.fixture
def somebodys(tmp_path: Path) -> Iterator[Endpoint]:
    (tmp_path / "endpoint").mkdir()
    with two_instances(tmp_path / "endpoint") as running:
        yield running


class Experiment:
    """The command, as a user would start it."""

    def __init__(self, folder: Path, *arguments: str, piped: bool = False) -> None:
        self.runs = folder / "runs"
        self.log = folder / "output"
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sm_locust.cli", "experiment", *arguments),
                    *("--run-dir", str(self.runs), "--speed", str(SPEED)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=subprocess.STDOUT if piped else output,
                cwd=folder,
                env=environment(),
                start_new_session=True,
                preexec_fn=hears_ctrl_c,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def folder(self) -> Path:
        (folder,) = self.runs.glob("experiment-*")
        return folder

    def stages(self) -> list[str]:
        records = list(self.runs.glob("experiment-*/experiment.json"))
        return [s["stage"] for s in json.loads(records[0].read_text()).get("stages", [])] if records else []

    def reach(self, stage: str) -> None:
        wait_for(f"the stage {stage}", lambda: stage in self.stages() or self.process.poll() is not None, 90)
        assert stage in self.stages(), self.output

    def wait(self) -> int:
        try:
            return self.process.wait(120)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


# What is wrong is said in a program's own words, and a program goes on to hear Ctrl-C.
PROGRAM = """
import json, signal, sys, threading
from sm_locust import ConfigError, ExperimentError, RunConfig, run_experiment

def tried(**arguments):
    try:
        run_experiment(config, "experiment", **arguments)
    except (ConfigError, ExperimentError) as e:
        print(f"{type(e).__name__}: {e}")

config = RunConfig.from_dict(json.loads(sys.argv[1]))
tried(speed=7)
tried(endpoint="not_a_name")
thread = threading.Thread(target=tried)
thread.start()
thread.join()
found = run_experiment(config, "experiment", speed=60)
print(found.before.summary.folder, found.after.summary.folder)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_scaling_that_is_set_up_makes_the_difference_and_is_gone_afterwards(tmp_path: Path) -> None:
    with endpoint(tmp_path, SPEED, workers=1, service_time=0.005, backlog=60, provisioning_time=60) as local:
        document = yaml.safe_load(config(tmp_path, local.url, slo={"error_rate": "1%"}).read_text())
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(document)],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=hears_ctrl_c,
        )
        served = local.counts()["invocations"]
        left = client(local.url, "application-autoscaling").describe_scalable_targets(**SAGEMAKER)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "ConfigError: speed 7 is not accepted: one of 1, 2, 3, 6, 12, 60"
    assert said[1].startswith("ConfigError: endpoint: 'not_a_name' is not accepted")
    assert said[2].startswith("ExperimentError: run_experiment: called in a thread")
    assert said[3:] == ["experiment/before experiment/after", "True"], done.stderr
    folder = tmp_path / "experiment"
    before, after = (accounted(summary(folder / side)) for side in ("before", "after"))
    assert before["slo"]["passed"] is False
    assert before["scaling"]["instances"] == {"start": 1, "end": 1, "most": 1}
    assert after["slo"]["passed"] is True
    assert after["scaling"]["instances"]["end"] >= 2
    first = after["scaling"]["lag"][0]
    steps = [first[f"{step}_s"] for step in ("crossed", "alarm", "desired", "in_service")]
    assert None not in steps and steps == sorted(steps)
    assert before["arrivals"]["sent"] + after["arrivals"]["sent"] == served
    for side in (before, after):
        assert side["reconciliation"]["difference"] == 0
        assert side["cloudwatch"]["settled"] is True
    assert left["ScalableTargets"] == []
    found = json.loads((folder / "compare.json").read_text())
    assert found["before"]["run_id"] == before["run_id"]
    assert found["after"]["run_id"] == after["run_id"]
    assert {"compare.md", "compare.html"} <= {path.name for path in folder.iterdir()}
    record = json.loads((folder / "experiment.json").read_text())
    assert [s["stage"] for s in record["stages"]] == ["before", "apply", "steady", "after", "restore"]
    assert any("no longer registered" in sentence for sentence in record["restored"])
    for name in ("before", "after"):  # written again, once that was known
        assert "no longer registered" in (folder / name / "report.html").read_text()


INTERRUPTED: dict[str, tuple[int, set[str]]] = {  # in which stage, by which signal; the folders that are there then
    "before": (signal.SIGINT, {"before"}),
    "apply": (signal.SIGTERM, {"before"}),
    "steady": (signal.SIGINT, {"before"}),
    "after": (signal.SIGTERM, {"before", "after"}),
    "restore": (signal.SIGINT, {"before", "after"}),
}


class Ended(NamedTuple):
    """How one ended, and scaling before and after it."""

    experiment: Experiment
    code: int
    as_it_was: dict[str, Any]
    as_it_is: dict[str, Any]


def interrupted(folder: Path, stage: str) -> Ended:
    number, folders = INTERRUPTED[stage]
    with two_instances(folder) as local:
        url = local.url
        as_it_was = state(url)
        phases = [{"name": "steady", "duration": "3m", "arrival_rate": 100}]
        experiment = Experiment(folder, str(config(folder, url, phases=phases)), "--replace")
        if stage == "steady":  # or there would be nothing to wait for, and no time to interrupt
            experiment.reach("apply")
            client(url, "sagemaker").update_endpoint_weights_and_capacities(
                EndpointName="decision-trees-sample",
                DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 6}],
            )
        experiment.reach(stage)
        if stage in folders:
            ledgers = lambda: [path.read_text() for path in experiment.folder.glob("*/intervals.jsonl")]  # noqa: E731
            wait_for(
                "its arrivals", lambda: len(ledgers()) == len(folders) and all('"name"' in text for text in ledgers())
            )
        experiment.process.send_signal(number)
        return Ended(experiment, experiment.wait(), as_it_was, state(url))


WAYS = ("the terminal is closed", "nobody reads the output any more", "AWS is busy")


def put_back(folder: Path, way: str) -> Ended:
    with two_instances(folder) as local:
        url = local.url
        as_it_was = state(url)
        path = config(folder, url, phases=[{"name": "steady", "duration": "3m", "arrival_rate": 50}])
        experiment = Experiment(folder, str(path), "--replace", piped=way.startswith("nobody"))
        experiment.reach("apply")
        if way == "AWS is busy":
            refuse(url, service="application-autoscaling", next=1, error="ConcurrentUpdateException")
            experiment.process.send_signal(signal.SIGTERM)
        elif experiment.process.stdout is not None:
            experiment.process.stdout.close()
            experiment.process.send_signal(signal.SIGINT)
        else:
            experiment.process.send_signal(signal.SIGHUP)
        return Ended(experiment, experiment.wait(), as_it_was, state(url))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ended]]]:
    """By stage or way, four at a time: most of it is waiting."""
    # With nohup before the tests a closed terminal is ignored, and processes inherit that; what is handled they do not.
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    with ThreadPoolExecutor(4) as pool:
        found = {stage: pool.submit(interrupted, tmp_path_factory.mktemp(stage), stage) for stage in INTERRUPTED}
        yield found | {way: pool.submit(put_back, tmp_path_factory.mktemp("way"), way) for way in WAYS}
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("stage", INTERRUPTED)
def test_whatever_interrupts_an_experiment_scaling_is_as_it_was_and_its_folders_open(
    ended: dict[str, Future[Ended]], stage: str
) -> None:
    experiment, code, as_it_was, as_it_is = ended[stage].result()
    _, folders = INTERRUPTED[stage]
    # What is being put back is put back, and the experiment ends as it would have (300 requests can be late: 3).
    assert code in ({0, 3} if stage == "restore" else {130}), experiment.output
    assert "Traceback" not in experiment.output
    assert as_it_is == as_it_was
    assert {path.name for path in experiment.folder.iterdir() if path.is_dir()} == folders
    for name in folders:
        assert Run.open(experiment.folder / name).ledger().intervals
        accounted(summary(experiment.folder / name))
    assert json.loads((experiment.folder / "experiment.json").read_text())["restored"]


@pytest.mark.parametrize("way", WAYS)
def test_scaling_is_put_back_in_the_worst_of_circumstances(ended: dict[str, Future[Ended]], way: str) -> None:
    _, code, as_it_was, as_it_is = ended[way].result()
    assert code != 0
    assert as_it_is == as_it_was


def test_a_load_past_the_guard_is_refused_before_anything_is_changed(tmp_path: Path, somebodys: Endpoint) -> None:
    as_it_was = state(somebodys.url)
    experiment = Experiment(tmp_path, str(config(tmp_path, somebodys.url, guard={"max_requests": 10})), "--replace")
    assert experiment.wait() == 2
    assert "guard.max_requests" in experiment.output
    assert state(somebodys.url) == as_it_was
    assert not experiment.stages()


def test_somebody_elses_policy_is_refused_before_anything_is_changed(tmp_path: Path, somebodys: Endpoint) -> None:
    as_it_was = state(somebodys.url)
    experiment = Experiment(tmp_path, str(config(tmp_path, somebodys.url)))
    assert experiment.wait() == 2
    assert "mine" in experiment.output
    assert "--replace" in experiment.output
    assert state(somebodys.url) == as_it_was
    assert somebodys.counts()["invocations"] == 0


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"scaling": None}, "scaling"),
        ({"phases": None}, "phases: missing"),
        ({"feeds": [{"file": "absent.csv", "fields": ["id"]}]}, "absent.csv: No such file or directory"),
        ({"target": {"container": "http://127.0.0.1:1/invocations"}}, "target.endpoint: missing"),
        ({"target": {"endpoint": "any", "region": "us-east-1", "url": "http://192.0.2.1"}}, "not loopback"),
    ],
)
def test_what_an_experiment_lacks_is_said_in_one_sentence(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    path = config(tmp_path, "http://127.0.0.1:1")
    document = {**yaml.safe_load(path.read_text()), **sections}
    path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
    experiment = Experiment(tmp_path, str(path))
    assert experiment.wait() == 2
    assert said in experiment.output
    assert len(experiment.output.strip().splitlines()) == 1
    assert not list(experiment.runs.glob("*"))


def test_runs_of_others_are_not_taken_for_a_side(tmp_path: Path) -> None:
    Run.create(tmp_path / "mine", {"speed": 1})
    with pytest.raises(ConfigError, match=r"mine: holds a run already, .+ accepted: a folder"):
        play(ToPlay(config(tmp_path, "http://127.0.0.1:1"), tmp_path / "mine"))
    assert not (tmp_path / "mine" / EXPERIMENT).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "CONFIG: missing; required: a YAML file, or --resume FOLDER"),
        (["--resume", "x", "config.yaml"], "--resume takes neither CONFIG nor other options"),
        (["--resume", "x", "--speed", "60"], "--resume takes neither CONFIG nor other options"),
        (["--resume", "x"], "x: not a folder of an experiment or of scaling apply: no experiment.json"),
        (["--resume", "applied"], "applied: not the folder of an experiment: it has no experiment.json"),
        (["--resume", "edited"], "edited/experiment.json: config_file: missing: it was not written by this sm-locust"),
    ],
)
def test_what_cannot_be_resumed_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before: dict[str, Any] = {}
    for path in (Path("applied", APPLIED), Path("edited", EXPERIMENT)):
        Prior.create(path, resource_id="r", arn="a", config={}, speed=1, scaling_before=before).release()
    refused = CliRunner().invoke(main, ["experiment", *arguments])
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"sm-locust: {said}")
    assert len(refused.stderr.splitlines()) == 1


def test_files_beside_a_configuration_are_found_from_wherever_it_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One made in code is a file in another folder for Locust, and so is that of a record."""
    (tmp_path / "rows.csv").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    written = yaml.safe_load(config(tmp_path, "http://127.0.0.1:1").read_text())
    request, feed = {"content_type": "text/csv", "payloads": "rows.csv"}, {"file": "rows.csv", "fields": ["id"]}
    relative = RunConfig.from_dict({**written, "request": request, "feeds": [feed]})
    with _as_file(relative) as path:
        assert path.parent != tmp_path
        played = ToPlay(path, tmp_path).resolved()
    found: dict[str, Any] = {"config_file": str(tmp_path / "mine.yaml"), "replace": False, "locust": []}
    record = Prior.create(
        *(tmp_path / "there" / EXPERIMENT,),
        **{"resource_id": "r", "arn": "a", "config": relative.recorded(), "speed": 1, "scaling_before": {}, **found},
    )
    monkeypatch.chdir("/")
    _, resumed = _recorded(record)
    record.release()
    for each in (played, resumed):
        assert each.request.payloads == each.feeds[0].file == str(tmp_path / "rows.csv")


@pytest.mark.parametrize(
    ("headers", "variables"),
    [({"Authorization": "Bearer abc"}, {}), ({"Authorization": "{{ token }}"}, {"token": "abc"})],
)
def test_what_sends_a_password_cannot_be_resumed(
    tmp_path: Path, headers: dict[str, str], variables: dict[str, str]
) -> None:
    """A record keeps none: what would be sent in its place is `(not kept)`."""
    step = {"method": "post", "url": "http://localhost:9000/x", "headers": headers}
    told = {"target": {"endpoint": "e"}, "variables": variables, "scenarios": [{"name": "s", "steps": [step]}]}
    kept = RunConfig.from_dict(told).recorded()
    before: dict[str, Any] = {}
    Prior.create(tmp_path / EXPERIMENT, resource_id="r", arn="a", config=kept, speed=1, scaling_before=before).release()
    refused = CliRunner().invoke(main, ["experiment", "--resume", str(tmp_path)])
    assert refused.exit_code == 2
    assert "cannot be resumed: its scenarios send passwords or keys, which no record keeps" in refused.stderr
