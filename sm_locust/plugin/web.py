"""What the plugin adds to Locust's web UI: a start that is wrong says so in the page and sends nothing."""

from __future__ import annotations

from typing import Any

from locust.env import Environment
from locust.runners import STATE_INIT, STATE_STOPPED
from locust.web import WebUI

from flask import Response, jsonify, request

from sm_locust.config import ConfigError
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.options import Options


def check_starts(web_ui: WebUI, environment: Environment, live: LiveRun) -> None:
    """Resolves the order when `/swarm` is asked for, before Locust acts on it; the order is then frozen for the run."""
    app: Any = web_ui.app

    @app.before_request  # type: ignore[untyped-decorator,unused-ignore]
    def check() -> Response | None:
        if request.endpoint != "locust.swarm" or request.method != "POST":
            return None
        runner = environment.runner
        if runner is None or runner.state not in (STATE_INIT, STATE_STOPPED):
            return None  # an edit of a run that goes on: its order stands
        values = {**vars(environment.parsed_options), **request.form.to_dict()}
        try:
            live.order(Options.parsed(values))
        except (ConfigError, ValueError) as e:
            answer: Response = jsonify({"success": False, "message": str(e), "host": environment.host})
            return answer
        return None
