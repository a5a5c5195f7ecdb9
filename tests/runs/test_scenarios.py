"""An artillery script as it is, by real `locust` processes: what the server saw, and what the folder says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import shop
from tests.oracles.shop import counted
from tests.runs.harness import accounted, environment, files, is_complete, locust, processes, summary

SECRET = "known-to-few-and-far-between"
SCRIPT = """
config:
  target: %s
  phases:
    - {name: ramp, duration: 1, arrivalRate: 10, rampTo: 50}
    - {name: flat, duration: 1, arrivalRate: 50}
  payload: {path: users.csv, fields: [id], order: sequence, skipHeader: true}
  defaults: {headers: {Authorization: "Bearer {{ $env.SHOP_TOKEN }}"}}
scenarios:
  - name: buy
    weight: 3
    flow:
      - get: {url: "/items/{{ id }}", name: /items}
      - think: 0.5
      - post: {url: /basket, json: {item: "{{ id }}"}}
      - get: {url: /status/404}
  - name: look
    flow:
      - get: {url: /}
  - name: stay
    flow:
      - get: {url: /stay}
      - think: 60
      - get: {url: /never}
"""


@dataclass
class Played:
    """What became of it."""

    code: int
    output: str
    folder: Path
    summary: dict[str, Any]
    seen: list[dict[str, Any]]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("script")
    with shop.running() as server:
        (folder / "script.yml").write_text(SCRIPT % server.url)
        (folder / "users.csv").write_text("id\n" + "".join(f"{i}\n" for i in range(1000)))
        arguments = ["-f", files("locustfiles/artillery.py", "shapes/from_config.py"), "--headless", *processes(2)]
        arguments += ["--stop-timeout", "2"]
        env = environment(SHOP_TOKEN=SECRET)
        with locust(folder, *arguments, "--sm-config", str(folder / "script.yml"), env=env) as run:
            code, found = run.wait(), run.the_folder()
            yield Played(code, run.output, found, summary(found), server.seen())


def test_what_the_server_saw_is_what_the_folder_says(played: Played) -> None:
    found = accounted(played.summary)
    assert is_complete(played.folder)
    assert found["arrivals"]["sent"] == pytest.approx(80, abs=2)
    seen = counted([{**each, "target": "/items"} if "/items/" in each["target"] else each for each in played.seen])
    by_name = {name: sum(of["requests"][kind] for kind in ("ok", "failed")) for name, of in found["by_name"].items()}
    named = {"/items": "GET /items"}
    assert {named.get(name, name): n for name, n in by_name.items()} == seen
    bought = seen["POST /basket"]
    assert seen["GET /items"] == seen["GET /status/404"] == bought
    assert found["requests"]["further"] == 2 * bought
    assert found["requests"]["by_kind"] == {"unexpected_answer": bought}
    assert played.code == (1 if found["verdict"]["valid"] else 3), played.output


def test_requests_after_the_first_belong_to_the_second_in_which_they_were_due(played: Played) -> None:
    rows = [json.loads(line) for line in (played.folder / "intervals.jsonl").read_text().splitlines()]
    further, bought = dict[float, int](), dict[float, int]()
    for row in rows:
        if row.get("name") == "":
            assert row["counts"].get("further", 1) > 0  # not written where there is none
            further[row["second"]] = further.get(row["second"], 0) + row["counts"].get("further", 0)
        elif row.get("name") in ("POST /basket", "GET /status/404"):
            bought[row["second"]] = bought.get(row["second"], 0) + sum(row["counts"].values())
    assert {second: n for second, n in further.items() if n} == bought
    assert max(bought) == 2.0  # half a second after the last arrivals


def test_runs_that_were_ended_in_a_pause_are_told_of(played: Played) -> None:
    stayed = counted(played.seen)["GET /stay"]
    assert stayed > 4 and counted(played.seen)["GET /never"] == 0
    said = f"{stayed} runs of scenarios were in a pause when the patience at the end was over"
    (reason,) = (each for each in played.summary["verdict"]["reasons"] if each["code"] == "cut short")
    assert reason["text"].startswith(said) and not reason["invalidates"]
    for told in (played.output, *((played.folder / name).read_text() for name in ("summary.md", "report.html"))):
        assert said in " ".join(told.split())


def test_each_process_took_rows_of_its_own(played: Played) -> None:
    ids = [int(each["target"].rpartition("/")[2]) for each in played.seen if "/items/" in each["target"]]
    assert len(set(ids)) == len(ids)
    assert min(ids) < 100 < 500 < max(ids)
    sold = {json.loads(each["body"])["item"] for each in played.seen if each["target"] == "/basket"}
    assert sold == set(ids)


def test_the_environment_reaches_the_server_and_no_file(played: Played) -> None:
    assert {each["headers"]["authorization"] for each in played.seen} == {f"Bearer {SECRET}"}
    written = "".join(file.read_text(errors="replace") for file in played.folder.iterdir())
    assert SECRET not in played.output + written
    assert "(not kept)" in written
    # The server sends it back with each 404, and the beginning of that is kept.
    assert "Bearer (not kept)" in (played.folder / "failures.jsonl").read_text()
