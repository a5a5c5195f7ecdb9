"""junit.xml: the layout that CI systems read, the verdict and each rule in it, and nothing that is no XML."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.summary import Summary
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.report import junit
from sm_locust.schedule import Phase
from tests.analysis.folders import meta, played, stopped

SLO = {"slo": {"latency_mean": "15ms", "error_rate": "5%"}}
FLAT = (Phase("flat", 20, 20),)
TWO = (Phase("warm up", 10, 20, judge=False), Phase("peak 1.5x", 10, 20), Phase("cool down", 10, 20))

# The elements of Ant's schema (JUnit.xsd) in its order, and those attributes of each that must be there. Jenkins'
# own (junit-10.xsd) asks for less, and lets none of them be called otherwise.
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out", "system-err"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure"],
}
ATTRIBUTES = {
    "testsuites": set[str](),
    "testsuite": {"id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "skipped": {"message"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "system-out": set[str](),
    "system-err": set[str](),
}


def laid_out(xml: str) -> ET.Element:
    """Parses it, and holds it against the layout; returns the one testsuite."""
    root = ET.fromstring(xml.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        accepted = CHILDREN.get(element.tag, [])
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        assert all(child.tag in accepted for child in element)
        order = [accepted.index(child.tag) for child in element]
        assert order == sorted(order)
    (suite,) = root
    cases = suite.findall("testcase")
    assert [len(suite.findall(tag)) for tag in ("properties", "system-out", "system-err")] == [1, 1, 1]
    assert all(len(case) <= 1 for case in cases)
    results = Counter(child.tag for case in cases for child in case)
    counted = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {
        "tests": len(cases),
        "failures": results["failure"],
        "errors": results["error"],
        "skipped": results["skipped"],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert sum(float(case.attrib["time"]) for case in cases) == float(suite.attrib["time"])
    names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
    assert len(set(names)) == len(names), "a CI system would take one for the other"
    return suite


def found(run: Run) -> dict[str, tuple[str, str]]:
    """`classname name` → result, message."""
    suite = laid_out(junit.render(Summary.of(run)))
    return {
        f"{case.attrib['classname']} {case.attrib['name']}": next(
            ((child.tag, child.attrib["message"]) for child in case), ("", "")
        )
        for case in suite.findall("testcase")
    }


def test_the_verdict_and_every_rule_are_a_testcase_and_a_failure_says_what_was_measured_and_the_limit(
    tmp_path: Path,
) -> None:
    run = played(tmp_path, FLAT, lambda at: (OK, 0.02), config=SLO)
    assert found(run) == {
        "sm_locust.run valid": ("", ""),
        "sm_locust.run latency_mean": ("failure", "latency_mean 20.2 ms, the SLO is ≤ 15 ms"),
        "sm_locust.run error_rate": ("", ""),
    }


def test_each_phase_that_is_judged_has_its_own_and_names_do_not_change_with_limits(tmp_path: Path) -> None:
    names = [
        *("sm_locust.run valid", "sm_locust.run latency_mean", "sm_locust.run error_rate"),
        *("sm_locust.phase peak 1_5x latency_mean", "sm_locust.phase peak 1_5x error_rate"),
        *("sm_locust.phase cool down latency_mean", "sm_locust.phase cool down error_rate"),
    ]
    for limit in ("15ms", "1s"):
        config = {"slo": {**SLO["slo"], "latency_mean": limit}}
        assert list(found(played(tmp_path, TWO, config=config))) == names


def test_phases_of_one_name_can_be_told_apart(tmp_path: Path) -> None:
    config = {"slo": {"error_rate": "5%"}}
    assert list(found(played(tmp_path, (*FLAT, *FLAT), config=config)))[2:] == [
        "sm_locust.phase flat error_rate",
        "sm_locust.phase flat error_rate (2)",
    ]


def test_what_is_not_known_is_skipped(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, config={"slo": {"model_latency_p99": "1s"}})
    result, message = found(run)["sm_locust.run model_latency_p99"]
    assert (result, "has no CloudWatch metrics" in message) == ("skipped", True)


def test_a_run_that_is_not_valid_is_an_error_that_says_why(tmp_path: Path) -> None:
    result, message = found(played(tmp_path, FLAT, late=lambda at: 0.1))["sm_locust.run valid"]
    assert (result, message.split(" in phase")[0]) == ("error", "not valid: Requests left late")


@pytest.mark.parametrize(
    ("answer", "result"),
    [(lambda at: (OK, 0.01), ""), (lambda at: ("unavailable" if at > 15 else OK, 0.01), "failure")],
)
def test_without_an_slo_a_failed_request_is_a_failure_as_it_is_of_the_exit_code(
    answer: Any, result: str, tmp_path: Path
) -> None:
    run = played(tmp_path, FLAT, answer)
    assert found(run)["sm_locust.run no failed request"][0] == result
    assert (Summary.of(run).exit_code == 0) is (result == "")


def test_a_run_of_which_nothing_is_known_yet_has_the_layout_too(tmp_path: Path) -> None:
    laid_out(junit.render(Summary.of(Run.create(tmp_path, meta()))))
    odd = meta(ended_s=0.0)
    odd["started_at"] = "yesterday"
    laid_out(junit.render(Summary.of(Run.create(tmp_path, odd))))


@given(text=st.text(st.characters(exclude_categories=()), min_size=1, max_size=30))
def test_whatever_a_phase_is_called_it_is_xml(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    evil = f'{text}]]>"<&\x00\x1b\ufffe'
    run = played(tmp_path_factory.mktemp("runs"), (Phase(evil, 2, 5), Phase("b", 2, 5)), config=SLO)
    run.meta["versions"] = {evil: evil}
    suite = laid_out(junit.render(Summary.of(run)))
    assert any(']]>"<&' in case.attrib["classname"] for case in suite.findall("testcase"))


def test_a_rule_of_stop_when_that_ended_the_run_has_failed_and_the_others_have_passed(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    cases = found(run)
    assert cases["sm_locust.run stop_when not_valid"] == ("", "")
    result, message = cases["sm_locust.run stop_when latency_p99"]
    assert result == "failure"
    assert message.startswith(
        "The run was ended: latency_p99 above 300ms for 1m30s: it was 412 ms, from 0:00:10 to 0:01:"
    )
