"""Whose scaling a record is of: the same endpoint by whichever way, and no other of the same name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust import custody
from sm_locust.aws.scaling import ScalingState
from sm_locust.config import ConfigError, RunConfig
from sm_locust.record.prior import APPLIED, EXPERIMENT, Prior, PriorError
from tests.fuzzing import damaged, examples, spoilt

RESOURCE = "endpoint/trees/variant/AllTraffic"
STATE = ScalingState(RESOURCE, "d", None, (), (), 1, None, "arn:aws:sagemaker:us-east-1:123456789012:endpoint/trees")
AN_API = {"api_gateway": "https://abc.execute-api.us-east-1.amazonaws.com/p/r", "auth": "iam"}
DIRECT = {"region": "us-east-1"}
HERE = {"url": "http://127.0.0.1:8500"}
AN_API_HERE = {"api_gateway": "http://127.0.0.1:8500/production/InvokeDecisionTreeSMEP", "auth": "none"}
BESIDE = {"url": "http://127.0.0.1:8600"}


def taken(path: Path, target: dict[str, Any]) -> Prior:
    record = custody.take(path, RunConfig.from_dict({"target": {"endpoint": "trees", **target}}), STATE, 1)
    record.release()
    return record


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        (AN_API, DIRECT, True),
        (DIRECT, AN_API, True),
        (HERE, AN_API_HERE, True),
        (HERE, BESIDE, False),
        (HERE, DIRECT, False),
        (DIRECT, BESIDE, False),
    ],
)
def test_what_is_owed_is_owed_by_whichever_way_it_is_reached(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], same: bool
) -> None:
    taken(tmp_path / "experiment-1" / EXPERIMENT, first)
    if same:
        with pytest.raises(PriorError, match=f"scaling of {RESOURCE} is not as it was before"):
            taken(tmp_path / "scaling-1" / APPLIED, then)
    else:
        taken(tmp_path / "scaling-1" / APPLIED, then)


@pytest.mark.parametrize(("then", "same"), [(AN_API_HERE, True), (BESIDE, False)])
def test_a_later_record_is_in_the_way_of_one_of_the_same_alone(
    tmp_path: Path, then: dict[str, Any], same: bool
) -> None:
    first = taken(tmp_path / "scaling-1" / APPLIED, HERE)
    first.write(kept=True)
    taken(tmp_path / "scaling-2" / APPLIED, then)
    if same:
        with pytest.raises(PriorError, match="changed scaling of endpoint/trees/variant/AllTraffic later"):
            custody.refuse_out_of_order(first)
    else:
        custody.refuse_out_of_order(first)


RECORD = {
    "schema_version": 1,
    "at": "2026-01-01T00:00:00Z",
    "resource_id": RESOURCE,
    "arn": STATE.arn,
    "config": {"target": {"endpoint": "trees", **DIRECT, **HERE}},
    "speed": 60,
    "scaling_before": STATE.as_dict()
    | {
        "target": {"MinCapacity": 1, "MaxCapacity": 3, "SuspendedState": {}},
        "policies": [{"PolicyName": "p", "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 1.0}}],
        "scheduled_actions": [{"ScheduledActionName": "s", "ScalableTargetAction": {"MinCapacity": 1}}],
    },
    "registered_by_us": True,
    "stages": [{"stage": "before", "at": "2026-01-01T00:00:00Z"}],
    "locust": ["-L"],
    "replace": True,
    "not_restored": "",
}


@examples(80)
@given(
    damaged(RECORD).map(lambda found: json.dumps(found).encode()).flatmap(lambda whole: st.just(whole) | spoilt(whole))
)
def test_a_damaged_record_is_acted_upon_as_a_whole_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, found: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged" / "experiment-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXPERIMENT).write_bytes(found)
    try:
        record = Prior.open(folder)
        custody.refuse_out_of_order(record)
        assert record.stages is not None and custody.state_of(record).as_dict() and custody.config_of(record)
    except (PriorError, ConfigError) as error:
        assert "\n" not in str(error) and len(str(error)) < 1_000
