"""The CloudFormation stack that puts an API in front of the endpoint: deployed, followed, deleted.

The template is `sm_locust.stacks`'s. A stack is touched only if it bears our tag: `find` gives no other. What one that
failed leaves behind is named; nothing is deleted that the stack did not make. Source: CloudFormation User Guide, stack
status codes and stack creation options; the Lambda function's log is a resource of the stack, so that it goes with it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sm_locust.aws import logs
from sm_locust.aws.session import AwsFault, ask, ask_all, client
from sm_locust.config import RunConfig
from sm_locust.fields import format_duration
from sm_locust.stacks import FUNCTION_LOG, FUNCTION_NAME, TAG, template

PATIENCE = 900.0  # seconds; a stack like this one takes one to three minutes
EVERY = 3.0  # seconds between two looks at it
LOG_PATIENCE = 15.0  # seconds for which a deleted log is watched: Lambda writes what it still has within some
AT_REST = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the template takes.

    endpoint     the endpoint's name
    auth         iam, api-key or none
    concurrency  executions of the function that are kept for it, and its limit; 0 shares the account's
    rate, burst  requests a second, and at once, that the stage lets through
    log_days     for which the function's log is kept
    """

    endpoint: str
    auth: str
    concurrency: int
    rate: int
    burst: int
    log_days: int

    def __str__(self) -> str:
        reserved = f"{self.concurrency} executions reserved" if self.concurrency else "no reserved executions"
        return (
            f"endpoint {self.endpoint}, auth {self.auth}, at most {self.rate} requests a second and {self.burst} at "
            f"once, {reserved}, log kept for {self.log_days} days"
        )

    def as_asked(self) -> list[dict[str, str]]:
        values = {
            "EndpointName": self.endpoint,
            "EndpointInArn": self.endpoint.lower(),
            "Auth": self.auth,
            "ReservedConcurrency": self.concurrency,
            "ThrottlingRate": self.rate,
            "ThrottlingBurst": self.burst,
            "LogRetentionDays": self.log_days,
        }
        return [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in values.items()]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that bears our tag.

    status   as CloudFormation names it: CREATE_COMPLETE, UPDATE_IN_PROGRESS, …
    outputs  of the template by name, InvokeUrl and Auth among them; none until the stack was complete once
    """

    id: str
    name: str
    status: str
    outputs: dict[str, str]


def find(config: RunConfig, name: str) -> Stack | None:
    """The stack of this name; None when there is none. Raises AwsFault, also for a stack that is not ours."""
    try:
        (found,) = ask(client(config, "cloudformation"), "DescribeStacks", StackName=name)["Stacks"]
    except AwsFault as e:
        if e.code == "ValidationError" and "does not exist" in str(e):
            return None
        raise
    stack = _stack(found)
    if TAG not in found.get("Tags", []):
        raise AwsFault(
            f"stack {name} does not bear the tag {TAG['Key']}={TAG['Value']}: it is not ours and stays as it is; "
            "choose another with --name",
            "NotOurs",
        )
    return stack


def deploy(config: RunConfig, name: str, there: Stack | None, parameters: Parameters, *, wait: bool, say: Say) -> Stack:
    """Creates the stack, or updates the one that is there.

    there  as `find` has it
    wait   until it is complete; without, the stack is returned as it is when CloudFormation has begun
    say    told each of its events

    A stack that cannot be created is deleted by CloudFormation itself, one that cannot be updated goes back to what it
    was. Raises AwsFault: with the first reason that CloudFormation gives, and with what is left of the stack, if
    anything is.
    """
    cloudformation = client(config, "cloudformation")
    if there is not None:
        _check_can_be_updated(there)
    request: dict[str, Any] = {
        "StackName": name,
        "TemplateBody": template(),
        "Parameters": parameters.as_asked(),
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [TAG],
        "ClientRequestToken": _token(),
    }
    last = _last_event(cloudformation, there)
    if there is None:
        begun = ask(cloudformation, "CreateStack", OnFailure="DELETE", **request)["StackId"]
    else:
        try:
            begun = ask(cloudformation, "UpdateStack", **request)["StackId"]
        except AwsFault as e:
            if "No updates are to be performed" not in str(e):
                raise
            say(f"stack {name} is as it should be: nothing to change")
            return there
    if not wait:
        return _look(cloudformation, begun)
    stack, reason = _follow(cloudformation, begun, last, say)
    if stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return stack
    raise AwsFault(_failure(cloudformation, stack, reason), stack.status)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was done and what is left.

    log      what became of the function's log, in a sentence
    remains  what still exists, each with the command that deletes it
    """

    log: str
    remains: tuple[str, ...]


def delete(config: RunConfig, stack: Stack, *, wait: bool, say: Say) -> Deleted | None:
    """Deletes the stack, waits, and looks whether the function's log came back; None without `wait`.

    Raises AwsFault when it could not be deleted, with what is left.
    """
    cloudformation = client(config, "cloudformation")
    log_group = _log_group_of(cloudformation, stack)
    made_at = _made_at(config, log_group)
    last = _last_event(cloudformation, stack)
    ask(cloudformation, "DeleteStack", StackName=stack.id, ClientRequestToken=_token())
    if not wait:
        return None
    after, reason = _follow(cloudformation, stack.id, last, say)
    if after.status != "DELETE_COMPLETE":
        raise AwsFault(_failure(cloudformation, after, reason), after.status)
    return _look_after_log(config, log_group, made_at)


# Following a stack


def _token() -> str:
    """A request that is repeated, because its answer was lost, begins nothing anew."""
    return f"sm-locust-{uuid.uuid4()}"


def _last_event(cloudformation: Any, stack: Stack | None) -> str:
    """Its id: what is to be told comes after it. Empty for a stack that is not there yet."""
    return _events(cloudformation, stack.id, "")[-1]["EventId"] if stack else ""


def _follow(cloudformation: Any, stack_id: str, last: str, say: Say) -> tuple[Stack, str]:
    """The stack once it is at rest, and the first reason for a failure that its events gave; empty without one.

    last  id of the newest event that is not of this operation
    """
    deadline = time.monotonic() + PATIENCE
    told: set[str] = set()
    reason = fault = status = ""
    while True:
        try:
            stack = _look(cloudformation, stack_id)  # before its events, so that the last ones are not missed
            for event in _events(cloudformation, stack_id, last):
                if event["EventId"] not in told:
                    told.add(event["EventId"])
                    said = event.get("ResourceStatusReason", "")
                    if not reason and event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in said:
                        reason = f"{event['LogicalResourceId']} ({event['ResourceType']}): {said}"
                    say(_line(event))
            # CREATE_FAILED is where one may pass by on its way to being deleted: seen twice, it stays there.
            if not stack.status.endswith("_IN_PROGRESS") and stack.status in (status, *AT_REST):
                return stack, reason
            status, fault = stack.status, ""
        except AwsFault as e:
            if not e.passing:
                raise
            if str(e) != fault:
                say(fault := str(e))
        if time.monotonic() >= deadline:
            raise AwsFault(
                f"stack {stack_id.split('/')[1]} is not at rest within {format_duration(PATIENCE)}; it goes on at AWS",
                "NotAtRest",
                passing=True,
            )
        time.sleep(EVERY)


def _events(cloudformation: Any, stack_id: str, last: str) -> list[dict[str, Any]]:
    """Those after `last`, oldest first."""
    events: list[dict[str, Any]] = []
    for page in ask_all(cloudformation, "DescribeStackEvents", StackName=stack_id):
        for event in page["StackEvents"]:  # newest first
            if event["EventId"] == last:
                return events[::-1]
            events.append(event)
    return events[::-1]


def _line(event: dict[str, Any]) -> str:
    reason = " ".join(event.get("ResourceStatusReason", "").split())
    return (
        f"{event['Timestamp']:%H:%M:%S} {event['ResourceStatus']:<27} {event['ResourceType']} "
        f"{event['LogicalResourceId']}{f': {reason}' if reason else ''}"
    )


def _failure(cloudformation: Any, stack: Stack, reason: str) -> str:
    """Why a stack is not what it should be, what to do, and what is left of it."""
    why = f"stack {stack.name} is {stack.status}: {reason or 'CloudFormation gives no reason'}"
    if "already exists" in reason or "AlreadyExists" in reason:
        what = FUNCTION_LOG if "AWS::Logs" in reason else FUNCTION_NAME
        why += (
            f"; the stack's names are fixed, so a region holds one such stack: delete the other one, or the {what} "
            "that stands alone"
        )
    if stack.status == "DELETE_COMPLETE":
        return f"{why}; nothing of it is left"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return f"{why}; it is as it was before"
    left = ", ".join(_left(cloudformation, stack)) or "no resources"
    region = cloudformation.meta.region_name
    return f"{why}; left of it: {left}; sm-locust stack delete --name {stack.name} --region {region} --yes deletes it"


def _left(cloudformation: Any, stack: Stack) -> Iterator[str]:
    try:
        resources = _resources(cloudformation, stack)
    except AwsFault as e:
        yield f"what cannot be seen ({e})"
        return
    for resource in resources:
        if resource["ResourceStatus"] not in ("DELETE_COMPLETE", "CREATE_FAILED"):
            yield f"{resource['ResourceType']} {resource.get('PhysicalResourceId') or resource['LogicalResourceId']}"


def _resources(cloudformation: Any, stack: Stack) -> list[dict[str, Any]]:
    pages = ask_all(cloudformation, "ListStackResources", StackName=stack.id)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def _check_can_be_updated(stack: Stack) -> None:
    if stack.status.endswith("_IN_PROGRESS"):
        raise AwsFault(
            f"stack {stack.name} is {stack.status}: something else works on it; wait and try again",
            stack.status,
            passing=True,
        )
    if stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        raise AwsFault(
            f"stack {stack.name} is {stack.status} and cannot be updated; sm-locust stack delete deletes it",
            stack.status,
        )


def _look(cloudformation: Any, stack_id: str) -> Stack:
    return _stack(ask(cloudformation, "DescribeStacks", StackName=stack_id)["Stacks"][0])


def _stack(found: dict[str, Any]) -> Stack:
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return Stack(found["StackId"], found["StackName"], found["StackStatus"], outputs)


# The function's log


def _log_group_of(cloudformation: Any, stack: Stack) -> str | None:
    """The name of the log group that the stack has made."""
    resources = _resources(cloudformation, stack)
    names = [r.get("PhysicalResourceId") for r in resources if r["ResourceType"] == "AWS::Logs::LogGroup"]
    return names[0] if names else None


def _made_at(config: RunConfig, log_group: str | None) -> int | None:
    """When the log group was made, in milliseconds since 1970; None when there is none."""
    if log_group is None:
        return None
    found = logs.group(config, log_group)
    return None if found is None else int(found["creationTime"])


def _look_after_log(config: RunConfig, log_group: str | None, made_at: int | None) -> Deleted:
    """Watches for a log that comes back, and deletes it when it is the deleted function's own.

    It is when the stack had one of that name, made at another time, and no function of the name exists.
    """
    if log_group is None:
        return Deleted("the stack had no log", ())
    remains = (f"log group {log_group}: aws logs delete-log-group --log-group-name {log_group}",)
    deadline = time.monotonic() + LOG_PATIENCE
    try:
        while (again := _made_at(config, log_group)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return Deleted(f"log group {log_group} is gone, and did not come back", ())
            time.sleep(min(EVERY, left))
        if again == made_at:
            return Deleted(f"log group {log_group} was not deleted with the stack", remains)
        if _exists(config, FUNCTION_NAME):
            return Deleted(f"log group {log_group} is there again, of a new function {FUNCTION_NAME}", remains)
        ask(client(config, "logs"), "DeleteLogGroup", logGroupName=log_group)
    except AwsFault as e:
        return Deleted(f"whether log group {log_group} came back is not known: {e}", remains)
    return Deleted(f"log group {log_group} came back with a late write, and was deleted again", ())


def _exists(config: RunConfig, function: str) -> bool:
    try:
        ask(client(config, "lambda"), "GetFunctionConfiguration", FunctionName=function)
    except AwsFault as e:
        if e.code == "ResourceNotFoundException":
            return False
        raise
    return True
