"""AWS signatures for the `requests` sessions of Locust's HttpUser: `self.client.auth = requests_auth("execute-api")`.

requests-aws4auth signs, botocore's own credential chain gives the keys and renews them. Users of ours sign with sigv4,
at a tenth of the price.
"""

from __future__ import annotations

import functools
from typing import Any

from requests_aws4auth import AWS4Auth

from sm_locust.aws.runtime import Keys, runtime
from sm_locust.config import RunConfig
from sm_locust.load.credentials import Renewal


def requests_auth(service: str = "sagemaker", region: str | None = None) -> AWS4Auth:
    """An auth object for a session of `requests`, which any number of users may share.

    service  the signing name: `sagemaker` for InvokeEndpoint, `execute-api` for API Gateway
    region   None takes the one that the environment or the AWS configuration names

    Raises ConfigError, in one sentence, when there is no region or there are no credentials. Keys that expire are
    renewed in good time, one request at a time waiting for it: `load/credentials` says how often.
    """
    return _Auth(service, *_source(region))


@functools.cache
def _source(region: str | None) -> tuple[Renewal, str]:
    """The keys and the region: one a process for each region, since every user of a run may ask."""
    target = {"endpoint": "any", **({} if region is None else {"region": region})}
    found = runtime(RunConfig.from_dict({"target": target}, "requests_auth"))
    return Renewal(found.keys, found.source), found.region


class _Chain:
    """The credentials, as far as requests-aws4auth uses botocore's."""

    def __init__(self, renewal: Renewal) -> None:
        self._renewal = renewal

    def get_frozen_credentials(self) -> Keys:
        return self._renewal.current()


class _Auth(AWS4Auth):  # type: ignore[misc]
    def __init__(self, service: str, renewal: Renewal, region: str) -> None:
        super().__init__(refreshable_credentials=_Chain(renewal), region=region, service=service)

    def __call__(self, request: Any) -> Any:
        # Left to itself it would sign none of SageMaker's own headers. The set only grows: it may be shared.
        self.include_hdrs |= {name.lower() for name in request.headers if name.lower().startswith("x-amzn-")}
        return super().__call__(request)
