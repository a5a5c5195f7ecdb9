"""The check before a run: what the plan says, what AWS says, and one request sent as the load would send it.

Nothing is changed anywhere, and one request is all that is sent. How the findings look is report's.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust.env import Environment

from sm_locust import payloads
from sm_locust.analysis.cost import BETWEEN, check_cost
from sm_locust.analysis.plan import Plan
from sm_locust.aws import preflight, quotas, serving
from sm_locust.aws.runtime import runtime_urls
from sm_locust.aws.session import addresses, region_of
from sm_locust.config import ConfigError, Guard, RunConfig, load
from sm_locust.fields import format_duration
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available
from sm_locust.load.generator import Generator
from sm_locust.load.invoker_users import ApiGatewayUser, ContainerUser, InvokeEndpointUser, InvokerUser
from sm_locust.loopback import only_loopback
from sm_locust.prices import Prices
from sm_locust.record.clock import RunClock
from sm_locust.record.outcome import Outcome
from sm_locust.record.prior import unrestored
from sm_locust.report import formats, kinds
from sm_locust.report.plan import amount
from sm_locust.schedule import Schedule

EXCERPT = 60  # characters of the answer


@dataclass(frozen=True)
class Check:
    """What is to be checked.

    config       the YAML file
    speed        schedule seconds for one real second
    endpoint, region, url   as Locust's --sm- options of the same names
    run_dir      where runs are kept: an experiment that was not put back is looked for there
    environment  of an artillery script, the one of its config.environments to use
    allow        names of ALLOWABLE whose failure is only a warning
    note         is called with each sentence about what of a script has no effect here
    """

    config: Path
    speed: int = 1
    endpoint: str | None = None
    region: str | None = None
    url: str | None = None
    run_dir: Path = Path("runs")
    allow: frozenset[str] = frozenset()
    environment: str | None = None
    note: Callable[[str], object] | None = None

    def resolved(self) -> RunConfig:
        """The configuration. Raises ConfigError, also for a speed other than 1 that leads off this machine."""
        config = load(self.config, self.environment, self.note or (lambda _: None)).with_overrides(
            endpoint=self.endpoint, region=self.region, url=self.url
        )
        if config.target is None and config.scenarios is not None:
            raise ConfigError(
                f"{self.config}: target: missing; the request that is tried is target's: of scenarios, "
                "`sm-locust plan` shows what they will send"
            )
        if config.target is None:
            raise ConfigError(f"{self.config}: target: missing; required: endpoint, api_gateway or container")
        if self.speed != 1:
            beside = [] if config.target.container else [*runtime_urls(config), *addresses(config)]
            only_loopback([*config.urls(), *beside], self.speed)
        return config

    def findings(self) -> Iterator[Finding]:
        """One after the other, as they are found. Raises ConfigError before the first."""
        config = self.resolved()
        bodies = payloads.load(config.request, self.config.parent)
        return (found.allowed(self.allow) for found in self._findings(config, bodies))

    def _findings(self, config: RunConfig, bodies: tuple[payloads.Payload, ...]) -> Iterator[Finding]:
        schedule = config.schedule()
        real = None if schedule is None else schedule.at_speed(self.speed)
        yield _plan(real, self.speed, config.requests_each)
        said = set()
        if config.target is not None and config.target.container is None:
            for found in preflight.findings(config, self.speed, *_lasts(config, real, self.speed)):
                said.add(found.text)
                yield found
            yield from _unrestored(config, self.run_dir)
        if real is not None:
            yield from _cost(config, bodies, self.speed)
        outcome, found = probe(config, bodies, said)
        yield found
        takes = outcome.service_time - (outcome.connected or 0.0) if outcome is not None and outcome.ok else None
        yield from quotas.of_the_way(config, None if real is None else real.peak * config.requests_each, takes)


# -- the plan ----------------------------------------------------------------------------------------------------------


def _plan(real: Schedule | None, speed: int, each: float) -> Finding:
    if real is None:
        return not_available("plan", "the configuration has no phases; a shape or the web UI says what is sent")
    lasts = format_duration(round(real.duration, 3))
    if speed != 1:
        lasts += f" ({format_duration(round(real.duration * speed, 3))} at speed {speed})"
    return Finding(
        "plan", PASS, f"{real.total * each:,.0f} requests in {lasts}, at most {real.peak * each:,.0f} a second"
    )


def _cost(config: RunConfig, bodies: tuple[payloads.Payload, ...], speed: int) -> Iterator[Finding]:
    """What the load costs at the prices that are known by now, and what the guard refuses, as every start does."""
    region = None
    with contextlib.suppress(ConfigError):
        region = region_of(config) if config.target is not None and config.target.container is None else None
    today = datetime.datetime.now(datetime.UTC).date()
    plan = Plan.of(config, bodies, Prices.of(config, None, region), today=today, speed=speed)
    billed, what = (plan.cost, "the run") if plan.experiment is None else (plan.experiment, "the experiment")
    if billed.free:
        yield Finding("cost", PASS, billed.free)
    elif billed.is_known:
        yield Finding("cost", PASS, f"{what} costs {amount(billed)} at these prices")
    else:
        gaps = [f"prices.{key}" for key in billed.missing] + ([billed.unknown] if billed.unknown else [])
        yield not_available("cost", f"{what} costs {amount(billed)}; not known: {', '.join(gaps)}")
    for refusal in plan.refusals:
        yield Finding("guard", FAIL, refusal, "plan less, or raise the guard")
    if not plan.refusals and config.guard != Guard():
        try:
            check_cost(config, billed, "experiment" if plan.experiment is not None else "run")
        except ConfigError as e:
            yield Finding("guard", WARN, f"an experiment would be refused: {e}", "raise the guard, or play a run only")
        else:
            yield Finding("guard", PASS, "what is planned is within the guard")


def _lasts(config: RunConfig, real: Schedule | None, speed: int) -> tuple[float | None, str]:
    """For how many real seconds credentials are wanted, and for what: with `scaling`, an experiment's both sides.

    Beside the pause between them instances come and go, which is taken to last twice as long as that.
    """
    if config.scaling is None or config.target is None or config.target.endpoint is None:
        return (None if real is None else real.duration), "the run"
    return (None if real is None else 2 * real.duration + 3 * BETWEEN / speed), "the experiment"


def _unrestored(config: RunConfig, run_dir: Path) -> Iterator[Finding]:
    """Scaling that an experiment, or `scaling apply`, changed and did not put back."""
    ours = None
    with contextlib.suppress(ConfigError):  # an API whose endpoint is not named
        ours = serving.scaled(config).resource_id
    for prior in unrestored(run_dir):
        owed = config.scaling is not None and prior.resource_id == ours  # which an experiment refuses
        yield Finding(
            "unrestored",
            FAIL if owed else WARN,
            f"scaling of {prior.resource_id} is not as it was before {prior.folder} was begun at {prior.at}",
            f"if nothing is at work there any more: sm-locust scaling restore {prior.folder}",
        )


# -- one request -------------------------------------------------------------------------------------------------------


def probe(
    config: RunConfig, bodies: tuple[payloads.Payload, ...], said: Container[str] = ()
) -> tuple[Outcome | None, Finding]:
    """Sends one request by the user class, signature and connections of the load; None when nothing was sent.

    said  what stands in a finding before it, and is not said again
    """
    name, sender = "probe", _sender(config)
    if not bodies:
        return None, not_available(name, "the configuration has nothing to send (request.body, request.payloads)")
    generator = None
    try:
        if problem := _problem(sender, config):
            return None, Finding(name, FAIL, problem, "correct the configuration")
        sender.check_here(config)
        generator = Generator(Environment(), config, RunClock.start(1), bodies)
        invoker, body = generator.invoker(sender), generator.payloads_of(sender)()
        outcome = invoker.invoke(body.body, name=name, scheduled_at=generator.now(), content_type=body.content_type)
    except (ConfigError, ValueError) as e:
        if str(e) in said:
            return None, Finding(name, FAIL, "nothing could be sent", "see above")
        return None, Finding(name, FAIL, f"nothing could be sent: {e}", "correct the configuration or the credentials")
    finally:
        if generator is not None:
            generator.close()
    return outcome, _answered(outcome, kinds.way(config.as_dict()))


def _sender(config: RunConfig) -> type[InvokerUser]:
    target = config.target
    if target is not None and target.container is not None:
        return ContainerUser
    return ApiGatewayUser if target is not None and target.api_gateway is not None else InvokeEndpointUser


def _problem(sender: type[InvokerUser], config: RunConfig) -> str | None:
    """What keeps the configuration from being sent by this class, whose task a locustfile would bring."""
    make_class: Any = type(sender)
    with_a_task = make_class(sender.__name__, (sender,), {"abstract": True, "tasks": [lambda user: user.invoke()]})
    found: str | None = with_a_task.problem(config)
    return found


def _answered(outcome: Outcome, way: kinds.Way) -> Finding:
    took = formats.ms(outcome.service_time)
    if outcome.connected is not None:
        took += f", {formats.ms(outcome.connected)} of it to connect"
    if not outcome.ok:
        words = kinds.words(outcome.kind, way)
        status = f"HTTP {outcome.status}, " if outcome.status else ""
        text = f"{status}{outcome.kind} after {took}: {words.means}"
        said = formats.printable(outcome.message)
        return Finding("probe", FAIL, f"{text} ({said})" if said else text, words.do)
    text = formats.printable(outcome.body[: 4 * EXCERPT].decode(errors="replace"))
    excerpt = text if len(text) <= EXCERPT else text[: EXCERPT - 2] + " …"
    return Finding("probe", PASS, f"HTTP {outcome.status} in {took}: {excerpt or 'an empty body'}")
