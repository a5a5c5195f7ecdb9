"""A run's folder is completed later: what CloudWatch still has of it comes, what has expired is said, nobody hangs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sm_locust.completion import complete
from sm_locust.record.clock import iso
from sm_locust.record.observation import Observation
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.aws.harness import asked, refused, said, scripted, somebody

NOW = 1_800_000_000.0
LASTED = 120.0
START = NOW - 3600  # on a whole minute
SUBJECT = {
    "kind": "variant",
    "label": "",
    "dimensions": {"EndpointName": "decision-trees-sample", "VariantName": "AllTraffic"},
    "ours": True,
    "live": True,
    "usual": False,
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with somebody(monkeypatch):
        yield


def run(folder: Path, url: str, *, started_at: float = START, period: str = "60s", **about: Any) -> Run:
    """Two minutes at 1 request a second, and what its master knew of CloudWatch when it ended."""
    target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url}
    made = played(folder, (Phase("flat", LASTED, 1),), config={"target": target, "cloudwatch": {"period": period}})
    made.finish(
        started_at=iso(started_at),
        cloudwatch={
            "period_s": 60.0,
            "settled": False,
            "missing": [],
            "subjects": [SUBJECT],
            "clock_offset_s": 0.0,
            **about,
        },
    )
    return made


def counted(per_period: float, period: int = 60) -> Callable[[bytes], bytes]:
    """CloudWatch with as many invocations in every period that is asked for."""

    def reply(request: bytes) -> bytes:
        parameters = asked(request)
        at = list(range(int(parameters["StartTime"]), int(parameters["EndTime"]), period))
        ids = [
            q["Id"] for q in parameters["MetricDataQueries"] if q["MetricStat"]["Metric"]["MetricName"] == "Invocations"
        ]
        results = [{"Id": i, "Timestamps": at, "Values": [per_period] * len(at), "StatusCode": "Complete"} for i in ids]
        return said({"MetricDataResults": results})

    return reply


def test_what_has_come_since_is_added_and_the_run_is_settled(tmp_path: Path) -> None:
    with scripted({"GetMetricData": counted(60.0)}) as aws:
        made = run(tmp_path, aws.url)
        made.append_observations([Observation(0.0, "AWS/SageMaker", "Invocations", "Sum", 41.0, "count")])
        told = complete(made, NOW)
        again = complete(Run.open(made.folder), NOW)
        calls = len(aws.requests)
    assert told == ["CloudWatch was asked for what was missing: 2 more points"]
    assert again == [] and calls == 1  # all of it is there
    found = Run.open(made.folder)
    assert {o.at_s: o.value for o in found.observations()} == {0.0: 60.0, 60.0: 60.0, 120.0: 60.0}
    about = found.meta["cloudwatch"]
    assert (about["settled"], about["missing"], about["asked_at"]) == (True, [], iso(NOW))


def test_a_run_that_has_just_ended_is_not_settled_yet(tmp_path: Path) -> None:
    with scripted({"GetMetricData": counted(60.0)}) as aws:
        made = run(tmp_path, aws.url, started_at=NOW - 240)
        complete(made, NOW)
    assert Run.open(made.folder).meta["cloudwatch"]["settled"] is False


def test_a_run_whose_master_was_killed_is_asked_for_by_its_ledger(tmp_path: Path) -> None:
    with scripted({"GetMetricData": counted(60.0)}) as aws:
        made = run(tmp_path, aws.url)
        del made.meta["ended_s"]
        made.finish()
        complete(Run.open(made.folder), NOW)
        (request,) = map(asked, aws.requests)
    assert (request["StartTime"], request["EndTime"]) == (START, START + LASTED + 60)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"GetMetricData": refused("AccessDenied", "no")}, "the permission it needs is cloudwatch:GetMetricData"),
        ({"GetMetricData": refused("ThrottlingException", "Rate exceeded")}, "ThrottlingException: Rate exceeded"),
    ],
)
def test_what_is_refused_again_stays_a_sentence_and_is_tried_once(answers: Any, says: str, tmp_path: Path) -> None:
    with scripted(answers) as aws:
        before = "CloudWatch GetMetricData was refused: an older word"
        made = run(tmp_path, aws.url, missing=[before, "activities could not be read"])
        told = complete(made, NOW)
        assert len(aws.requests) == 1
    about = Run.open(made.folder).meta["cloudwatch"]
    assert any(says in sentence for sentence in told)
    assert about["settled"] is False
    assert before not in about["missing"] and "activities could not be read" in about["missing"]
    assert any(says in sentence for sentence in about["missing"])


def test_an_aws_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """One, and the folder keeps what it knew: that nobody is reached today is no news of the run."""
    made = run(tmp_path, "http://127.0.0.1:9", missing=["CloudWatch GetMetricData was refused: AccessDenied"])
    before = (made.folder / "run.json").read_bytes()
    begun = time.monotonic()
    (told,) = complete(made, NOW)
    assert told.startswith("CloudWatch was not asked for what is missing: CloudWatch GetMetricData was not answered")
    assert time.monotonic() - begun < 30
    assert (made.folder / "run.json").read_bytes() == before


def test_without_credentials_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with scripted({}) as aws:
        (told,) = complete(run(tmp_path, aws.url), NOW)
        assert aws.requests == []
    assert told.startswith("CloudWatch was not asked for what is missing:") and "credentials" in told


@pytest.mark.parametrize(
    ("period", "age", "says"),
    [
        (
            "10s",
            4 * 3600.0,
            "CloudWatch keeps points of 10 s for 3h: those of this run, which ended at 2027-01-15 04:02 UTC,",
        ),
        ("60s", 16 * 86400.0, "CloudWatch keeps points of 60 s for 15 days: those of this run"),
        ("5m", 64 * 86400.0, "CloudWatch keeps points of 300 s for 63 days: those of this run"),
        ("6m", 16 * 86400.0, "CloudWatch keeps points of 360 s for 15 days: those of this run"),  # no multiple of 300
    ],
)
def test_what_has_expired_is_said_and_not_asked_for(period: str, age: float, says: str, tmp_path: Path) -> None:
    with scripted({}) as aws:
        made = run(tmp_path, aws.url, started_at=NOW - age, period=period)
        (told,) = complete(made, NOW)
        assert aws.requests == []
    assert told.startswith(says) and told.endswith("have expired")
    assert told in Run.open(made.folder).meta["cloudwatch"]["missing"]


def test_what_has_expired_in_part_is_asked_for_and_said(tmp_path: Path) -> None:
    with scripted({"GetMetricData": counted(10.0, 10)}) as aws:
        told = complete(run(tmp_path, aws.url, started_at=NOW - 3 * 3600 - 60, period="10s"), NOW)
        assert len(aws.requests) == 1
    assert told[-1] == (
        "still missing: CloudWatch keeps points of 10 s for 3h: those before 2027-01-15 05:00 UTC have expired"
    )


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_whose_own_process_may_be_at_it_is_left_alone(ended: bool, tmp_path: Path) -> None:
    """It goes on, or waits for CloudWatch: either way it has not said yet what it knows of CloudWatch."""
    with scripted({"GetMetricData": counted(60.0)}) as aws:
        made = run(tmp_path, aws.url)
        del made.meta["cloudwatch"]
        if not ended:
            del made.meta["ended_s"]
        made.finish()
        before = (made.folder / "run.json").read_bytes()
        written = (made.folder / "intervals.jsonl").stat().st_mtime
        (told,) = complete(Run.open(made.folder), written + 400)
        assert aws.requests == [] and (made.folder / "run.json").read_bytes() == before
        assert told.startswith("CloudWatch is not asked: up to") and told.endswith("the run's own process may be at it")
        complete(Run.open(made.folder), written + 500)
        assert aws.requests != []


def test_names_that_nobody_could_tell_are_asked_for_again(tmp_path: Path) -> None:
    """The run was denied API Gateway, and knew the API by its usual name alone."""
    lacks = "the name of the API abc123 is unknown: API Gateway GetRestApi was refused: AccessDenied"
    described = said({"EndpointStatus": "InService", "ProductionVariants": [{"VariantName": "AllTraffic"}]})
    guess = {"kind": "api", "label": "DecisionTreeAPI/x", "dimensions": {"ApiName": "DecisionTreeAPI"}, "usual": True}
    with scripted({"GetMetricData": counted(60.0), "DescribeEndpoint": described}) as aws:
        made = run(
            tmp_path,
            aws.url,
            settled=True,
            subjects=[SUBJECT, {"ours": False, "live": False, **guess}],
            unknown=[lacks],
            missing=[lacks, "activities could not be read"],
        )
        complete(made, NOW)
        assert complete(Run.open(made.folder), NOW) == []  # nothing is unknown any more
    about = Run.open(made.folder).meta["cloudwatch"]
    assert about["missing"] == ["activities could not be read"]
    assert [subject["label"] for subject in about["subjects"]] == [""]


def test_what_only_scaling_did_not_say_is_no_reason_to_ask(tmp_path: Path) -> None:
    made = run(tmp_path, "http://127.0.0.1:9", settled=True, missing=["Application Auto Scaling was refused"])
    assert complete(made, NOW) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"config": {"target": {"container": "http://127.0.0.1:1/invocations"}}},
        {"config": {}},
        {"started_at": "long ago"},
        {"cloudwatch": {"period_s": 60.0, "settled": True, "missing": []}},
    ],
)
def test_where_nothing_is_owed_nothing_is_said(changed: dict[str, Any], tmp_path: Path) -> None:
    made = run(tmp_path, "http://127.0.0.1:9")
    made.finish(**changed)
    assert complete(made, NOW) == []
