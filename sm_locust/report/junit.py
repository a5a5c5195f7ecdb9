"""A Summary as JUnit XML: junit.xml, for a CI system that shows test results.

One testsuite a run: the verdict, and a testcase for each rule of the SLO and stretch it was held against. Names are
the rule's and the stretch's, without limit or value, so that a CI system can tell a history of each. The layout is what
Ant and Jenkins write down, which GitLab, GitHub's actions and others read.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from xml.etree import ElementTree as ET  # nosec B405 # it writes, and parses nothing

from sm_locust.analysis.summary import EXIT_GOOD, Summary
from sm_locust.config import RunConfig
from sm_locust.report import formats, wording

PRODUCT = "sm_locust"

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """One testcase.

    where    what was judged: `run` or `phase NAME`
    name     by what: a metric, or one word
    result   FAILURE, ERROR or SKIPPED; empty for one that passed
    message  what was measured, and what is accepted
    """

    where: str
    name: str
    result: str = ""
    message: str = ""


def render(summary: Summary) -> str:
    found = cases(summary)
    results = Counter(case.result for case in found)
    end = f"{summary.minutes.end:.3f}"
    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        {
            "id": "0",
            "package": PRODUCT,
            "name": f"{PRODUCT} {formats.printable(summary.run_id)}",
            "timestamp": _timestamp(summary),
            "hostname": "localhost",  # which machine it was is nobody's business in a CI system's log
            "tests": str(len(found)),
            "failures": str(results[FAILURE]),
            "errors": str(results[ERROR]),
            "skipped": str(results[SKIPPED]),
            "time": end,
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in wording.facts(summary):
        ET.SubElement(properties, "property", {"name": name, "value": formats.printable(value)})
    named: Counter[tuple[str, str]] = Counter()
    for i, case in enumerate(found):
        named[case.where, case.name] += 1
        again = named[case.where, case.name]  # phases may be called the same
        attributes = {
            "classname": f"{PRODUCT}.{_class(case.where)}",
            "name": case.name + (f" ({again})" if again > 1 else ""),
            "time": end if i == 0 else "0.000",  # the whole of it once: CI systems add them up
        }
        element = ET.SubElement(suite, "testcase", attributes)
        if case.result == SKIPPED:
            ET.SubElement(element, SKIPPED, {"message": formats.printable(case.message)})
        elif case.result:
            told = ET.SubElement(element, case.result, {"message": formats.printable(case.message), "type": case.name})
            told.text = formats.printable(case.message)
    ET.SubElement(suite, "system-out").text = formats.printable(_said(summary))
    ET.SubElement(suite, "system-err").text = ""
    ET.indent(suites)
    # (Text is printable: XML has no way to write a control character.)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def cases(summary: Summary) -> list[Case]:
    """The verdict first, then what the exit code is made of: the SLO, or failed requests without one, or a search."""
    reasons = [reason.text for reason in summary.verdict.reasons if reason.invalidates]
    valid = summary.verdict.valid
    found = [Case("run", "valid", "" if valid else ERROR, "" if valid else f"not valid: {' '.join(reasons)}")]
    found += _stop_rules(summary)
    if summary.searched:
        refused = summary.capacity.refused
        return [*found, Case("run", "capacity", FAILURE if refused else "", wording.capacity(summary))]
    for judgement in summary.slo.judgements:
        where, metric, limit, value, _ = wording.judgement(judgement)
        message = f"{metric} {value}, the SLO is {limit}"
        result = {True: "", False: FAILURE, None: SKIPPED}[judgement.passed]
        found.append(Case(where, metric, result, message))
    if not summary.limits:
        failed = summary.minutes.whole.requests.failed - summary.minutes.whole.requests.refused
        good = summary.exit_code == EXIT_GOOD if valid else not failed
        message = "" if good else f"without an slo none may fail: {_counts(summary)}"
        found.append(Case("run", "no failed request", "" if good else FAILURE, message))
    return found


def _stop_rules(summary: Summary) -> list[Case]:
    """A rule that ended the run has failed; those that did not have passed."""
    config, tripped = summary.meta.get("config") or {}, summary.stopped
    found = []
    for rule in RunConfig.from_dict(config).stop_when:
        ended_it = tripped is not None and tripped["rule"] == str(rule)
        name = f"stop_when {rule.metric}"
        found.append(Case("run", name, FAILURE, wording.stopped(summary)) if ended_it else Case("run", name))
    return found


def _counts(summary: Summary) -> str:
    whole = summary.minutes.whole
    return ", ".join(f"{label} {value}" for label, value in (*wording.requests(whole)[:2], wording.arrivals(whole)[3]))


def _said(summary: Summary) -> str:
    return " ".join(filter(None, (wording.headline(summary), wording.speed(summary))))


def _timestamp(summary: Summary) -> str:
    """UTC without a zone, as the layout has it; the epoch where a run does not say."""
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(summary.meta.get("started_at", "")))
    return found[0] if found else "1970-01-01T00:00:00"


def _class(where: str) -> str:
    """A dot would begin another package."""
    return formats.printable(where).replace(".", "_")
