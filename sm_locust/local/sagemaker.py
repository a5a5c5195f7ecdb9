"""SageMaker's control plane, as far as there is one endpoint: describing, listing, resizing and deleting it.

The one endpoint has one variant and one configuration, which bears the endpoint's name. What a new count does, and
for how long the endpoint is Updating, is the fleet's; other states are `state.py`'s. Deleting is done at once: its
configuration stays, what was registered to scale it goes.
"""

from __future__ import annotations

from typing import Any

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.errors import AwsError
from sm_locust.local.fleet import Fleet
from sm_locust.local.paging import page
from sm_locust.local.settings import ACCOUNT, MOST_INSTANCES, Settings
from sm_locust.local.shapes import invalid
from sm_locust.local.state import IN_PROGRESS, EndpointState

_PAGE = 10
_ROUTING = {"random": "RANDOM", "least-outstanding": "LEAST_OUTSTANDING_REQUESTS"}
_FAILED = ("Failed", "UpdateRollbackFailed")

Members = dict[str, Any]


class SageMaker:
    """`operations` by name: each takes a request's parameters and the time, and gives the members of its answer."""

    def __init__(self, settings: Settings, fleet: Fleet, state: EndpointState, autoscaling: AutoScaling) -> None:
        self._settings = settings
        self._fleet = fleet
        self._state = state
        self._autoscaling = autoscaling
        self._weight = 1.0
        self.operations = {
            "DeleteEndpoint": self._delete_endpoint,
            "DescribeEndpoint": self._describe_endpoint,
            "DescribeEndpointConfig": self._describe_endpoint_config,
            "ListEndpoints": self._list_endpoints,
            "UpdateEndpointWeightsAndCapacities": self._update_endpoint_weights_and_capacities,
        }

    def _arn(self, kind: str, name: str) -> str:
        # SageMaker's ARNs are in lower case whatever the name.
        return f"arn:aws:sagemaker:{self._settings.region}:{ACCOUNT}:{kind}/{name.lower()}"

    def _delete_endpoint(self, parameters: Members, now: float) -> Members:
        self._check(parameters["EndpointName"])
        self._check_settled()
        self._state.deleted = True
        self._autoscaling.endpoint_deleted()
        return {}

    def _check_settled(self) -> None:
        if self._state.status in IN_PROGRESS:
            raise invalid(f'Cannot update in-progress endpoint "{self._arn("endpoint", self._settings.endpoint)}".')

    def _describe_endpoint(self, parameters: Members, now: float) -> Members:
        self._check(parameters["EndpointName"])
        variant = {
            "VariantName": self._settings.variant,
            "CurrentWeight": self._weight,
            "DesiredWeight": self._weight,
            "CurrentInstanceCount": self._fleet.in_service,
            "DesiredInstanceCount": self._fleet.desired,
        }
        return {
            **self._summary(),
            "EndpointConfigName": self._settings.endpoint,
            "ProductionVariants": [variant],
            "FailureReason": "The state was ordered." if self._state.status in _FAILED else None,
        }

    def _describe_endpoint_config(self, parameters: Members, now: float) -> Members:
        name = parameters["EndpointConfigName"]
        arn = self._arn("endpoint-config", name)
        if name != self._settings.endpoint:
            raise invalid(f'Could not find endpoint configuration "{arn}".')
        variant = {
            "VariantName": self._settings.variant,
            # Models are their inference component's where there is one.
            "ModelName": self._settings.endpoint if self._settings.inference_component is None else None,
            "InitialInstanceCount": self._settings.instances,
            "InstanceType": self._settings.instance_type,
            "InitialVariantWeight": 1.0,
            "RoutingConfig": {"RoutingStrategy": _ROUTING[self._settings.routing]},
        }
        return {
            "EndpointConfigName": name,
            "EndpointConfigArn": arn,
            "ProductionVariants": [variant],
            "CreationTime": self._fleet.created_at,
        }

    def _list_endpoints(self, parameters: Members, now: float) -> Members:
        endpoints = [self._summary()] if self._is_listed(parameters) else []
        endpoints, token = page(
            endpoints,
            lambda endpoint: str(endpoint["EndpointName"]),
            parameters.get("MaxResults", _PAGE),
            parameters,
            "ValidationException",
        )
        return {"Endpoints": endpoints, "NextToken": token}

    def _is_listed(self, parameters: Members) -> bool:
        fleet, state, never, always = self._fleet, self._state, float("-inf"), float("inf")
        return (
            not state.deleted
            and parameters.get("NameContains", "").lower() in self._settings.endpoint.lower()
            and parameters.get("StatusEquals", state.status) == state.status
            and parameters.get("CreationTimeAfter", never) < fleet.created_at
            and fleet.created_at < parameters.get("CreationTimeBefore", always)
            and parameters.get("LastModifiedTimeAfter", never) < state.modified_at
            and state.modified_at < parameters.get("LastModifiedTimeBefore", always)
        )

    def _update_endpoint_weights_and_capacities(self, parameters: Members, now: float) -> Members:
        self._check(parameters["EndpointName"])
        arn = self._arn("endpoint", self._settings.endpoint)
        self._check_settled()
        for wanted in parameters["DesiredWeightsAndCapacities"]:
            if wanted["VariantName"] != self._settings.variant:
                raise invalid(
                    f'The variant name(s) "{wanted["VariantName"]}" is/are not present within endpoint "{arn}".'
                )
            instances = wanted.get("DesiredInstanceCount", self._fleet.desired)
            if instances < 1:
                raise invalid(
                    f"DesiredInstanceCount {instances}: must be at least 1 for variant {self._settings.variant}."
                )
            if instances > MOST_INSTANCES:
                limit = f"{self._settings.instance_type} for endpoint usage' is {MOST_INSTANCES} Instances"
                message = f"The account-level service limit '{limit}, with a request of {instances} Instances."
                raise AwsError(400, "ResourceLimitExceeded", {"Message": message})
        for wanted in parameters["DesiredWeightsAndCapacities"]:
            self._weight = wanted.get("DesiredWeight", self._weight)
            self._fleet.set_desired(wanted.get("DesiredInstanceCount", self._fleet.desired), now)
        return {"EndpointArn": arn}

    def _check(self, endpoint: str) -> None:
        if endpoint != self._settings.endpoint or self._state.deleted:
            raise invalid(f'Could not find endpoint "{self._arn("endpoint", endpoint)}".')

    def _summary(self) -> Members:
        return {
            "EndpointName": self._settings.endpoint,
            "EndpointArn": self._arn("endpoint", self._settings.endpoint),
            "CreationTime": self._fleet.created_at,
            "LastModifiedTime": self._state.modified_at,
            "EndpointStatus": self._state.status,
        }
