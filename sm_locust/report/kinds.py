"""What each kind of failure means and what to do about it: the words for `record.outcome`'s names.

What is to be done depends on where requests went: to SageMaker, through an API Gateway, or to a server of one's own.
Which answer is of which kind is the invoker's decision; what the first one of a kind said is shown beside these words.
Sources: SageMaker Runtime API Reference, InvokeEndpoint, Errors; AWS's common errors; API Gateway Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sm_locust.record import outcome

Way = Literal["sagemaker", "api_gateway", "other"]


@dataclass(frozen=True, slots=True)
class Words:
    """means  what happened, seen from the target
    do     what a user can do about it
    """

    means: str
    do: str

    def __str__(self) -> str:
        return f"{self.means}; {self.do}"


_UNKNOWN = Words("a kind that this version has no words for", "see what the first one said")

_BY_KIND = {
    outcome.THROTTLED: Words(
        "a limit refused the request: a quota of the account",
        "plan less load, or ask AWS for a higher quota",
    ),
    outcome.MODEL_ERROR: Words(
        "the model's container answered with an error, or not in time",
        "read the container's log of that moment; if errors begin with the load, add instances",
    ),
    outcome.NOT_READY: Words(
        "the model was not loaded yet, or was being updated",
        "begin once the endpoint is InService, or warm it up in a phase with judge: false",
    ),
    outcome.UNAVAILABLE: Words(
        "the endpoint had no room for the request",
        "add instances or automatic scaling, or plan less load",
    ),
    outcome.INTERNAL: Words(
        "the service failed by itself",
        "look at 5XX errors in CloudWatch; if they go on, open a support case with a request id",
    ),
    outcome.DEPENDENCY: Words(
        "something that the service itself depends on failed",
        "if it goes on, open a support case with a request id",
    ),
    outcome.VALIDATION: Words(
        "the request was refused as wrong",
        "compare endpoint, variant, content type and body with what the endpoint expects",
    ),
    outcome.INVALID_SIGNATURE: Words(
        "the signature did not match",
        "check the secret key, the region, this machine's clock, and proxies that change headers",
    ),
    outcome.UNRECOGNIZED_CLIENT: Words(
        "the access key is unknown to AWS",
        "check that it belongs to this partition and is active, and that a session token goes with it",
    ),
    outcome.EXPIRED_TOKEN: Words(
        "the session's credentials had expired",
        "use credentials that last longer than the run or renew themselves",
    ),
    outcome.ACCESS_DENIED: Words(
        "the caller may not invoke this",
        "allow sagemaker:InvokeEndpoint (or execute-api:Invoke) on it in the caller's policy",
    ),
    outcome.MISSING_TOKEN: Words(
        "the request came unsigned, or to a path that the API does not have",
        "check target.api_gateway, its stage and resource, and auth",
    ),
    outcome.FORBIDDEN: Words(
        "an API key, a resource policy or a firewall refused the request",
        "check SM_LOCUST_API_KEY and its usage plan, the API's resource policy, and AWS WAF",
    ),
    outcome.TOO_LARGE: Words("the body is larger than the target accepts", "send a smaller one"),
    outcome.FUNCTION_ERROR: Words(
        "the Lambda function behind the API raised, though the API answered 200",
        "read the function's log of that moment",
    ),
    outcome.GATEWAY_TIMEOUT: Words(
        "a gateway gave up waiting for the target's answer",
        "find what made it slow (API Gateway waits 29 s by default), or add instances",
    ),
    outcome.TIMEOUT: Words(
        "no complete answer came in time; it counts as a latency of at least its age",
        "add instances, or raise request.timeout if so long an answer would still be of use",
    ),
    outcome.CONNECT_TIMEOUT: Words(
        "nothing accepted a connection in time; it counts as a latency of at least its age",
        "check security groups, network ACLs, routes and VPC endpoints: what they drop is never refused; then the port",
    ),
    outcome.CONNECT: Words(
        "no connection could be made",
        "check address, port, proxy and firewall, and whether the target still runs",
    ),
    outcome.RESET: Words(
        "the target broke the connection off before its answer was complete",
        "look whether it restarted or ran out of memory, and what limits of connections stand between",
    ),
    outcome.TLS: Words(
        "no secure connection could be agreed on",
        "check that the address and port are meant for https, and what inspects TLS on the way",
    ),
    outcome.CERTIFICATE: Words(
        "the target's certificate is of another host, expired, or signed by nobody who is trusted here",
        "check the address, the certificate, this machine's clock, and AWS_CA_BUNDLE for an authority of your own",
    ),
    outcome.DNS: Words("the target's name has no address here", "check its spelling, the region and the resolver"),
    outcome.PROTOCOL: Words(
        "what came back is not HTTP",
        "check the port, and that the address is not https where it says http",
    ),
    outcome.REDIRECT: Words(
        "the target pointed to another address, and redirects are not followed",
        "give the address that it points to: https for http, or the path with its stage or last slash",
    ),
    outcome.UNEXPECTED_ANSWER: Words(
        "an answer of another status than expected, or without what request.expect asks for",
        "read what the first one said, and correct the address or request.expect",
    ),
    outcome.TASK_ERROR: Words("the task itself raised", "read its traceback in Locust's log, and mend the locustfile"),
}


_BEHIND_AN_API = {
    outcome.THROTTLED: Words(
        "a limit refused the request: of the API's stage or usage plan, or a quota of the account",
        "plan less load, raise the stage's rate and burst, or ask AWS for a higher quota",
    ),
    outcome.INTERNAL: Words(
        "the service, or the gateway before it, failed by itself",
        "look at 5XX errors in CloudWatch, and at Errors and Throttles of the API's function; "
        "if they go on, open a support case with a request id",
    ),
}

_OF_A_SERVER = {
    outcome.THROTTLED: Words(
        "a limit of the server, or of what stands before it, refused the request (429)",
        "plan less load, or raise that limit",
    ),
    outcome.UNAVAILABLE: Words(
        "the server, or what stands before it, had no room for the request (503)",
        "see what it runs out of, give it more of that, or plan less load",
    ),
    outcome.INTERNAL: Words(
        "the server failed by itself (500), or what stands before it had no good answer from it (502)",
        "read the server's log of that moment; if errors begin with the load, see what it runs out of",
    ),
    outcome.GATEWAY_TIMEOUT: Words(
        "a proxy or load balancer gave up waiting for the server's answer (504)",
        "find what made it slow, or let the proxy wait longer if so long an answer would still be of use",
    ),
    outcome.TIMEOUT: Words(
        _BY_KIND[outcome.TIMEOUT].means,
        "find what made it slow, or raise request.timeout if so long an answer would still be of use",
    ),
    outcome.CONNECT_TIMEOUT: Words(
        _BY_KIND[outcome.CONNECT_TIMEOUT].means,
        "check firewalls, security groups and routes: what they drop is never refused; then the port",
    ),
    outcome.REDIRECT: Words(
        _BY_KIND[outcome.REDIRECT].means,
        "give the address that it points to: https for http, or the path with its last slash",
    ),
    outcome.DNS: Words(_BY_KIND[outcome.DNS].means, "check its spelling and the resolver"),
}

_BY_WAY: Mapping[Way, Mapping[str, Words]] = {
    "sagemaker": _BY_KIND,
    "api_gateway": _BY_KIND | _BEHIND_AN_API,
    "other": _BY_KIND | _OF_A_SERVER,
}


def way(config: Mapping[str, Any]) -> Way:
    """Where a configuration's requests go: those of scenarios go where their steps say, whatever the target is."""
    target = config.get("target") or {}
    if config.get("scenarios"):
        return "other"
    return "api_gateway" if "api_gateway" in target else "sagemaker" if "endpoint" in target else "other"


def words(kind: str, way: Way) -> Words:
    return _BY_WAY[way].get(kind, _UNKNOWN)
