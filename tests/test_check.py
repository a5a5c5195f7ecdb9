"""The whole check against a local endpoint: the plan, what AWS says, and one request sent as the load would send it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sm_locust import payloads
from sm_locust.aws import serving, session
from sm_locust.check import Check, _cost
from sm_locust.cli import main
from sm_locust.config import ConfigError
from sm_locust.finding import FAIL, PASS, UNKNOWN, WARN, Finding, Level
from sm_locust.local.settings import Settings
from sm_locust.record.prior import EXPERIMENT, Prior
from tests.aws.harness import somebody
from tests.local.harness import counts, running
from tests.oracles.answers import CLOSE, AnswerServer, answer, ok

ROOT = Path(__file__).parents[1]
PHASES = [{"name": "a", "duration": "60s", "arrival_rate": 10, "ramp_to": 20}]
REQUEST = {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with somebody(monkeypatch):
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(provisioning_time=120), speed=60) as url:
        yield url


def written(folder: Path, target: dict[str, Any], **sections: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(json.dumps({"target": target, "request": REQUEST, "phases": PHASES, **sections}))
    return path


def at(url: str, **more: str) -> dict[str, Any]:
    return {"endpoint": Settings().endpoint, "region": "us-east-1", "url": url, **more}


def found(config: Path, **options: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in Check(config, **options).findings()}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def test_the_local_endpoint_passes_and_what_it_cannot_tell_is_no_pass(url: str) -> None:
    before = counts(url)["invocations"]
    findings = found(ROOT / "configs/decision_trees.yaml", url=url, speed=60)
    assert counts(url)["invocations"] == before + 1  # one request, and no more
    levels = {name: finding.level for name, finding in findings.items() if name not in ("cloudwatch", "live-traffic")}
    assert levels == {
        **dict.fromkeys(("plan", "region", "identity", "credentials", "endpoint", "variant", "instances"), PASS),
        **dict.fromkeys(("scaling", "cost", "probe"), PASS),
        "instance-quota": UNKNOWN,
    }
    assert findings["plan"].text == "66,000 requests in 2m (2h at speed 60), at most 800 a second"
    assert findings["probe"].text.startswith("HTTP 200 in ")
    assert findings["probe"].text.endswith(": setosa")


def test_an_endpoint_that_is_updating_fails_and_the_command_exits_2(url: str, tmp_path: Path) -> None:
    path = written(tmp_path, at(url))
    config = Check(path).resolved()
    serving.ask_for(config, 2)  # it takes two seconds
    done = command(path)
    assert done.exit_code == 2
    assert "FAIL  endpoint            decision-trees-sample is Updating; accepted: InService" in done.output
    assert done.output.splitlines()[-1].endswith(" 1 failed, 2 not available here")
    allowed = command(path, "--allow", "endpoint", "--json")
    serving.wait_until_steady(config, 2, patience=20, every=0.1, say=lambda _: None)
    assert allowed.exit_code == 0
    by_name = {finding["name"]: finding for finding in json.loads(allowed.output)["findings"]}
    assert by_name["endpoint"]["level"] == "warn"
    assert by_name["endpoint"]["text"].endswith("accepted: InService (allowed by --allow endpoint)")


def test_throttled_and_denied_cloudwatch_at_the_local_endpoint(url: str, tmp_path: Path) -> None:
    for error, calls, level in (("ThrottlingException", session.ATTEMPTS, UNKNOWN), ("AccessDeniedException", 1, WARN)):
        order = json.dumps({"service": "monitoring", "next": calls, "error": error}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/_local/refuse", order), timeout=10).close()
        finding = found(written(tmp_path, at(url)))["cloudwatch"]
        assert finding.level == level
        assert error.removesuffix("Exception") in finding.text


def test_an_api_is_tried_as_the_load_goes(url: str, tmp_path: Path) -> None:
    target = {"api_gateway": f"{url}/DummyStage/DT", "auth": "none", "endpoint": Settings().endpoint}
    findings = found(written(tmp_path, {**target, "region": "us-east-1"}))
    assert findings["probe"].level == PASS
    unknown = {name for name, finding in findings.items() if finding.level == UNKNOWN}
    assert unknown >= {"api-rate", "api-timeout", "lambda-concurrency"}


def test_a_container_has_a_plan_and_an_answer_and_nothing_else(tmp_path: Path) -> None:
    with AnswerServer([ok(b"setosa\x1b[31m")]) as container:
        findings = found(written(tmp_path, {"container": f"{container.url}/invocations"}))
        assert len(container.requests) == 1
    assert list(findings) == ["plan", "cost", "probe"]
    assert findings["probe"].text.endswith(": setosa�[31m")


@pytest.mark.parametrize(
    ("script", "says", "do"),
    [
        ([answer(500, b"boom")], "HTTP 500, model_error after ", "read the container's log"),
        ([ok(b""), CLOSE], "HTTP 200 in ", ""),
        ([CLOSE], "reset after ", "look whether it restarted"),
        ([b"\x00\x01", CLOSE], "protocol after ", "check the port"),
    ],
)
def test_a_probe_that_fails_says_what_it_means(tmp_path: Path, script: list[Any], says: str, do: str) -> None:
    with AnswerServer(script) as container:
        probe = found(written(tmp_path, {"container": f"{container.url}/invocations"}))["probe"]
    assert says in probe.text
    assert do in probe.do
    assert probe.level == (FAIL if do else PASS)


def test_nothing_to_send_is_not_tried(tmp_path: Path) -> None:
    path = written(tmp_path, {"container": "http://127.0.0.1:9/invocations"}, request={})
    assert found(path)["probe"].level == UNKNOWN


def test_what_the_way_cannot_carry_is_a_failure(tmp_path: Path) -> None:
    request = {**REQUEST, "target_variant": "v"}
    path = written(tmp_path, {"container": "http://127.0.0.1:9/invocations"}, request=request)
    probe = found(path)["probe"]
    assert (probe.level, probe.text) == (
        FAIL,
        "ContainerUser: request.target_variant is for SageMaker, which is not asked here; leave it out",
    )


def test_no_credentials_are_a_failure_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    before = counts(url)["invocations"]
    findings = found(written(tmp_path, at(url)))
    assert counts(url)["invocations"] == before
    assert {name for name, finding in findings.items() if finding.level == FAIL} == {"credentials", "probe"}
    assert [name for name in findings if "no AWS credentials were found" in findings[name].text] == ["credentials"]
    not_asked = {name: f.text for name, f in findings.items() if f.level == UNKNOWN}
    assert not_asked == dict.fromkeys(
        ("identity", "endpoint", "scaling", "cloudwatch", "live-traffic"),
        "not available here: it takes credentials",
    )


def test_the_guard_is_what_a_start_refuses(tmp_path: Path) -> None:
    container = {"container": "http://127.0.0.1:9/invocations"}
    refused = found(written(tmp_path, container, guard={"max_requests": 899}))["guard"]
    assert (refused.level, refused.text) == (
        FAIL,
        "the schedule sends 900 requests and guard.max_requests allows 899",
    )
    assert found(written(tmp_path, container, guard={"max_requests": 900}))["guard"].level == PASS
    assert "guard" not in found(written(tmp_path, container))


PRICES = {
    "as_of": "2026-11-24",
    "instance_hour": 0.28,
    "data_in_gb": 0.016,
    "get_metric_data_thousand": 0.01,
}


@pytest.mark.parametrize(
    ("sections", "cost", "guard"),
    [
        ({"prices": PRICES}, (PASS, "the experiment costs "), None),
        ({}, (UNKNOWN, "not known: prices.instance_hour, prices.data_in_gb"), None),
        ({"prices": PRICES, "guard": {"max_cost": 0.001}}, (PASS, "at these prices"), (FAIL, "guard.max_cost allows")),
        ({"prices": PRICES, "guard": {"max_cost": 1000}}, (PASS, "at these prices"), (PASS, "within the guard")),
        ({"guard": {"max_cost": 1000}}, (UNKNOWN, "not known"), (FAIL, "is not known without prices.instance_hour")),
    ],
)
def test_what_a_load_costs_is_held_against_the_guard(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    sections: dict[str, Any],
    cost: tuple[Level, str],
    guard: tuple[Level, str] | None,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    scaling = {"min_instances": 1, "max_instances": 2, "metric": "SageMakerVariantInvocationsPerInstance", "target": 9}
    path = written(tmp_path, {"endpoint": "e", "region": "us-east-1"}, scaling=scaling, **sections)
    config = Check(path).resolved()
    bodies = payloads.load(config.request, tmp_path)
    findings = {finding.name: finding for finding in _cost(config, bodies, 1)}
    assert findings["cost"].level == cost[0]
    assert cost[1] in findings["cost"].text
    if guard is None:
        assert "guard" not in findings
    else:
        assert findings["guard"].level == guard[0]
        assert guard[1] in findings["guard"].text


def test_a_plan_that_nobody_wrote_down_is_not_available(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"target": {"container": "http://127.0.0.1:9/invocations"}, "request": REQUEST}))
    assert found(path)["plan"].level == UNKNOWN


def test_an_experiment_wants_credentials_for_both_sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    scaling = {"min_instances": 1, "max_instances": 2, "metric": "SageMakerVariantInvocationsPerInstance", "target": 9}
    for sections, says in (({}, "the run lasts 1m"), ({"scaling": scaling}, "the experiment lasts 17m")):
        with AnswerServer([answer(404)]) as aws:
            finding = found(written(tmp_path, at(aws.url), **sections))["credentials"]
        assert finding.level == FAIL
        assert says in finding.text


@pytest.mark.parametrize(("wanted", "level"), [(True, FAIL), (False, WARN)])
def test_scaling_that_was_not_put_back_is_reported(tmp_path: Path, wanted: bool, level: Level) -> None:
    resource = "endpoint/decision-trees-sample/variant/AllTraffic"
    folder = tmp_path / "runs" / "experiment-1"
    Prior.create(
        folder / EXPERIMENT, resource_id=resource, arn="arn:x", config={}, speed=1, scaling_before={"target": None}
    ).release()
    scaling = {"min_instances": 1, "max_instances": 2, "metric": "SageMakerVariantInvocationsPerInstance", "target": 9}
    sections = {"scaling": scaling} if wanted else {}
    with AnswerServer([answer(404)]) as aws:
        finding = found(written(tmp_path, at(aws.url), **sections), run_dir=tmp_path / "runs")["unrestored"]
    assert finding.level == level
    assert finding.text.startswith(f"scaling of {resource} is not as it was before {folder} was begun at 20")
    assert finding.do.endswith(f"sm-locust scaling restore {folder}")


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        ({}, {}, "target.endpoint: missing"),
        ({"endpoint": "e", "region": "us-east-1"}, {"speed": 60}, "which is not loopback; use --speed 1"),
        ({"container": "http://127.0.0.1:9/"}, {"endpoint": "e"}, "--endpoint"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [(2, 1, 6, "", ("203.0.113.1", 0))])
    with pytest.raises(ConfigError) as caught:
        Check(written(tmp_path, target), **options).findings()
    assert says in str(caught.value)


def test_a_name_that_cannot_be_allowed_is_refused_with_those_that_can(tmp_path: Path) -> None:
    done = command(tmp_path / "c.yaml", "--allow", "guard")
    assert done.exit_code == 2
    assert "'guard' is not one of 'identity', 'clock', 'credentials', 'endpoint'" in done.output


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = command(tmp_path / "c.yaml")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "c.yaml: cannot be read" in done.output


def test_at_another_speed_a_run_through_an_api_has_nothing_to_do_with_the_runtimes_address(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(
        "target: {api_gateway: 'http://127.0.0.1:1/DummyStage/DT', auth: none, endpoint: e, region: us-east-1}\n"
    )
    assert Check(path, speed=60).resolved().target is not None
