"""Where InvokeEndpoint goes and who signs it: botocore's own resolution, and nobody but botocore's credentials.

It is never sent by boto3 and never retried: sending it is the load's, and so is signing it (`load/sigv4`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sm_locust.aws.session import boto3_session, keys_of_its_own, session_and_region, short, without_secrets
from sm_locust.config import ConfigError, RunConfig

SHORT_WINDOW = 0.6  # of a session's life, before its end, in which its source is asked for another


class Keys(NamedTuple):
    """Credentials as they are at one moment.

    expires_at  Unix seconds; None where nobody says
    """

    access_key: str
    secret_key: str
    token: str | None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r})"


@dataclass(frozen=True, slots=True)
class Runtime:
    """SageMaker Runtime as botocore would call it.

    url        the endpoint that botocore's resolver, the environment or the configuration names
    region     for the signature
    ca_bundle  file of the certificate authorities to trust; None for the default ones
    proxy      URL of the proxy that the environment names for `url`; None for none
    source     where the credentials come from, as botocore calls it: `env`, `custom-process`, `assume-role`
    renews     whether the source gives new credentials before the old ones expire
    starts_a_process  whether asking the source may start a program
    """

    url: str
    region: str
    ca_bundle: str | None
    proxy: str | None = field(repr=False)  # it may hold a password
    source: str
    renews: bool
    starts_a_process: bool
    _credentials: Any = field(repr=False)  # botocore's, which renews itself when asked

    def keys(self) -> Keys:
        """Today's keys. May take a while when botocore has to renew them: never call it where a request waits.

        The source is asked in the last 15 minutes of the keys' life, or the last 60% of a short one. What it raises is
        raised only in the last 10 minutes, or in all of the 60%.
        """
        frozen = self._credentials.get_frozen_credentials()
        # botocore tells nobody when its credentials expire; those that never do have no such attribute.
        expires = getattr(self._credentials, "_expiry_time", None)
        return Keys(
            frozen.access_key, frozen.secret_key, frozen.token, None if expires is None else expires.timestamp()
        )


def runtime_url(config: RunConfig) -> str:
    """The address that InvokeEndpoint would be sent to. Raises ConfigError when it has no region."""
    return str(_client(config, *session_and_region(config)).meta.endpoint_url)


def runtime_urls(config: RunConfig) -> tuple[str, ...]:
    """That address, where the load goes there: a run through an API, or to a container, has nothing to do with it."""
    target = config.target
    direct = target is not None and target.api_gateway is None and target.container is None
    return (runtime_url(config),) if direct else ()


def runtime(config: RunConfig) -> Runtime:
    """Resolves region, address, proxy, certificate authorities and credentials.

    Raises ConfigError, in one sentence, when there is no region or there are no credentials.
    """
    from botocore.utils import get_environ_proxies

    session, region = session_and_region(config)
    try:
        credentials = session.get_credentials()
        if credentials is not None:
            _leave_in_peace(credentials)  # a program has been asked by now, a role has not
            credentials.get_frozen_credentials()
            _leave_in_peace(credentials)
    except Exception as e:  # a source raises BotoCoreError, OSError, ValueError, RuntimeError, …
        raise ConfigError(f"no AWS credentials could be had: {short(str(e)) or type(e).__name__}") from None
    url = str(_client(config, session, region).meta.endpoint_url)
    if credentials is None:
        raise ConfigError(
            "no AWS credentials were found: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            f"or any other source that the AWS CLI accepts{keys_of_its_own(url)}"
        )
    source = str(credentials.method)
    profiles, profile = session._session.full_config.get("profiles", {}), session.profile_name
    return Runtime(
        url,
        region,
        session._session.get_config_variable("ca_bundle") or None,
        get_environ_proxies(url).get(urlsplit(url).scheme),
        source,
        _renews(source, profiles.get(profile, {})),
        _starts_a_process(profiles, profile),
        credentials,
    )


def _leave_in_peace(credentials: Any) -> None:
    """Has the source of short sessions asked once for each.

    botocore asks it in the last 15 minutes of a session: if none lasts longer, for every call that is signed.
    """
    expires = getattr(credentials, "_expiry_time", None)
    if expires is None or "_advisory_refresh_timeout" in vars(credentials):
        return
    window = (expires.timestamp() - time.time()) * SHORT_WINDOW
    if window < credentials._advisory_refresh_timeout:
        credentials._advisory_refresh_timeout = credentials._mandatory_refresh_timeout = window


def _renews(source: str, profile: Mapping[str, Any]) -> bool:
    """Variables stay as they were when the process began, and a code of MFA is good for one session."""
    return source != "env" and not (source == "assume-role" and "mfa_serial" in profile)


def _starts_a_process(profiles: Mapping[str, Any], name: str) -> bool:
    """Whether a profile, or one that it takes its keys from, has a `credential_process`."""
    seen: set[str] = set()
    while name in profiles and name not in seen:
        if "credential_process" in profiles[name]:
            return True
        seen.add(name)
        name = profiles[name].get("source_profile", "")
    return False


def warm() -> None:
    """Loads what the first call would load, a tenth of a second or two: for a process that will soon be in a hurry."""
    from botocore.exceptions import BotoCoreError

    with contextlib.suppress(BotoCoreError, ConfigError):
        _client(RunConfig(), boto3_session(), "us-east-1")


def _client(config: RunConfig, session: Any, region: str) -> Any:
    from botocore.exceptions import BotoCoreError

    url = config.target.url if config.target else None
    try:
        return session.client("sagemaker-runtime", region_name=region, endpoint_url=url)
    except (BotoCoreError, OSError, RuntimeError, ValueError) as e:
        raise ConfigError(f"SageMaker Runtime cannot be addressed: {without_secrets(e)}") from None
