"""Rules of --fail-if: what is read, what is refused, and what the figures of two runs make of a rule."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison, Side
from sm_locust.analysis.differences import METRICS, Figure, unit
from sm_locust.analysis.fail_if import FailIf, Judged, RuleError, exit_code
from sm_locust.record.outcome import OK, UNAVAILABLE
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import before_and_after, played, watch

SLO = {"slo": {"latency_mean": "15ms", "error_rate": 0.05}}
FLAT = (Phase("flat", 120, 10),)


# -- what is read ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric", "above", "limit", "relative"),
    [
        ("latency_p99 > +10%", "latency_p99", True, 0.1, True),
        ("latency_p99>+10%", "latency_p99", True, 0.1, True),
        (" capacity  <  -5% ", "capacity", False, -0.05, True),
        ("capacity < −5%", "capacity", False, -0.05, True),
        ("service_time_p999 > 300ms", "service_time_p999", True, 0.3, False),
        ("model_latency_max > 1.5s", "model_latency_max", True, 1.5, False),
        ("error_rate > 5%", "error_rate", True, 0.05, False),
        ("error_rate > +0%", "error_rate", True, 0.0, True),
        ("error_rate > 0%", "error_rate", True, 0.0, False),
        ("delivered_ratio < 99.5%", "delivered_ratio", False, 0.995, False),
        ("capacity < 400", "capacity", False, 400.0, False),
    ],
)
def test_a_rule_is_read(text: str, metric: str, above: bool, limit: float, relative: bool) -> None:
    found = FailIf.parse(text)
    assert (found.metric, found.above, found.relative) == (metric, above, relative)
    assert found.limit == pytest.approx(limit)
    assert FailIf.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "latency_p99", "latency_p99 >= 300ms", "latency_p99 = 1s", "latency_p99 > 1s > 2s", "> 5%"),
        *("latency_p98 > +10%", "max_rps < -5%", "LATENCY_P99 > 1s", "latency > 1s", "lateness_p99 > 1s"),
        *("latency_p99 >", "latency_p99 > 300", "latency_p99 > 5%", "latency_p99 > 121s", "latency_p99 > 0ms"),
        *("latency_p99 > +", "latency_p99 > +10", "latency_p99 > 10%+", "latency_p99 > -101%", "latency_p99 > +nan%"),
        *("error_rate > 0.05", "error_rate > 101%", "error_rate > 300ms", "capacity < 5%", "capacity < 1e3"),
        *("capacity < inf", "capacity < ٤٠٠", "latency_p99 > +9999999999%"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_sentence_that_names_it(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        FailIf.parse(text)
    said = str(refused.value)
    assert said.startswith(repr(text)) and "is not accepted: " in said and "\n" not in said


@given(st.text())
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        found = FailIf.parse(text)
    except RuleError:
        return
    assert found.metric in METRICS and math.isfinite(found.limit)


# -- what the figures make of it ---------------------------------------------------------------------------------------

values = st.floats(1e-6, 1e6)
shares = st.integers(0, 300).map(lambda n: f"{n / 10:g}%")
relative = st.builds(
    lambda metric, op, sign, share: FailIf.parse(f"{metric} {op} {sign}{share}"),
    st.sampled_from(METRICS),
    st.sampled_from("<>"),
    st.sampled_from("+-"),
    shares,
)


@st.composite
def figures(draw: st.DrawFn) -> Figure:
    """A plain figure, a capacity with bounds, or one that was not reached."""
    value = draw(values)
    kind = draw(st.sampled_from(("plain", "bounded", "open")))
    if kind == "plain":
        return Figure(value)
    return Figure(value, value, None if kind == "open" else value * 2)


@given(relative, values, values)
def test_a_relative_rule_says_what_arithmetic_says(rule: FailIf, before: float, after: float) -> None:
    change = after / before - 1
    if abs(change - rule.limit) > 1e-6:  # at the limit itself, rounding decides
        assert rule.broken(Figure(before), Figure(after)) == (
            change > rule.limit if rule.above else change < rule.limit
        )


@given(values, shares)
def test_what_did_not_change_breaks_no_rule_about_a_change(value: float, share: str) -> None:
    same = Figure(value), Figure(value)
    assert FailIf.parse(f"latency_p99 > +{share}").broken(*same) is False
    assert FailIf.parse(f"latency_p99 < -{share}").broken(*same) is False


@given(values, st.integers(0, 300))
def test_a_change_of_exactly_the_limit_is_held(before: float, percent: int) -> None:
    assert (
        FailIf.parse(f"latency_p99 > +{percent}%").broken(Figure(before), Figure(before * (100 + percent) / 100))
        is False
    )
    if percent <= 100:
        after = Figure(before * (100 - percent) / 100)
        assert FailIf.parse(f"latency_p99 < -{percent}%").broken(Figure(before), after) is False


@given(relative, figures(), figures(), st.floats(1.0, 50.0), st.floats(1.0, 50.0))
def test_what_is_said_of_an_open_figure_holds_wherever_it_lies(
    rule: FailIf, before: Figure, after: Figure, one: float, other: float
) -> None:
    said = rule.broken(before, after)
    real_before = Figure((before.value or 0.0) * (one if before.open else 1.0))
    real_after = Figure((after.value or 0.0) * (other if after.open else 1.0))
    if said is not None:
        assert rule.broken(real_before, real_after) == said
    if not before.open and not after.open:
        assert said is not None


@given(figures(), figures(), st.integers(0, 100), st.integers(0, 100))
def test_a_wider_limit_breaks_no_sooner(before: Figure, after: Figure, limit: int, wider: int) -> None:
    for text in ("latency_p99 > +{}%", "latency_p99 < -{}%"):
        found = FailIf.parse(text.format(min(limit, wider))).broken(before, after)
        with_more = FailIf.parse(text.format(max(limit, wider))).broken(before, after)
        assert not (found is False and with_more is True)


def test_from_nothing_any_more_is_above_any_share() -> None:
    rule = FailIf.parse("error_rate > +10%")
    assert rule.broken(Figure(0.0), Figure(0.0)) is False
    assert rule.broken(Figure(0.0), Figure(0.001)) is True


def test_a_capacity_that_was_not_reached_decides_what_it_can() -> None:
    reached, open_ = Figure(400.0, 390.0, 410.0), Figure(437.0, 437.0, None)
    rule = FailIf.parse("capacity < -5%")
    assert rule.broken(reached, open_) is False  # 437 or more
    assert rule.broken(Figure(500.0, 490.0, 510.0), open_) is None
    assert rule.broken(open_, reached) is True
    assert rule.broken(open_, Figure(430.0, 420.0, 440.0)) is None
    assert rule.broken(open_, open_) is None
    assert FailIf.parse("capacity < 430").broken(reached, open_) is False
    assert FailIf.parse("capacity < 450").broken(reached, open_) is None
    assert FailIf.parse("capacity > 430").broken(reached, open_) is True
    assert FailIf.parse("capacity < -100%").broken(open_, reached) is False


# -- two runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return Comparison.of(*before_and_after(tmp_path_factory.mktemp("runs"), SLO))


def judged(comparison: Comparison, *rules: str) -> list[Judged]:
    return [FailIf.parse(rule).judge(comparison) for rule in rules]


def states(comparison: Comparison, *rules: str) -> list[str]:
    return [found.state for found in judged(comparison, *rules)]


def test_scaling_made_it_better_and_without_it_is_worse(reference: Comparison) -> None:
    back = Comparison(reference.after, reference.before, ())
    rules = ("latency_p99 > +10%", "model_latency_mean > +10%", "error_rate > 5%", "service_time_mean > 20ms")
    assert states(reference, *rules) == ["held"] * 4
    assert states(back, *rules) == ["broken"] * 4
    assert exit_code(judged(reference, *rules)) == 0
    assert exit_code(judged(back, *rules)) == 1
    assert exit_code([]) == 0


def test_every_metric_is_read_off_two_runs_and_is_json(reference: Comparison) -> None:
    limit = {"ms": "1ms", "ratio": "1%", "rps": "1"}
    for metric in METRICS:
        for found in judged(reference, f"{metric} > +10%", f"{metric} < {limit[unit(metric)]}"):
            assert found.difference.after.value is not None or found.why
            assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["rule"] == str(found.rule)


def test_what_is_told_of_a_rule_is_what_summary_json_has(reference: Comparison) -> None:
    (found,) = judged(reference, "latency_p99 > +10%")
    before, after = (side.summary.as_dict() for side in reference.sides)
    told = found.as_dict()
    assert (told["before"], told["after"]) == (before["latency_ms"]["p99"], after["latency_ms"]["p99"])
    assert (told["fails_if"], told["limit"], told["against"], told["state"]) == ("above", 0.1, "before", "held")
    assert told["change"] == pytest.approx(told["after"] / told["before"] - 1, abs=1e-4)


def test_phases_that_are_not_judged_do_not_count(tmp_path: Path) -> None:
    phases = (Phase("cold", 30, 10, judge=False), Phase("flat", 60, 10))
    slow = played(tmp_path, phases, lambda at: (UNAVAILABLE, 0.002) if at < 20 else (OK, 0.01))
    found = Comparison.of(played(tmp_path, phases), slow)
    assert states(found, "error_rate > 1%", "latency_mean > +50%") == ["held", "held"]


def test_a_run_that_is_not_valid_tells_nothing_to_the_rules_that_read_it(tmp_path: Path) -> None:
    late, good = played(tmp_path, FLAT, late=lambda at: 0.1), played(tmp_path, FLAT)
    rules = ("latency_p99 > +10%", "latency_p99 > 300ms")
    assert states(Comparison.of(late, good), *rules) == ["cannot be told", "held"]
    after = judged(Comparison.of(good, late), *rules)
    assert [found.state for found in after] == ["cannot be told"] * 2
    assert after[0].why.startswith("AFTER is not valid (")
    assert exit_code(after) == 1


def test_what_was_not_measured_cannot_be_told(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    found = judged(Comparison.of(run, run), "model_latency_p99 > +10%", "capacity < -5%")
    assert [each.why for each in found] == [
        "BEFORE was not watched",
        "BEFORE has no capacity: there is no slo to hold a rate against",
    ]
    nothing = played(tmp_path, FLAT, lambda at: "max_in_flight")
    assert states(Comparison.of(run, nothing), "latency_p99 > 1s") == ["cannot be told"]


def test_model_latency_of_a_part_of_the_requests_cannot_be_told(tmp_path: Path) -> None:
    whole = watch(played(tmp_path, FLAT))
    part = watch(played(tmp_path, FLAT))
    lines = (part.folder / "cloudwatch.csv").read_text().splitlines()
    changed = [line.replace("600", "100") if ",ModelLatency,SampleCount," in line else line for line in lines]
    assert changed != lines
    (part.folder / "cloudwatch.csv").write_text("\n".join(changed) + "\n")
    (found,) = judged(Comparison.of(whole, Run.open(part.folder)), "model_latency_mean > +10%")
    assert found.state == "cannot be told"
    assert found.why == "CloudWatch measured only 200 of 1,200 requests of AFTER"


@pytest.mark.parametrize(
    ("parts", "limits", "why"),
    [
        ({"instances": None}, {}, "one capacity is of one instance and the other of the endpoint"),
        ({}, {"latency_mean": 0.1}, "the runs were held to different SLOs"),
        ({"refused": "it changed", "max_rps": None}, {}, "AFTER has no capacity: it changed"),
    ],
)
def test_capacities_of_different_things_cannot_be_compared(
    reference: Comparison, parts: dict[str, Any], limits: dict[str, float], why: str
) -> None:
    capacity = Capacity("ramp", 400.0, 390.0, 410.0, True, "latency_mean", 420.0, 1.0)
    before = Side(replace(reference.before.summary, capacity=capacity))
    after = Side(
        replace(
            reference.after.summary,
            capacity=replace(capacity, **parts),
            limits=limits or reference.after.summary.limits,
        )
    )
    (found,) = judged(Comparison(before, after, ()), "capacity < -5%")
    assert (found.state, found.why) == ("cannot be told", why)
