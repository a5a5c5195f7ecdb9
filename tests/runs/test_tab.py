"""The tab "SageMaker" of a real run's web UI: its numbers, its files, and who may see them."""

from __future__ import annotations

import http.cookiejar
import io
import json
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from sm_locust.plugin.board import COLUMNS
from tests.runs.harness import LOGIN, Endpoint, accounted, config, files, free_port, locust, summary, wait_for


class Visitor:
    """A browser without JavaScript; redirects are not followed."""

    def __init__(self, page: str) -> None:
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: Any) -> None:
                return None

        self._page = page
        self._opener = urllib.request.build_opener(
            Stay, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        try:
            with self._opener.open(self._page + path, data, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read()

    def state(self, run: str = "", since: int = 0) -> dict[str, Any]:
        code, body = self.get(f"/load/sm-locust/state?run={run}&since={since}")
        assert code == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def answers(self) -> bool:
        try:
            return bool(self.get("/load/")[0])
        except OSError:
            return False


def test_the_tab_says_what_the_run_folder_says_behind_the_login_and_below_the_base_path(
    tmp_path: Path, local: Endpoint
) -> None:
    phase = {"name": "</script><b>steady", "duration": 4, "arrival_rate": 100}
    path, port = config(tmp_path, local.url, phase, slo={"latency_p99": "10s", "error_rate": "5%"}), free_port()
    (tmp_path / "let_somebody_in.py").write_text(LOGIN)
    user_files = f"{files('locustfiles/invoke_endpoint.py', 'shapes/from_config.py')},{tmp_path / 'let_somebody_in.py'}"
    arguments = ["-f", user_files, "--sm-config", str(path), "--web-port", str(port), "--web-host", "127.0.0.1"]
    with locust(tmp_path, *arguments, "--web-login", "--web-base-path", "/load") as run:
        stranger, visitor = Visitor(f"http://127.0.0.1:{port}"), Visitor(f"http://127.0.0.1:{port}")
        wait_for("web UI", stranger.answers)
        assert visitor.get("/let-me-in", b"")[0] == 200
        code, page = visitor.get("/load/")
        assert code == 200
        assert b'"key": "sagemaker"' in page
        assert page.count(b'<script src="./sm-locust/tab.js"></script></body>') == 1
        assert visitor.state()["state"] == "none"

        started = visitor.get("/load/swarm", b"user_count=1&spawn_rate=1")
        assert json.loads(started[1])["success"] is True, started
        rows: dict[int, list[Any]] = {}
        known: dict[str, Any] = {"run": "", "version": 0}
        states = []

        def asked() -> bool:
            nonlocal known
            known = visitor.state(known["run"] or "", known["version"])
            rows.update({row[0]: row for row in known.get("seconds", ())})
            states.append(known["state"])
            return known["state"] == "done" and not known["more"]

        wait_for("the end of the run", asked, 30)
        assert states.index("running") < states.index("settling") < states.index("done")

        folder = run.the_folder()
        found = accounted(summary(folder))
        for part in ("verdict", "slo", "arrivals", "requests", "latency_ms", "lateness_ms"):
            assert known["final"][part] == found[part]
        sent, planned, ok = (
            sum(row[COLUMNS.index(name)] or 0 for row in rows.values()) for name in ("sent", "planned", "ok")
        )
        assert (sent, ok) == (found["arrivals"]["sent"], found["requests"]["ok"])
        assert abs(planned - found["arrivals"]["planned"]) < 0.1
        told = {row[0]: row[1] for row in visitor.state()["cloudwatch"]}
        assert round(sum(told.values()) / 60) == found["cloudwatch"]["invocations"] == local.served()
        assert visitor.state()["scaling"][0][2:4] == [1, 1]

        base = f"/load/sm-locust/runs/{known['run']}"
        assert visitor.get(f"{base}/report.html") == (200, (folder / "report.html").read_bytes())
        code, packed = visitor.get(f"{base}.zip")
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        assert contents == {f"{folder.name}/{file.name}": file.read_bytes() for file in folder.iterdir()}
        for other in ("nobody", "..", "%2e%2e", "%2e%2e%2f%2e%2e"):
            assert visitor.get(f"/load/sm-locust/runs/{other}.zip")[0] == 404
            assert visitor.get(f"/load/sm-locust/runs/{other}/report.html")[0] == 404

        for ours in ("/", "/tab.js", "/state", f"/runs/{known['run']}/report.html", f"/runs/{known['run']}.zip"):
            code, body = stranger.get(f"/load/sm-locust{ours}")
            assert code == 302, ours
            assert b"/load/login" in body
        assert stranger.get("/sm-locust/")[0] == 404, "nothing is beside the base path"
        code, ours_page = visitor.get("/load/sm-locust/")
        assert b"src=" not in ours_page
        assert b"//" not in ours_page.replace(b"http://www.w3.org/2000/svg", b"").split(b"<script>")[0]
        assert "Traceback" not in run.output
