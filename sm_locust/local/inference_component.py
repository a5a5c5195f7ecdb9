"""SageMaker's operations on inference components, of which the endpoint hosts one or none, as the settings say.

An instance holds one copy of it, so its copies are the fleet's instances: they come and go as those do, and one is
always left where AWS could have none. It cannot be created, updated otherwise or deleted, and its specification is not
told; it goes when the endpoint is deleted.
"""

from __future__ import annotations

from typing import Any

from sm_locust.local.errors import AwsError
from sm_locust.local.fleet import UPDATING, Fleet
from sm_locust.local.sagemaker import arn, listed
from sm_locust.local.settings import MOST_INSTANCES, Settings
from sm_locust.local.shapes import invalid
from sm_locust.local.state import EndpointState

Members = dict[str, Any]


class InferenceComponents:
    """`operations` by name: each takes a request's parameters and the time, and gives the members of its answer."""

    def __init__(self, settings: Settings, fleet: Fleet, state: EndpointState) -> None:
        self._settings = settings
        self._fleet = fleet
        self._state = state
        self.operations = {
            "DescribeInferenceComponent": self._describe,
            "ListInferenceComponents": self._list,
            "UpdateInferenceComponentRuntimeConfig": self._update_runtime_config,
        }

    def _describe(self, parameters: Members, now: float) -> Members:
        name = self._check(parameters)
        copies = {"DesiredCopyCount": self._fleet.desired, "CurrentCopyCount": self._fleet.in_service}
        return {**self._summary(name), "RuntimeConfig": copies}

    def _list(self, parameters: Members, now: float) -> Members:
        name = self._settings.inference_component
        there = [] if name is None or self._state.deleted else [self._summary(name)]
        asked = [
            each
            for each in there
            if parameters.get("EndpointNameEquals", each["EndpointName"]) == each["EndpointName"]
            and parameters.get("VariantNameEquals", each["VariantName"]) == each["VariantName"]
        ]
        return listed("InferenceComponent", asked, parameters)

    def _update_runtime_config(self, parameters: Members, now: float) -> Members:
        name = self._check(parameters)
        component_arn = arn(self._settings, "inference-component", name)
        copies = parameters["DesiredRuntimeConfig"]["CopyCount"]
        if self._fleet.status == UPDATING:
            raise invalid(f'Cannot update in-progress inference component "{component_arn}".')
        if copies < 1:
            raise invalid(f"CopyCount {copies}: the local endpoint keeps at least 1 copy of {name}.")
        if copies > MOST_INSTANCES:
            message = f"The local endpoint has room for {MOST_INSTANCES} copies, with a request of {copies}."
            raise AwsError(400, "ResourceLimitExceeded", {"Message": message})
        self._fleet.set_desired(copies, now)
        return {"InferenceComponentArn": component_arn}

    def _check(self, parameters: Members) -> str:
        name = parameters["InferenceComponentName"]
        if name != self._settings.inference_component or self._state.deleted:
            raise invalid(f'Could not find inference component "{arn(self._settings, "inference-component", name)}".')
        return str(name)

    def _summary(self, name: str) -> Members:
        return {
            "InferenceComponentName": name,
            "InferenceComponentArn": arn(self._settings, "inference-component", name),
            "EndpointName": self._settings.endpoint,
            "EndpointArn": arn(self._settings, "endpoint", self._settings.endpoint),
            "VariantName": self._settings.variant,
            "CreationTime": self._fleet.created_at,
            "LastModifiedTime": self._fleet.modified_at,
            "InferenceComponentStatus": self._fleet.status,
        }
