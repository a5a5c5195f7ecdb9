"""The tab "SageMaker" of Locust's web UI: a page of our own, the numbers that it polls, and the folder of a run.

Locust's extended tabs can show tables of what its own polling brings, and it polls only while a run goes on. So the tab
is Locust's and empty, and a script that is added to its page puts ours in, as a frame. The page stands alone as well,
at `<base path>/sm-locust/`; everything needs Locust's login where one is set, and nothing comes from elsewhere.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import gevent
from locust.web import WebUI

from flask import Blueprint, Response, jsonify, request, send_file

from sm_locust.plugin.encoding import PAUSE, pauses
from sm_locust.plugin.live import LiveRun
from sm_locust.report.folder import REPORT

TITLE, KEY = "SageMaker", "sagemaker"
CHUNK = 32 * 1024  # bytes that are packed at a stretch: a millisecond
AT_A_STRETCH = 0.0005  # seconds that are worked for an answer; then whatever is due has a turn

# The page has all that it needs in itself; it may be framed by Locust's page alone, and ask its own server only.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_NOTHING = {"run": None, "state": "none", "version": 0, "more": False}


def add(web_ui: WebUI, live: LiveRun) -> None:
    """Adds the tab, and what it needs, to a web UI that has not been started yet."""
    app: Any = web_ui.app
    routes: Any = Blueprint("sm_locust", __name__, url_prefix=f"{app.blueprints['locust'].url_prefix or ''}/sm-locust")
    page = _page()

    def index() -> Response:
        return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})

    def script() -> Response:
        return Response(_part("tab.js"), mimetype="text/javascript")

    def state() -> Response:
        board = live.board
        answer: Response
        if board is None:
            answer = jsonify(_NOTHING)
        else:
            since = request.args.get("since", 0, type=int) if request.args.get("run") == board.run_id else 0
            found = board.page(since, live.elapsed(), pauses(AT_A_STRETCH))
            answer = jsonify({**found, "folder": board.run_id in live.runs})
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def report(run_id: str) -> Response:
        run = live.runs.get(run_id)
        if run is None or not (run.folder / REPORT).is_file():
            return _unknown()
        answer: Response = send_file((run.folder / REPORT).resolve(), mimetype="text/html", max_age=0)
        return answer

    def download(run_id: str) -> Response:
        run = live.runs.get(run_id)
        if run is None:
            return _unknown()
        name = re.sub(r"[^\w.-]", "_", run.folder.name, flags=re.ASCII)
        headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
        return Response(zipped(run.folder, name), mimetype="application/zip", headers=headers)

    @app.after_request  # type: ignore[untyped-decorator,unused-ignore]
    def add_script(response: Response) -> Response:
        if request.endpoint == "locust.index" and response.status_code == 200:
            text = response.get_data(as_text=True)
            before, found, after = text.rpartition("</body>")
            if found:
                response.set_data(f'{before}<script src="./sm-locust/tab.js"></script>{found}{after}')
        return response

    for rule, view in (
        ("/", index),
        ("/tab.js", script),
        ("/state", state),
        ("/runs/<run_id>/report.html", report),
        ("/runs/<run_id>.zip", download),
    ):
        routes.add_url_rule(rule, view_func=web_ui.auth_required_if_enabled(view))
    app.register_blueprint(routes)
    _extend(web_ui, "extended_tabs", {"title": TITLE, "key": KEY})
    # A plain link as well, under "Download Data".
    _extend(
        web_ui, "extended_csv_files", {"href": "./sm-locust/", "title": "SageMaker: this run, on a page of its own"}
    )


def _extend(web_ui: WebUI, what: str, entry: dict[str, str]) -> None:
    """Adds to what a locustfile may have put there itself."""
    web_ui.template_args[what] = [*web_ui.template_args.get(what, ()), entry]


def _unknown() -> Response:
    return Response("no such run, or it has not ended yet\n", 404, mimetype="text/plain")


def _part(name: str) -> str:
    return files("sm_locust.plugin").joinpath(name).read_text(encoding="utf-8")


def _page() -> str:
    return _part("page.html").replace("/* page.css */", _part("page.css")).replace("/* page.js */", _part("page.js"))


class _Pipe:
    """What a zip file is written to; `take` hands on what has been written since."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Everything is there at once."""

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def zipped(folder: Path, name: str) -> Iterator[bytes]:
    """The files of a run folder as a zip, piece by piece: regular files that lie in it, under `name/`.

    Neither links nor folders: what somebody else has put there is not ours to hand out.
    """
    pipe: Any = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            if not stat.S_ISREG(path.lstat().st_mode) or path.suffix == ".part":
                continue
            with open(path, "rb") as file, archive.open(f"{name}/{path.name}", "w", force_zip64=True) as entry:
                while chunk := file.read(CHUNK):
                    entry.write(chunk)
                    if data := pipe.take():
                        yield data
                    gevent.sleep(PAUSE)
    yield pipe.take()
