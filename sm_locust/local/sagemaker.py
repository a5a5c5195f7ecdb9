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

    def _delete_endpoint(self, parameters: Members, now: float) -> Members:
        self._check(parameters["EndpointName"])
        self._check_settled()
        self._state.deleted = True
        self._autoscaling.endpoint_deleted()
        return {}

    def _check_settled(self) -> None:
        if self._state.status in IN_PROGRESS:
            raise invalid(
                f'Cannot update in-progress endpoint "{arn(self._settings, "endpoint", self._settings.endpoint)}".'
            )

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
        config_arn = arn(self._settings, "endpoint-config", name)
        if name != self._settings.endpoint:
            raise invalid(f'Could not find endpoint configuration "{config_arn}".')
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
            "EndpointConfigArn": config_arn,
            "ProductionVariants": [variant],
            "CreationTime": self._fleet.created_at,
        }

    def _list_endpoints(self, parameters: Members, now: float) -> Members:
        return listed("Endpoint", [] if self._state.deleted else [self._summary()], parameters)

    def _update_endpoint_weights_and_capacities(self, parameters: Members, now: float) -> Members:
        self._check(parameters["EndpointName"])
        endpoint_arn = arn(self._settings, "endpoint", self._settings.endpoint)
        self._check_settled()
        for wanted in parameters["DesiredWeightsAndCapacities"]:
            if wanted["VariantName"] != self._settings.variant:
                named = wanted["VariantName"]
                raise invalid(f'The variant name(s) "{named}" is/are not present within endpoint "{endpoint_arn}".')
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
        return {"EndpointArn": endpoint_arn}

    def _check(self, endpoint: str) -> None:
        if endpoint != self._settings.endpoint or self._state.deleted:
            raise invalid(f'Could not find endpoint "{arn(self._settings, "endpoint", endpoint)}".')

    def _summary(self) -> Members:
        return {
            "EndpointName": self._settings.endpoint,
            "EndpointArn": arn(self._settings, "endpoint", self._settings.endpoint),
            "CreationTime": self._fleet.created_at,
            "LastModifiedTime": self._state.modified_at,
            "EndpointStatus": self._state.status,
        }


def arn(settings: Settings, kind: str, name: str) -> str:
    """In lower case whatever the name, as SageMaker's are."""
    return f"arn:aws:sagemaker:{settings.region}:{ACCOUNT}:{kind}/{name.lower()}"


def listed(kind: str, summaries: list[Members], parameters: Members) -> Members:
    """The page that List…s asks for, of what has summaries; `kind` is what their names and states begin with."""
    name, status, never, always = f"{kind}Name", f"{kind}Status", float("-inf"), float("inf")
    wanted = [
        each
        for each in summaries
        if parameters.get("NameContains", "").lower() in each[name].lower()
        and parameters.get("StatusEquals", each[status]) == each[status]
        and parameters.get("CreationTimeAfter", never) < each["CreationTime"]
        and each["CreationTime"] < parameters.get("CreationTimeBefore", always)
        and parameters.get("LastModifiedTimeAfter", never) < each["LastModifiedTime"]
        and each["LastModifiedTime"] < parameters.get("LastModifiedTimeBefore", always)
    ]
    size = parameters.get("MaxResults", _PAGE)
    wanted, token = page(wanted, lambda each: str(each[name]), size, parameters, "ValidationException")
    return {f"{kind}s": wanted, "NextToken": token}
