"""No secret is in anything that can be read from outside: a run with made-up ones, and all that it leaves and says."""

from __future__ import annotations

from pathlib import Path

from tests.runs import canary


def test_a_secret_is_in_no_log_report_folder_option_page_or_message(tmp_path: Path) -> None:
    outputs = canary.play(tmp_path)
    assert outputs.ok > 30 and outputs.tunnelled > 0, "or the secrets were not in use"
    assert all(outputs.said.values())
    assert len(outputs.said["messages between master and worker"]) > 20_000
    assert b"crashed with" in outputs.said["the web UI, /exceptions"]
    assert b"crashed with" in outputs.said["the log of a script"]
    assert b"/items" in outputs.said["the folder of a script: failures.jsonl"]
    assert b"invalid_signature" in outputs.said["its run folder: failures.jsonl"]
    for where in ("alone", "with a web UI"):
        refusal = outputs.said[f"the refusal of a URL with a password, {where}"]
        assert b"sm_locust: --sm-url: a text that may hold a credential (not shown) is not accepted" in refusal
    assert outputs.codes[2:4] == [2, 2]
    assert outputs.leaks() == []
