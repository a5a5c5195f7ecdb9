"""What a request of a scenario looks like on the wire, as artillery's client (got) writes it."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from sm_locust.config.scenarios import Scenario
from sm_locust.load.http import Connections
from sm_locust.load.script import Script

HOST = "http://127.0.0.1:8000"


def script(*steps: dict[str, Any], **more: Any) -> Script:
    scenario = Scenario.model_validate({"name": "a", "steps": steps, **more})
    return Script([scenario])


def wire(step: dict[str, Any], cookie: str | None = None, **values: Any) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers by their names as sent, and body."""
    call = script({"method": "get", **step}).flows[0].calls[0]
    _, head, body = call.compose(values, Random(1), None if cookie is None else lambda target: cookie)
    line, *headers = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    return line, dict(header.split(": ", 1) for header in headers), body


@pytest.mark.parametrize(
    ("url", "query", "values", "target"),
    [
        ("", {}, {}, "/"),
        ("?a=1", {}, {}, "/?a=1"),
        ("/{{ id }}", {}, {"id": 7}, "/7"),
        ("/{{ id }}", {}, {"id": "ä b/%2F?x=1#gone"}, "/%C3%A4%20b/%2F?x=1"),
        ("/{{ id }}", {}, {"id": "a\r\nHost: b"}, "/a%0D%0AHost:%20b"),
        (
            "/a",
            {"q": "{{ w }}", "n": 1, "t": True, "f": 2.0},
            {"w": "a b&c~*é"},
            "/a?q=a+b%26c%7E*%C3%A9&n=1&t=true&f=2",
        ),
        ("/a?x=1", {"q": 1}, {}, "/a?x=1&q=1"),
    ],
)
def test_a_url_is_escaped_and_its_query_encoded(
    url: str, query: dict[str, Any], values: dict[str, Any], target: str
) -> None:
    assert wire({"url": HOST + url, "query": query}, **values)[0] == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "values", "content_type", "sent"),
    [
        (
            {"json": {"id": "{{ id }}", "a": [1.0, "é", None]}},
            {"id": 7},
            "application/json",
            '{"id":7,"a":[1,"é",null]}',
        ),
        ({"json": {"text": "n{{ id }}"}}, {"id": 7}, "application/json", '{"text":"n7"}'),
        ({"form": {"a b": "{{ w }}", "n": 1}}, {"w": "x&y z"}, "application/x-www-form-urlencoded", "a+b=x%26y+z&n=1"),
        ({"body": "raw {{ w }}"}, {"w": "é"}, None, "raw é"),
        ({"json": {}, "headers": {"content-type": "application/vnd.a+json"}}, {}, "application/vnd.a+json", "{}"),
    ],
)
def test_a_body_is_encoded_and_its_type_named(
    body: dict[str, Any], values: dict[str, Any], content_type: str | None, sent: str
) -> None:
    _, headers, found = wire({"method": "post", "url": HOST, **body}, **values)
    named = {name.lower(): value for name, value in headers.items()}
    assert found.decode() == sent
    assert named.get("content-type") == content_type
    assert named["content-length"] == str(len(found))


def test_what_is_sent_beside_a_steps_own_headers() -> None:
    assert wire({"url": HOST})[1] == {"Host": "127.0.0.1:8000", "User-Agent": "sm-locust"}
    assert wire({"method": "post", "url": HOST})[1]["Content-Length"] == "0"
    headers = {"user-agent": "me", "host": "shop", "Authorization": "Bearer {{ $env.T }}"}
    values: dict[str, Any] = {"$env": {"T": "x"}}
    found = wire({"url": HOST, "headers": headers}, **values)[1]
    assert found == {"user-agent": "me", "host": "shop", "Authorization": "Bearer x"}


def test_a_host_of_other_letters_is_sent_in_ascii() -> None:
    step = {"method": "get", "url": "HTTP://Exämple.COM:8000/a"}
    call = script(step).flows[0].calls[0]
    assert call.address == "http://xn--exmple-cua.com:8000"
    assert call.compose({}, Random(1))[1].startswith(b"GET /a HTTP/1.1\r\nHost: xn--exmple-cua.com:8000\r\n")
    assert Connections(call.address).host == Connections("http://exämple.com:8000").host == "xn--exmple-cua.com:8000"


def test_cookies_that_were_kept_take_the_place_of_a_steps_own() -> None:
    step = {"url": HOST, "headers": {"cookie": "mine={{ id }}"}}
    assert wire(step, id=1)[1]["Cookie"] == "mine=1"
    assert wire(step, cookie="", id=1)[1]["Cookie"] == "mine=1"
    assert wire(step, cookie="theirs=2", id=1)[1]["Cookie"] == "theirs=2"
    assert "Cookie" not in wire({"url": HOST}, cookie="")[1]


def test_what_never_changes_is_made_once() -> None:
    call = script({"method": "post", "url": HOST, "json": {"a": 1}}).flows[0].calls[0]
    assert call.compose({}, Random()) is call.compose({}, Random())


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_a_header_that_would_break_the_connection_is_refused_before_the_run(name: str) -> None:
    with pytest.raises(ValueError, match=rf"scenarios\[0\].steps\[0\]: header '{name}': the connection sets it itself"):
        script({"method": "get", "url": HOST, "headers": {name: "1"}})


def test_a_value_that_cannot_be_sent_is_not_shown() -> None:
    with pytest.raises(ValueError, match="header 'a': its value holds a control character") as said:
        wire({"url": HOST, "headers": {"a": "{{ id }}"}}, id="secret\r\nx: y")
    assert "secret" not in str(said.value)


def test_a_name_is_the_steps_own_or_says_method_and_path_without_values() -> None:
    steps = [{"url": HOST + "/{{ id }}?a={{ id }}"}, {"url": HOST, "method": "head"}, {"url": HOST, "name": "home"}]
    calls = script(*({"method": "get", **step} for step in steps)).flows[0].calls
    assert [call.name for call in calls] == ["GET /{{ id }}", "HEAD /", "home"]
    assert [call.label for call in calls] == ["/{{ id }}", "/", "home"]


def test_pauses_add_up_and_one_at_the_end_delays_nothing() -> None:
    get = {"method": "get", "url": HOST}
    calls = script(get, {"think": "1s"}, {"think": "500ms"}, get, get, {"think": "9s"}).flows[0].calls
    assert [call.pause for call in calls] == [0, 1.5, 0]


def test_scenarios_are_picked_by_their_weight() -> None:
    step = {"method": "get", "url": HOST}
    given = [Scenario.model_validate({"name": n, "weight": w, "steps": [step]}) for n, w in (("a", 3), ("b", 1))]
    playing, random = Script(given), Random(3)
    picked = Counter(playing.pick(random).name for _ in range(4000))
    assert picked["a"] == pytest.approx(3000, abs=4 * 27.4)  # four standard deviations
