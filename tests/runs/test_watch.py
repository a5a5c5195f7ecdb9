"""What CloudWatch and scaling say beside the load: pulled while it goes, waited for at its end, never in its way."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sm_locust.record.run import Run
from tests.runs.harness import (
    ROOT,
    STARTERS,
    Endpoint,
    accounted,
    answers,
    client,
    config,
    endpoint,
    free_port,
    is_complete,
    locust,
    order,
    post,
    refuse,
    summary,
    wait_for,
)

SIX_MINUTES: dict[str, Any] = {"name": "six minutes", "duration": "6m", "arrival_rate": 100}
THREE_MINUTES: dict[str, Any] = {"name": "three minutes", "duration": "3m", "arrival_rate": 100}
SPEED = "60"
MINUTES = {"period": "60s"}  # of the schedule
FOREIGN = 30  # requests of somebody else, all of them within the six seconds, whatever else the machine does


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Endpoint]:
    """A local endpoint whose minutes last a second, and whose metrics come late, as CloudWatch's do."""
    folder = tmp_path / "fast"
    folder.mkdir()
    with endpoint(folder, int(SPEED), publish_delay=150) as running:
        yield running


def test_cloudwatch_counts_what_we_sent_and_measures_what_we_measured(tmp_path: Path, fast: Endpoint) -> None:
    path = config(tmp_path, fast.url, SIX_MINUTES, cloudwatch=MINUTES, slo={"model_latency_mean": "50ms"})
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--headless") as run:
        code = run.wait()
        folder = run.the_folder()
    assert is_complete(folder)
    found = accounted(summary(folder))
    assert code in (0, 3), run.output  # 600 requests on a busy machine may be late
    assert "waiting for CloudWatch" in run.output
    assert found["cloudwatch"]["settled"] is True
    assert found["cloudwatch"]["missing"] == []
    counted = found["reconciliation"]
    assert counted["sent"] == counted["invocations"] == fast.counts()["invocations"] == 600
    # A busy machine lets answers wait to be read, so only the order is exact in each minute: the instance's 8.5 ms are
    # part of what we measured, and so is what the service added to them. A wrong unit or sum would be in all of them.
    split = counted["split"]
    model, overhead = split["model_latency_ms"], split["overhead_latency_ms"]
    assert 8.5 <= model < model + overhead < split["client_ms"]
    # A minute with a late send is held against nothing, and on a busy machine some have one.
    apart = [abs(d) for minute in counted["periods"] if (d := minute["latency_difference_ms"]) is not None]
    assert apart
    assert min(apart) < 3
    # A run begins on a whole second, so each of its seconds is one of CloudWatch's minutes at this speed.
    invocations = {o.at_s: o.value for o in Run.open(folder).observations() if o.metric == "Invocations"}
    assert sorted(invocations)[:6] == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]  # and who came late is in the next one
    assert found["scaling"]["instances"] == {"start": 1, "end": 1, "most": 1}
    assert Run.open(folder).meta["endpoint"] == {"instance_type": "ml.m4.xlarge", "instances": 1}
    (rule,) = found["slo"]["rules"]
    assert rule["passed"] is True
    assert rule["value"] == pytest.approx(found["cloudwatch"]["model_latency_ms"]["mean"] / 1e3, abs=1e-6)


def test_a_run_whose_last_minutes_send_nothing_waits_for_no_count_of_them(tmp_path: Path, fast: Endpoint) -> None:
    """CloudWatch has no period without a request, so it would wait to the end of its patience."""
    steady = {"name": "steady", "duration": "2m", "arrival_rate": 100}
    path = config(tmp_path, fast.url, steady, {"name": "idle", "duration": "8m", "arrival_rate": 0}, cloudwatch=MINUTES)
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--headless") as run:
        assert run.wait() in (0, 3), run.output
        folder = run.the_folder()
    found = accounted(summary(folder))
    assert found["reconciliation"]["invocations"] == found["requests"]["ok"] > 150
    assert found["cloudwatch"]["settled"] is True
    assert "waiting for CloudWatch" not in run.output


def test_an_endpoint_that_is_not_there_is_sent_nothing(tmp_path: Path, fast: Endpoint) -> None:
    somewhere = {"endpoint": "decision-tree-sample", "region": "us-east-1", "url": fast.url}
    path = config(tmp_path, fast.url, SIX_MINUTES, cloudwatch=MINUTES, target=somewhere)
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--headless") as run:
        assert run.wait() == 2
    said = (
        "sm_locust: target.endpoint: SageMaker has no decision-tree-sample in us-east-1; correct it, or target.region\n"
    )
    assert said in run.output
    assert fast.counts()["invocations"] == 0
    assert run.folders() == []


def test_metrics_that_may_not_be_read_are_a_sentence_and_the_run_goes_on(tmp_path: Path, fast: Endpoint) -> None:
    refuse(fast.url, service="monitoring", next=1000, error="AccessDeniedException")
    refuse(fast.url, service="application-autoscaling", next=2)  # throttled twice: asked again, and no word of it
    path = config(tmp_path, fast.url, THREE_MINUTES, cloudwatch=MINUTES)
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--headless") as run:
        code = run.wait()
        folder = run.the_folder()
    assert "Traceback" not in run.output
    assert code in (0, 3), run.output
    found = accounted(summary(folder))
    assert found["requests"]["ok"] == 300
    (missing,) = found["cloudwatch"]["missing"]
    assert "cloudwatch:GetMetricData" in missing
    assert found["scaling"]["instances"]["end"] == 1
    assert "GetMetricData" in (folder / "summary.md").read_text()


def test_nobody_has_to_wait_for_cloudwatch(tmp_path: Path) -> None:
    """Ctrl-C while the last minutes are waited for: what came so far stands, and the run's own numbers are whole."""
    with endpoint(tmp_path, publish_delay=3600) as local:
        path = config(tmp_path, local.url, {"name": "short", "duration": 3, "arrival_rate": 100})
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            wait_for("the wait", lambda: "waiting for CloudWatch" in run.output, 40)
            assert is_complete(run.the_folder())  # before anything is waited for
            run.signal(signal.SIGINT)
            assert run.wait(15) in (0, 3), run.output
            folder = run.the_folder()
    assert "Traceback" not in run.output
    found = accounted(summary(folder))
    assert found["requests"]["ok"] == 300
    assert found["cloudwatch"]["settled"] is False


def test_ctrl_c_in_mid_run_does_not_wait_for_cloudwatch_at_all(tmp_path: Path) -> None:
    with endpoint(tmp_path, publish_delay=3600) as local:
        path = config(tmp_path, local.url, {"name": "long", "duration": 60, "arrival_rate": 100})
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            wait_for("the load", lambda: local.counts()["invocations"] > 50, 40)
            begun = time.monotonic()
            run.signal(signal.SIGINT)
            assert run.wait(30) in (0, 3), run.output
            assert time.monotonic() - begun < 20
            accounted(summary(run.the_folder()))


def test_the_web_ui_stops_at_once_and_the_last_minutes_come_after(tmp_path: Path, fast: Endpoint) -> None:
    path, port = config(tmp_path, fast.url, SIX_MINUTES, cloudwatch=MINUTES), free_port()
    arguments = ["-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--web-port", str(port)]
    with locust(tmp_path, *arguments, "--web-host", "127.0.0.1") as run:
        page = f"http://127.0.0.1:{port}"
        wait_for("the web UI", lambda: answers(page), 30)
        assert post(f"{page}/swarm")["success"] is True
        wait_for("the load", lambda: fast.counts()["invocations"] > 200, 30)
        post(f"{page}/stop")
        folder = run.the_folder()
        early = summary(folder)
        assert not early["cloudwatch"]["settled"]
        wait_for("the last minutes", lambda: (summary(folder)["cloudwatch"] or {}).get("settled"), 30)
        late = accounted(summary(folder))
        assert late["arrivals"] == early["arrivals"]
        assert late["reconciliation"]["invocations"] == late["arrivals"]["sent"]
        run.signal(signal.SIGINT)
        run.wait()


def test_the_configurations_that_come_along_play(tmp_path: Path) -> None:
    """At high speed and for a while; the locustfile and the shape are those that come along, too."""

    def play(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        with endpoint(folder, int(SPEED)) as local:
            arguments = ["-f", STARTERS, "--sm-config", str(ROOT / f"configs/{name}.yaml"), "--sm-url", local.url]
            with locust(folder, *arguments, "--sm-speed", SPEED, "--headless", "-t", "3") as run:
                run.wait()
                found = accounted(summary(run.the_folder()))
            assert "Traceback" not in run.output
            assert found["requests"]["ok"] == found["arrivals"]["sent"] == local.counts()["invocations"] > 20, name
            assert found["reconciliation"]["difference"] == 0, name

    with ThreadPoolExecutor(4) as pool:  # most of it is waiting
        list(pool.map(play, ("steps", "spike", "soak", "decision_trees")))


# -- what may become of the endpoint beside the load -------------------------------------------------------------------


def beside(folder: Path, what: str) -> tuple[int, dict[str, Any], str]:
    """Plays six minutes in six seconds while something happens to the endpoint: exit code, summary, output."""
    folder.mkdir()
    with endpoint(folder, int(SPEED), publish_delay=150) as there:
        path = config(folder, there.url, SIX_MINUTES, cloudwatch=MINUTES)
        if what == "updating":
            order(there.url, "endpoint", status="Updating", **{"for": 60})
        elif what == "throttled":
            refuse(there.url, service="monitoring", next=12)
        arguments = ["-f", STARTERS, "--sm-config", str(path), "--sm-speed", SPEED, "--headless"]
        sagemaker, runtime = client(there.url, "sagemaker"), client(there.url, "sagemaker-runtime")
        with locust(folder, *arguments) as run:
            wait_for("the load", lambda: there.counts()["invocations"] > 50)
            if what == "deleted":
                wait_for("some of it", lambda: there.counts()["invocations"] > 200)
                sagemaker.delete_endpoint(EndpointName="decision-trees-sample")
            elif what == "foreign":
                for _ in range(FOREIGN):
                    runtime.invoke_endpoint(
                        EndpointName="decision-trees-sample", ContentType="text/csv", Body=b"5,3.5,1.3,0.3"
                    )
            code = run.wait()
            return code, accounted(summary(run.the_folder())), run.output


@pytest.fixture(scope="module")
def all_beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, dict[str, Any], str]]:
    """Side by side: most of it is waiting."""
    ways = ("updating", "throttled", "deleted", "foreign")
    folder = tmp_path_factory.mktemp("beside")
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(ways, pool.map(lambda way: beside(folder / way, way), ways), strict=True))


def reasons(found: dict[str, Any]) -> dict[str, str]:
    return {reason["code"]: reason["text"] for reason in found["verdict"]["reasons"] if not reason["invalidates"]}


def test_an_endpoint_that_is_updating_at_the_start_is_a_remark(
    all_beside: dict[str, tuple[int, dict[str, Any], str]],
) -> None:
    code, found, output = all_beside["updating"]
    assert code in (0, 3), output
    assert "was Updating when the load began" in reasons(found)["endpoint not in service"]
    assert "was Updating when the load began" in output


def test_a_cloudwatch_that_is_throttled_for_a_while_is_whole_in_the_end(
    all_beside: dict[str, tuple[int, dict[str, Any], str]],
) -> None:
    code, found, output = all_beside["throttled"]
    assert code in (0, 3), output
    assert found["cloudwatch"]["missing"] == []
    assert found["reconciliation"]["difference"] == 0


def test_an_endpoint_that_is_deleted_in_mid_run_is_named_and_its_failures_are_counted(
    all_beside: dict[str, tuple[int, dict[str, Any], str]],
) -> None:
    code, found, output = all_beside["deleted"]
    assert "Traceback" not in output
    assert code in (1, 3), output
    assert found["requests"]["by_kind"]["validation"] > 50
    assert "The endpoint was deleted, as was seen in minute" in reasons(found)["endpoint gone"]
    assert any("Could not find endpoint" in sentence for sentence in found["cloudwatch"]["missing"])


def test_somebody_elses_requests_are_counted_apart_and_named(
    all_beside: dict[str, tuple[int, dict[str, Any], str]],
) -> None:
    code, found, output = all_beside["foreign"]
    assert code in (0, 1, 3), output
    counted = found["reconciliation"]
    assert FOREIGN - 3 <= counted["difference"] <= FOREIGN  # but for our own last ones, where they came late
    assert "more requests than we sent" in reasons(found)["foreign traffic"]
    assert FOREIGN / 2 < counted["foreign"]["requests"] <= FOREIGN  # but for those in flight at the edges of periods
    assert "somebody else used the endpoint" in output
