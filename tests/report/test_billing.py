"""What still costs money, wherever a run is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.billing import Billing, Item
from sm_locust.report import markdown, page, text
from sm_locust.schedule import Phase
from tests.analysis.folders import played

EVIL = "<script>x</script>`|\x1b[31m"
ITEMS = (
    Item("endpoint mine, 2 × ml.m4.xlarge", 0.5, "cache 2026-11-24", "aws sagemaker delete-endpoint --region r"),
    Item("endpoint other, 1 × ml.m4.xlarge", None, "unknown", "aws sagemaker delete-endpoint --region r"),
    Item("log group /a, 12 bytes", command="aws logs delete-log-group --region r"),
    Item("stacks", fault="CloudFormation DescribeStacks was refused: AccessDenied"),
)


def run(folder: Path, billing: Billing | None) -> Summary:
    found = played(folder, (Phase("load", 5, 10),))
    found.finish(**({} if billing is None else {"billing": billing.as_dict()}))
    return Summary.of(found)


def on_terminal(summary: Summary) -> str:
    stream = io.StringIO()
    text.show(summary, Path("runs/x"), stream)
    return stream.getvalue()


def test_the_terminal_says_it_with_commands_to_copy_and_the_verdict_last(tmp_path: Path) -> None:
    assert on_terminal(run(tmp_path, Billing(ITEMS))).endswith(
        """
Still billing:
  endpoint mine, 2 × ml.m4.xlarge: $0.50 an hour (cache 2026-11-24)
    aws sagemaker delete-endpoint --region r
  endpoint other, 1 × ml.m4.xlarge: price an hour unknown
    aws sagemaker delete-endpoint --region r
  log group /a, 12 bytes
    aws logs delete-log-group --region r
  stacks: not available here: CloudFormation DescribeStacks was refused: AccessDenied

VALID, no SLO
runs/x/  (report.html, summary.md, summary.json, junit.xml)
"""
    )


def test_markdown_and_page_say_the_same(tmp_path: Path) -> None:
    summary = run(tmp_path, Billing(ITEMS))
    assert "## Still billing\n\n- endpoint mine, 2 × ml.m4.xlarge: " in markdown.render(summary)
    assert "\n  `aws logs delete-log-group --region r`\n" in markdown.render(summary)
    assert "<h2>Still billing</h2>" in page.render(summary)
    assert "<td>aws logs delete-log-group --region r</td>" in page.render(summary)


@pytest.mark.parametrize(
    ("billing", "said"),
    [
        (Billing(local=True), "Still billing: nothing: all of it was on this machine"),
        (Billing(), "Still billing: nothing was found"),
    ],
)
def test_nothing_is_said_in_one_line(billing: Billing, said: str, tmp_path: Path) -> None:
    assert on_terminal(run(tmp_path, billing)).splitlines()[-4] == said


def test_a_run_of_before_or_without_an_endpoint_says_nothing(tmp_path: Path) -> None:
    summary = run(tmp_path, None)
    for rendered in (on_terminal(summary), markdown.render(summary)):
        assert "billing" not in rendered.lower()
    assert "still billing" not in page.render(summary).lower()


def test_what_aws_says_is_text(tmp_path: Path) -> None:
    summary = run(tmp_path, Billing((Item(EVIL, command=EVIL), Item(EVIL, fault=EVIL))))
    assert "\x1b" not in on_terminal(summary)
    assert "<script>x" not in page.render(summary)
    assert "<script>x" not in markdown.render(summary).replace(f"`{EVIL.replace(chr(27), '�')}`", "")
