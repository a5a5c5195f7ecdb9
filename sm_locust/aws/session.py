"""Where the AWS calls of a run go and who signs them: botocore's own credential chain and endpoint resolution.

boto3 is imported when first needed, and only in `aws/`: it must come after locust, which patches ssl. Signing itself is
`load/sigv4`'s.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sm_locust.config import ConfigError, RunConfig, Target


class Keys(NamedTuple):
    """Credentials as they are at one moment."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r})"


@dataclass(frozen=True, slots=True)
class Runtime:
    """SageMaker Runtime as botocore would call it.

    url        the endpoint that botocore's resolver, the environment or the configuration names
    region     for the signature
    ca_bundle  file of the certificate authorities to trust; None for the default ones
    proxy      URL of the proxy that the environment names for `url`; None for none
    """

    url: str
    region: str
    ca_bundle: str | None
    proxy: str | None
    _credentials: Any  # botocore's, which renews itself when asked

    def keys(self) -> Keys:
        """Today's keys. May take a while when botocore has to renew them: never call it where a request waits."""
        frozen = self._credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)


def runtime_url(config: RunConfig) -> str:
    """The address that InvokeEndpoint would be sent to. Raises ConfigError when it has no region."""
    return str(_client(_session(config)[0], config).meta.endpoint_url)


def runtime(config: RunConfig) -> Runtime:
    """Resolves region, address, proxy, certificate authorities and credentials.

    Raises ConfigError, in one sentence, when there is no region or there are no credentials.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.utils import get_environ_proxies

    session, region = _session(config)
    client = _client(session, config)
    url = str(client.meta.endpoint_url)
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise ConfigError(
                "no AWS credentials were found: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or any other source that the AWS CLI accepts"
            )
        found = Runtime(
            url,
            region,
            session._session.get_config_variable("ca_bundle") or None,
            get_environ_proxies(url).get(urlsplit(url).scheme),
            credentials,
        )
        found.keys()
    except BotoCoreError as e:
        raise ConfigError(f"no AWS credentials could be had: {e}") from None
    return found


def warm() -> None:
    """Loads what the first call would load, a tenth of a second or two: for a process that will soon be in a hurry."""
    from botocore.exceptions import BotoCoreError

    with contextlib.suppress(BotoCoreError, ConfigError):
        _client(_boto3_session(), RunConfig(target=Target(endpoint="any", region="us-east-1")))


@functools.cache
def _boto3_session() -> Any:
    """One a process: it keeps the service models it has read."""
    import boto3

    return boto3.session.Session()


def _session(config: RunConfig) -> tuple[Any, str]:
    from botocore.exceptions import BotoCoreError

    try:
        session = _boto3_session()
        region = (config.target.region if config.target else None) or session.region_name
    except BotoCoreError as e:  # AWS_PROFILE names a profile that is not there
        raise ConfigError(f"the AWS configuration cannot be used: {e}") from None
    if not region:
        raise ConfigError("no AWS region is set: give --sm-region NAME, target.region or AWS_DEFAULT_REGION")
    return session, region


def _client(session: Any, config: RunConfig) -> Any:
    from botocore.exceptions import BotoCoreError

    target = config.target
    try:
        return session.client(
            "sagemaker-runtime",
            region_name=(target.region if target else None) or session.region_name,
            endpoint_url=target.url if target else None,
        )
    except (BotoCoreError, ValueError) as e:
        raise ConfigError(f"SageMaker Runtime cannot be addressed: {e}") from None
