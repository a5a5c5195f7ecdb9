"""The routes of Locust's web UI that are ours, or that we look at before Locust does: asked for anything in any way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from locust import task
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from locust.env import Environment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.load.users import ArrivalUser
from sm_locust.plugin import tab, web
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.options import Options, add_options
from sm_locust.report import folder
from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.fuzzing import examples

EVIL = "<script>alert(1)</script>"


class Nothing(ArrivalUser):
    @task
    def nothing(self) -> None:
        pass


class Ui:
    """A web UI that listens, with our tab in it, and a run that has ended."""

    def __init__(self, parent: Path) -> None:
        parser = get_empty_argument_parser()
        setup_parser_arguments(parser)
        add_options(parser)
        environment = Environment(user_classes=[Nothing], parsed_options=parser.parse_args([]))
        environment.create_local_runner()
        self.web_ui = environment.create_web_ui("127.0.0.1", 0)
        self.live = LiveRun(environment, Options(run_dir=str(parent / "runs")))
        web.check_starts(self.web_ui, environment, self.live)
        web.keep_asking(self.web_ui)
        tab.add(self.web_ui, self.live)
        (parent / "secret").write_text("of somebody else")
        run = played(parent / "runs", (Phase(EVIL, 3, 2),))
        folder.write(run)
        self.run_id = run.run_id
        self.live.runs[run.run_id] = run
        app: Any = self.web_ui.app
        self.app = app
        self.client = self.app.test_client()
        gevent.sleep(0.05)  # it listens

    def ask(self, method: str, path: str, **what: Any) -> Any:
        return self.client.open(path, method=method, **what)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["locust"])  # which Locust's page is made of
        ui = Ui(tmp_path_factory.mktemp("ui"))
        yield ui
    assert not list(ui.live.runs[ui.run_id].folder.parent.parent.glob("*escaped*"))
    ui.web_ui.stop()


PARTS = st.sampled_from(
    ["sm-locust", "state", "tab.js", "runs", "report.html", "..", "%2e%2e", "%2f", ".", "", "secret", "..%5c", "%00",
     EVIL, "%3Cscript%3E", "é", "\N{GRINNING FACE}", "RUN", "RUN.zip", "RUN%2f..%2f..%2fsecret", "a" * 3_000]
)  # fmt: skip
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join) | st.builds("sm-locust/runs/{}".format, PARTS)
NUMBERS = ["0", "-1", "1e9", "nan", "inf", "9" * 5_000, "٣", "", EVIL, "0x1", "1_0", "\x00", "é"]


@examples(100)
@given(
    method=st.sampled_from(["GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]),
    path=PATHS,
    query=st.dictionaries(
        st.sampled_from(["since", "run", EVIL]), st.sampled_from([*NUMBERS, "RUN", "../.."]), max_size=3
    ),
    headers=st.dictionaries(
        st.sampled_from(["Range", "If-None-Match", "If-Modified-Since", "Accept", "Host", "X-Forwarded-Prefix"]),
        st.sampled_from(["bytes=0-1", "bytes=9-1", "bytes=-", "x", "*", "Thu, 01 Jan 1970", "a/b;q=x", "evil.example"]),
        max_size=2,
    ),
)
def test_whatever_is_asked_for_is_answered_and_nothing_else_is_handed_out(
    ui: Ui, method: str, path: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    found = ui.ask(
        method,
        "/" + path.replace("RUN", ui.run_id).lstrip("/"),
        query_string={key: value.replace("RUN", ui.run_id) for key, value in query.items()},
        headers=headers,
    )
    assert found.status_code < 500
    assert b"of somebody else" not in found.data
    if "html" in found.content_type and found.status_code != 200:
        assert EVIL.encode() not in found.data
    if "json" in found.content_type and method != "HEAD":
        json.loads(found.data, parse_constant=lambda name: pytest.fail(name))


FORM = ["user_count", "spawn_rate", "run_time", "host", "sm_config", "sm_speed", "sm_endpoint", "sm_region", "sm_url",
        "sm_capacity", "sm_environment", "sm_run_dir", "user_classes", "shape_class", "profile", "\x00"]  # fmt: skip
WRONG = st.sampled_from([*NUMBERS, "/dev/null", "/etc/passwd", ".", "http://a:b@c/", "{start: .nan}", "[[[", "Nothing"])


@examples(60)
@given(
    key=st.sampled_from(
        ["sm_config", "sm_speed", "sm_endpoint", "sm_region", "sm_url", "sm_capacity", "sm_environment"]
    ),
    value=WRONG,
    more=st.dictionaries(st.sampled_from(FORM), WRONG, max_size=3),
)
def test_a_start_with_anything_in_its_form_is_refused_in_one_line(
    ui: Ui, key: str, value: str, more: dict[str, str]
) -> None:
    """Nothing starts: what Locust itself takes of the form comes after, and has not been given."""
    form = {**more, key: value}
    with ui.app.test_request_context("/swarm", method="POST", data=form):
        found: Any = ui.app.preprocess_request()
    if found is None:
        return  # right as it is
    said = json.loads(found.get_data())
    assert said["success"] is False
    assert "\n" not in said["message"] and 0 < len(said["message"]) < 1_000 + max(map(len, form.values()))
    assert "invalid literal" not in said["message"]
    assert "a:b" not in said["message"] or "a:b" in form.get("sm_environment", "")
