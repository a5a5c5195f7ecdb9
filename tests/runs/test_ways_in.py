"""The ways in beside InvokeEndpoint, by real `locust` processes: an API, a container, Locust's own HttpUser, signed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import container
from tests.runs.harness import accounted, config, endpoint, environment, files, is_complete, locust, summary

FROM_CONFIG = "shapes/from_config.py"
SHORT: dict[str, Any] = {"name": "short", "duration": 1.5, "arrival_rate": 60}
KEY = "known-to-few-and-far-between"


def through_the_api(tmp_path: Path, gateway: dict[str, Any], auth: str, env: dict[str, str]) -> dict[str, Any]:
    """Plays the shortest run through the local endpoint's API; its summary, with what the endpoint counted."""
    with endpoint(tmp_path, **gateway) as local:
        target = {"api_gateway": f"{local.url}/DummyStage/DT", "auth": auth, "region": "us-east-1"}
        path = config(tmp_path, local.url, SHORT, target=target)
        arguments = ["-f", files("locustfiles/api_gateway.py", FROM_CONFIG), "--sm-config", str(path), "--headless"]
        with locust(tmp_path, *arguments, env=environment(**env)) as run:
            code, folder = run.wait(), run.the_folder()
            assert is_complete(folder)
            assert KEY not in run.output + "".join(file.read_text(errors="replace") for file in folder.iterdir())
            found = accounted(summary(folder))
            failed = 1 if found["requests"]["failed"] else 0
            assert code == {True: failed, False: 3}[found["verdict"]["valid"]], run.output
            return {**found, "local": local.counts()}


ADMITTED: dict[str, tuple[str, dict[str, str]]] = {  # what the API asks for and its callers give; their environment
    "none": ("none", {}),
    "iam": ("iam", {}),
    "api-key": ("api-key", {"SM_LOCUST_API_KEY": KEY}),
}
TURNED_AWAY: dict[str, tuple[str, str, dict[str, str], str]] = {  # asked for, given, environment; what is said then
    "unsigned": ("iam", "none", {}, "missing_token"),
    "wrong secret": ("iam", "iam", {"AWS_SECRET_ACCESS_KEY": "another"}, "invalid_signature"),
    "wrong key": ("api-key", "api-key", {"SM_LOCUST_API_KEY": f"{KEY}-not"}, "forbidden"),
}


@pytest.fixture(scope="module")
def through_apis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All of them at once, three at a time: most of it is waiting."""
    ways = {name: (auth, auth, env) for name, (auth, env) in ADMITTED.items()}
    ways |= {name: (asked, auth, env) for name, (asked, auth, env, _) in TURNED_AWAY.items()}

    def play(name: str) -> dict[str, Any]:
        asked, auth, env = ways[name]
        gateway = {"gateway_auth": asked, "gateway_api_key": KEY}
        return through_the_api(tmp_path_factory.mktemp("api"), gateway, auth, env)

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(ways, pool.map(play, ways), strict=True))


@pytest.mark.parametrize("name", ADMITTED)
def test_an_api_lets_in_whom_it_should_and_the_endpoint_counts_the_same(
    through_apis: dict[str, dict[str, Any]], name: str
) -> None:
    found = through_apis[name]
    sent = found["arrivals"]["sent"]
    assert sent == pytest.approx(90, abs=1)
    assert found["requests"]["ok"] == found["local"]["ok"] == sent
    assert set(found["by_name"]) == {"DummyStage/DT"}
    assert found["local"]["rejected"] == {}


@pytest.mark.parametrize("name", TURNED_AWAY)
def test_an_api_turns_away_whom_it_should_and_the_run_says_why(
    through_apis: dict[str, dict[str, Any]], name: str
) -> None:
    found = through_apis[name]
    assert found["requests"]["by_kind"] == {TURNED_AWAY[name][3]: found["arrivals"]["sent"]}
    assert found["local"]["invocations"] == 0


def test_a_container_of_ones_own_is_loaded_without_any_aws(tmp_path: Path) -> None:
    bodies, witness = tmp_path / "bodies.csv", tmp_path / "witness.py"
    bodies.write_text("5,3.5,1.3,0.3\nno,table\n")
    witness.write_text(
        "import sys\n"
        "from locust import events\n"
        "@events.quitting.add_listener\n"
        "def _(**_):\n"
        "    print('loaded:', sorted({'boto3', 'botocore'} & set(sys.modules)))\n"
    )
    without_keys = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    with container.running() as model:
        path = config(
            tmp_path,
            "",
            SHORT,
            target={"container": model.url},
            request={"content_type": "text/csv", "payloads": str(bodies), "custom_attributes": "trace=1"},
        )
        starters = files("locustfiles/container.py", FROM_CONFIG)
        arguments = ["-f", f"{starters},{witness}", "--sm-config", str(path), "--headless"]
        with locust(tmp_path, *arguments, env=without_keys) as run:
            assert run.wait() in (1, 3), run.output
            found = accounted(summary(run.the_folder()))
            failures = [json.loads(line) for line in (run.the_folder() / "failures.jsonl").read_text().splitlines()]
            assert "loaded: []" in run.output
        seen = model.seen()
    sent, ok = found["arrivals"]["sent"], found["requests"]["ok"]
    assert sent == pytest.approx(90, abs=1)
    assert ok == pytest.approx(sent / 2, abs=1)
    assert found["requests"]["by_kind"] == {"model_error": sent - ok}
    assert seen["answers"] == {"200": ok, "500": sent - ok}
    assert set(found["by_name"]) == {"/invocations"}
    assert {failure["status"] for failure in failures} == {500}
    assert seen["headers"]["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert "authorization" not in seen["headers"]


HTTP_USERS = """
from locust import HttpUser, constant_throughput, task
from sm_locust import requests_auth

class Signed(HttpUser):
    abstract = True
    wait_time = constant_throughput(10)
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": "trace=1"}

    @task
    def invoke(self):
        self.client.post(self.path, data=b"5,3.5,1.3,0.3", headers=self.headers)

class Endpoint(Signed):
    path = "/endpoints/decision-trees-sample/invocations"

    def on_start(self):
        self.client.auth = requests_auth(region="us-east-1")

class Api(Signed):
    path = "/DummyStage/DT"

    def on_start(self):
        self.client.auth = requests_auth("execute-api", "us-east-1")
"""


def test_an_http_user_signs_what_the_endpoint_and_the_api_accept(tmp_path: Path) -> None:
    with endpoint(tmp_path, gateway_auth="iam", session_token="a/token=") as local:
        locustfile = tmp_path / "signed.py"
        locustfile.write_text(HTTP_USERS)
        arguments = ["-f", str(locustfile), "-H", local.url, "--headless", "-u", "4", "-r", "4", "-t", "4s", "--json"]
        with locust(tmp_path, *arguments, env=environment(AWS_SESSION_TOKEN="a/token=")) as run:
            assert run.wait() == 0, run.output
            rows = json.JSONDecoder().raw_decode(run.output[run.output.index("[\n") :])[0]
        counts = local.counts()
    assert {row["name"] for row in rows} == {"/endpoints/decision-trees-sample/invocations", "/DummyStage/DT"}
    assert all(row["num_requests"] > 5 and row["num_failures"] == 0 for row in rows)
    # Locust ends its own users where they stand: a request of each may have been answered and not been told.
    assert 0 <= counts["ok"] - sum(row["num_requests"] for row in rows) <= 4
    assert counts["rejected"] == {}
