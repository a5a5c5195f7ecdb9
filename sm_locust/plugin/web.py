"""What the plugin mends in Locust's web UI: a start that is wrong is refused in the page, and the page sees the end."""

from __future__ import annotations

import json
from typing import Any

from locust.env import Environment
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_STOPPING
from locust.web import WebUI

from flask import Response, jsonify, request

from sm_locust.config import ConfigError
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import Picked


def check_starts(web_ui: WebUI, environment: Environment, live: LiveRun) -> None:
    """Resolves the order when `/swarm` is asked for, before Locust acts on it; the order is then frozen for the run."""
    app: Any = web_ui.app

    @app.before_request  # type: ignore[untyped-decorator,unused-ignore]
    def check() -> Response | None:
        if request.endpoint != "locust.swarm" or request.method != "POST":
            return None
        if live.is_ending:
            return refused("the run before is still ending: start again in a moment")
        if live.is_running:
            return None  # an edit of a run that goes on: its order stands
        values = {**vars(environment.parsed_options), **request.form.to_dict()}
        try:
            live.order(Options.parsed(values), picked() if web_ui.userclass_picker_is_active else None)
            live.look()
        except (ConfigError, ValueError) as e:
            return refused(str(e))
        return None

    def refused(why: str) -> Response:
        answer: Response = jsonify({"success": False, "message": why, "host": environment.host})
        return answer

    def picked() -> Picked:
        """What the form names; Locust itself takes it over only after this check."""
        classes: Any = environment.available_user_classes or {}
        shapes: Any = environment.available_shape_classes or {}
        names = request.form.getlist("user_classes") or list(classes)
        shape = shapes.get(request.form.get("shape_class", "Default"))
        return Picked([classes[name] for name in names if name in classes], shape)


def keep_asking(web_ui: WebUI) -> None:
    """Lets Locust's page follow a run to its end.

    It asks only while it is told that a test is spawning or running: once it had seen the moments between that and
    "stopped", it stayed there, with no button to start another one, until somebody loaded it again.
    """
    app: Any = web_ui.app

    @app.after_request  # type: ignore[untyped-decorator,unused-ignore]
    def answer(response: Response) -> Response:
        if request.endpoint == "locust.request_stats" and response.status_code == 200:
            told = response.get_json()
            if told.get("state") in (STATE_CLEANUP, STATE_STOPPING):
                response.set_data(json.dumps({**told, "state": STATE_RUNNING}))
        return response
