"""What of a scenario a run folder keeps: no value under the name of a secret, wherever the name stands."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from sm_locust.config import RunConfig
from sm_locust.kept import without_secrets

STEPS: list[dict[str, Any]] = [
    {"url": "http://a/login?sid=S3CRET&token=S3CRET;a=1", "body": "user=u&password=S3CRET with, all; of it\n&page=2"},
    {"url": "http://a/?%70assword=S3CRET&q=1", "json": {"credentials": {"user": "S3CRET", "pw": ["S3CRET", 4]}}},
    {"url": "http://a/;otp=S3CRET", "body": '{"user": "u", "userPin": "S3CRET", "n": {"secret": [["S3CRET"]]}}'},
    {"url": "http://a/", "body": '{"n": {{ n }}, "pw": "S3\\"CRET", "password": {{ pw }}, "key": {"id": "S3CRET"}}'},
    {"url": "http://a/", "json": '{"password": {"value": "S3CRET"}}', "headers": {"X-Functions-Code": "S3CRET"}},
    {"url": "http://a/", "form": {"otp": "S3CRET"}, "query": {"sig": "S3CRET", "next": "/b?api_key=S3CRET"}},
]
VARIABLES = {
    "password": ["S3CRET"],
    "users": [{"name": "a", "pin": "S3CRET"}],
    "sql": "login: pwd=S3CRET",
    "n": 1,
    "pw": 1,
}


def test_nothing_under_the_name_of_a_secret_is_kept_and_the_rest_is() -> None:
    written = {"scenarios": [{"name": "s", "steps": [{"method": "post", **step} for step in STEPS]}]}
    config = RunConfig.from_dict({**written, "variables": VARIABLES})
    assert json.dumps(config.as_dict()).count("S3") == 19
    kept = config.recorded()
    assert "S3" not in json.dumps(kept)
    RunConfig.from_dict(kept)  # a folder is read again
    steps = kept["scenarios"][0]["steps"]
    assert steps[0]["url"] == "http://a/login?sid=(not kept)&token=(not kept)"
    assert steps[0]["body"] == "user=u&password=(not kept)\n&page=2"
    assert steps[1]["json"] == {"credentials": {"user": "(not kept)", "pw": ["(not kept)", "(not kept)"]}}
    assert steps[3]["body"] == '{"n": {{ n }}, "pw": "(not kept)", "password": {{ pw }}, "key": "(not kept)"'
    assert kept["variables"]["users"] == [{"name": "a", "pin": "(not kept)"}]
    assert kept["variables"]["sql"] == "login: pwd=(not kept)"


@pytest.mark.parametrize(
    "value",
    [
        "5,3.5,1.3,0.3",
        "http://a/design?signal=1&opinion=2&encoded=3",
        {"inside": {"pinned": 1, "decoder": "x"}, "password": "{{ $env.PASSWORD }}"},
        '{"a":  [1, {"b": null}]}',
        "password={{ pw }}&page=2",
    ],
)
def test_what_is_no_secret_stays_as_it_was_written(value: Any) -> None:
    assert without_secrets(value) == value


def test_a_large_body_is_looked_through_in_no_time() -> None:
    start = time.process_time()
    for text in ("a" * 250_000, '"' * 250_000, '"key": ' * 35_000, "[" * 250_000, "pw=" * 80_000):
        without_secrets(text)
    assert time.process_time() - start < 10, "what looks back at each letter takes minutes"
