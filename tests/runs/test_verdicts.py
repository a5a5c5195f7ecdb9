"""Whether a run says by itself if its numbers can be trusted: real runs that were starved, stalled, or left in peace.

The endpoint answers after 300 ms, so the lateness that its runs are allowed is 30 ms: a noisy machine keeps to that.
"""

from __future__ import annotations

import json
import re
import signal
import time
from html import unescape
from pathlib import Path
from typing import Any

from tests.runs.harness import STARTERS, Locust, accounted, config, endpoint, files, locust, summary, wait_for

SLOW: dict[str, Any] = {"service_time": 0.3, "workers": 200, "backlog": 1000}
SLO: dict[str, Any] = {"error_rate": "5%"}


def verdict(run: Locust) -> tuple[dict[str, Any], dict[str, str]]:
    """What summary.json says, and its reasons by code; each is held to stand in every text that a reader may meet."""
    folder = run.the_folder()
    found = accounted(summary(folder))
    reasons = {reason["code"]: reason["text"] for reason in found["verdict"]["reasons"]}
    # The terminal wraps, Markdown escapes and the page is HTML: what is compared is the words.
    markdown, page = ((folder / name).read_text() for name in ("summary.md", "report.html"))
    page = re.sub(r"<[^>]+>", " ", re.sub(r"</?span[^>]*>", "", page))
    for text in (run.output, unescape(markdown).replace("\\", ""), unescape(page)):
        said = " ".join(text.split())
        assert ("NOT VALID" in said) is not found["verdict"]["valid"]
        for reason in reasons.values():
            assert reason in said
    return found, reasons


def test_a_generator_that_is_kept_from_the_cpu_is_not_valid_because_it_was_late(tmp_path: Path) -> None:
    with endpoint(tmp_path, **SLOW) as local:
        path = config(tmp_path, local.url, {"name": "flat", "duration": 5, "arrival_rate": 50}, slo=SLO)
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            wait_for("requests", lambda: local.counts()["invocations"] > 25)
            # As a container's CPU quota does it: a turn, and a pause. Whatever else this machine does is beside it.
            for _ in range(8):
                run.signal(signal.SIGSTOP)
                time.sleep(0.2)
                run.signal(signal.SIGCONT)
                time.sleep(0.05)
            assert run.wait(30) == 3, run.output
            found, reasons = verdict(run)
    assert found["slo"]["passed"] is True, "the endpoint did nothing wrong"
    assert reasons["late"].startswith("Requests left late in phase flat: 1% of them by more than ")
    assert "use more workers" in reasons["late"]
    assert found["phases"][0]["verdict"]["valid"] is False
    # What they waited on our side is in the latency that a consumer would have felt, and not in the service time.
    assert found["latency_ms"]["p90"] > found["service_time_ms"]["p50"] + 50


def test_a_task_that_takes_more_cpu_than_there_is_names_the_process_that_was_busy(tmp_path: Path) -> None:
    (tmp_path / "burning.py").write_text(
        "import time\n"
        "from locust import task\n"
        "from sm_locust import ArrivalUser, Phase, PhasesShape\n"
        "class Burn(ArrivalUser):\n"
        "    @task\n"
        "    def think(self):\n"
        "        until = time.process_time() + 0.012\n"
        "        while time.process_time() < until:\n"
        "            pass\n"
        "class Flat(PhasesShape):\n"
        "    phases = [Phase('flat', 12, 100)]\n"
    )
    with locust(tmp_path, "-f", str(tmp_path / "burning.py"), "--headless", "--stop-timeout", "1") as run:
        assert run.wait(40) == 3, run.output
        found, reasons = verdict(run)
    assert "Requests left late in phase flat" in reasons["late"]
    assert found["requests"]["failed"] == 0
    # Where other processes took the core away it was late all the same, but not itself the busy one.
    rows = map(json.loads, (run.the_folder() / "intervals.jsonl").read_text().splitlines())
    first, second, *_ = [row["cpu"] for row in rows if row.get("cpu") is not None]
    assert ("cpu" in reasons) is (min(first, second) > 0.9)
    if "cpu" in reasons:
        assert reasons["cpu"].startswith("Process local used ")


def test_an_endpoint_that_stalls_past_max_in_flight_is_a_valid_run_that_fails_its_slo(tmp_path: Path) -> None:
    with endpoint(tmp_path, **SLOW) as local:
        flat = {"name": "flat", "duration": 6, "arrival_rate": 100}
        path = config(tmp_path, local.url, flat, slo=SLO, arrivals={"max_in_flight": 80})
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            wait_for("requests", lambda: local.counts()["invocations"] > 50)
            with local.frozen():
                time.sleep(2.5)
            assert run.wait(30) == 1, run.output
            found, reasons = verdict(run)
    dropped = found["arrivals"]["dropped"]
    assert found["verdict"]["valid"] is True
    assert found["arrivals"]["dropped_by_reason"] == {"max_in_flight": dropped}
    assert dropped > 100
    assert reasons == {"endpoint stalled": reasons["endpoint stalled"]}
    assert f"The endpoint stalled in phase flat: {dropped:,} arrivals were dropped" in reasons["endpoint stalled"]
    # No request failed, and the error rate says so; for the SLO those turned away are errors.
    assert found["requests"]["failed"] == found["requests"]["error_rate"] == 0
    (rule,) = found["slo"]["rules"]
    assert rule["value"] == dropped / (dropped + found["requests"]["ok"])
    assert (found["slo"]["passed"], rule["passed"]) == (False, False)


def test_a_run_that_nothing_disturbed_is_valid_and_good(tmp_path: Path) -> None:
    with endpoint(tmp_path, **SLOW) as local:
        phases = ({"name": "up", "duration": 3, "arrival_rate": 10, "ramp_to": 50}, {"name": "flat", "duration": 3})
        path = config(tmp_path, local.url, phases[0], {**phases[1], "arrival_rate": 50}, slo=SLO)
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            assert run.wait(30) == 0, run.output
            found, reasons = verdict(run)
            assert found["requests"]["ok"] == found["arrivals"]["sent"] == local.counts()["invocations"]
    assert found["verdict"]["valid"] is True
    assert reasons == {}
    assert [phase["verdict"] for phase in found["phases"]] == [{"valid": True, "reasons": []}] * 2
    assert found["slo"]["passed"] is True


def test_payloads_that_fail_in_the_middle_end_a_run_that_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "from locust import task\n"
        "from sm_locust import Feeder, InvokeEndpointUser\n"
        "def rows():\n"
        "    for n in range(50):\n"
        "        yield f'{n},3.5,1.3,0.3'\n"
        "    raise OSError('the disk is gone')\n"
        "class Invoke(InvokeEndpointUser):\n"
        "    payloads = Feeder(rows, 'once', content_type='text/csv')\n"
        "    @task\n"
        "    def classify(self):\n"
        "        self.invoke()\n"
    )
    with endpoint(tmp_path, **SLOW) as local:
        path = config(tmp_path, local.url, {"name": "flat", "duration": 60, "arrival_rate": 50}, slo=SLO)
        name = ",".join([str(tmp_path / "failing.py"), files("shapes/from_config.py")])
        with locust(tmp_path, "-f", name, "--sm-config", str(path), "--headless") as run:
            assert run.wait(30) == 3, run.output
            found, reasons = verdict(run)
        assert local.counts()["invocations"] == 50, "what it gave before it failed was sent"
    assert found["requests"]["ok"] == found["arrivals"]["sent"] == 50
    assert found["stopped"]["by"] == "payloads failed: OSError: the disk is gone"
    assert "payloads failed" in reasons
    assert set(reasons) <= {"payloads failed", "late"}, "late on a busy machine"
    assert re.fullmatch(
        r"Process local had nothing to send any more \d s after the start, which ended the run before its time: "
        r"payloads failed: OSError: the disk is gone; mend what gives the payloads, and run it again\.",
        reasons["payloads failed"],
    )
