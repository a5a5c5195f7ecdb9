"""What Several says, in words: sentences and tables for the terminal, Markdown and the page.

Numbers look as they do in the report of one run (formats); nothing is computed that a reader could quote.
"""

from __future__ import annotations

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.cost import dollars
from sm_locust.analysis.several import Bounded, Cheapest, Configuration, Several, rates
from sm_locust.report import formats, wording
from sm_locust.report.formats import UNKNOWN, Table, ms, number, percent, price, printable, rate

ADD_UP = (
    "Instances are taken to add up, which extrapolates to numbers of them that were not measured, and to work at their "
    "capacity, with nothing in reserve. Costs are of instances alone: no API, no function, no data that goes in."
)


def headline(several: Several) -> list[str]:
    """The load, which configuration is the cheapest for it, and what may be as cheap."""
    best = several.cheapest
    found = [_load(several)] if several.load is not None else []
    if best is None:
        return [*found, "Which is the cheapest cannot be said: no run has all that it takes."]
    compared, given = len(several.compared), len(several.configurations)
    among = "" if compared == given else f", among the {compared} of {given} runs that can be compared"
    keeps = f" that keeps {slo(best.configuration)}" if best.configuration.limits else ""
    return [*found, f"Cheapest{keeps}{among}: {_cheapest(several, best)}.", *_close(several, best)]


def _load(several: Several) -> str:
    load = several.load or 0.0
    source = "as asked" if several.is_asked else "the busiest minute that these runs planned"
    return f"For {rate(load)} requests a second, {number(load * 60)} a minute ({source})."


def _cheapest(several: Several, best: Cheapest) -> str:
    one = best.configuration
    if several.load is None:
        no_load = "no run has a schedule, and --rps names no load"
        return f"{labels(several)[one.run_id]}, {_dollars(best.cost)} a million requests at its capacity ({no_load})"
    return f"{_needed(one, several.load)} × {_type(one)}, {_dollars(best.cost)} an hour"


def _close(several: Several, best: Cheapest) -> list[str]:
    if not best.close:
        return []
    costs = "; ".join(
        f"{labels(several)[one.run_id]} {_dollars(cost)}" for one in best.close if (cost := one.cost(several.load))
    )
    return [f"Too close to tell it from others, whose intervals overlap: {costs}."]


def doubts(several: Several) -> list[str]:
    """Why a run cannot be compared with the others, or only with care."""
    names = labels(several)
    first = names[several.configurations[0].run_id]
    found = []
    for one in several.configurations:
        name = names[one.run_id]
        found += [printable(f"{name} {why.rstrip('.')}.") for why in several.why_not(one)]
        if keys := several.told_otherwise(one):
            told = printable(", ".join(keys))
            found.append(f"{name} was told otherwise than {first}: {told}. What differs may be due to that.")
    if shared := several.at_one_price:
        same = ", ".join(names[one.run_id] for one in shared)
        found.append(f"Several types, and one prices.instance_hour in their configurations: {same}. Is it each one's?")
    return found


def banners(several: Several) -> list[str]:
    """The warnings of compressed runs; none where all were played in real time."""
    names = labels(several)
    said = [(names[one.run_id], wording.compressed(one.speed)) for one in several.configurations]
    if len({warning for _, warning in said}) == 1:
        return [warning for _, warning in said[:1] if warning]
    return [f"{name}: {warning}" for name, warning in said if warning]


# -- tables ------------------------------------------------------------------------------------------------------------


def sustained(several: Several) -> str:
    """The title over what they sustain."""
    return f"What {'one instance' if _on_sagemaker(several) else 'each target'} sustains"


def _on_sagemaker(several: Several) -> bool:
    return any(one.sagemaker for one in several.configurations)


def capacities(several: Several) -> Table:
    """What one instance of each sustains, or each target where there is no endpoint."""
    names, rows = labels(several), []
    for one in several.configurations:
        found, near = one.rates, one.near
        rows.append(
            (
                names[one.run_id] + star(one),
                "not valid" if one.invalid else "valid",
                UNKNOWN if found is None else rate(found.value),
                interval(found),
                number(None if found is None else found.value * 60),
                limit(one.capacity),
                ms(near.mean if near else None),
                ms(near.p99 if near else None),
            )
        )
    notes = [f"Interval: {_confidence(several)}. Latency: from the schedule, close below the capacity."]
    if any(name.endswith("*") for name, *_ in rows):
        notes.append("* of the whole endpoint: nobody knows how many instances served.")
    each = "one " if _on_sagemaker(several) else ""
    header = ("configuration", "verdict", f"{each}a second", "interval", f"{each}a minute", "limited by")
    return Table((*header, "mean latency", "p99 latency"), tuple(rows), words=2, note=" ".join(notes))


def star(one: Configuration) -> str:
    """Behind the name of an endpoint whose capacity is not that of one instance."""
    return "*" if one.sagemaker and one.rates is not None and one.is_of_the_endpoint else ""


def costs(several: Several) -> Table:
    """What the endpoint of each sustains and costs, and what the load would need of it; empty without an endpoint."""
    names, load, rows = labels(several), several.load, []
    for one in several.configurations if _on_sagemaker(several) else ():
        endpoint, cost = one.endpoint, one.per_million
        row = [
            names[one.run_id],
            UNKNOWN if endpoint is None else rate(endpoint.value),
            UNKNOWN if one.price is None else price(one.price.usd),
            UNKNOWN if one.hourly is None else usd(one.hourly),
            UNKNOWN if cost is None else usd(cost.value),
        ]
        if load is not None:
            headroom, at_load = one.headroom(load), one.cost(load)
            row.append(UNKNOWN if headroom is None else ("+" if headroom >= 0 else "−") + percent(abs(headroom), 0))
            row += [_needed(one, load), UNKNOWN if at_load is None else usd(at_load.value)]
        rows.append(tuple(row))
    header = ["configuration", "endpoint a second", "one an hour", "endpoint an hour", "a million requests"]
    if load is not None:
        header += ["headroom", f"instances for {rate(load)}", f"an hour for {rate(load)}"]
    return Table(tuple(header), tuple(rows), note=" ".join(filter(None, (_prices(several), ADD_UP))))


def facts(several: Several) -> Table:
    """Which run is which."""
    names = labels(several)
    rows = tuple((names[one.run_id], printable(one.name), slo(one), f"{one.speed}") for one in several.configurations)
    return Table(("configuration", "run", "SLO", "speed"), rows, words=3)


# -- parts -------------------------------------------------------------------------------------------------------------


def labels(several: Several) -> dict[str, str]:
    """run_id → what a configuration is called, such as `2 × ml.m4.xlarge`: with its run where several are the same."""
    plain = {one.run_id: _label(one) for one in several.configurations}
    same = list(plain.values())
    return {
        one.run_id: plain[one.run_id] + (f" ({printable(one.name)})" if same.count(plain[one.run_id]) > 1 else "")
        for one in several.configurations
    }


def _label(one: Configuration) -> str:
    if not one.sagemaker:
        return printable(one.name)
    return _type(one) if one.instances is None else f"{one.instances} × {_type(one)}"


def _type(one: Configuration) -> str:
    return printable(one.seen.instance_type or "unknown type")


def interval(of: Bounded | None) -> str:
    """The bounds of a capacity."""
    if of is None:
        return UNKNOWN
    return f"{rate(of.low)} or more" if of.high is None else f"{rate(of.low)} to {rate(of.high)}"


def capacity(found: Capacity, whole: str) -> str:
    """`453 (441 to 467) for one instance`.

    whole  what it is for where nobody knows how many instances served: the endpoint, or the target
    """
    of = rates(found)
    if of is None:
        return UNKNOWN
    return f"{rate(of.value)} ({interval(of)}) for {whole if found.instances is None else 'one instance'}"


def limit(found: Capacity) -> str:
    """The rule that broke first, or that none did."""
    if rates(found) is None:
        return UNKNOWN
    return printable(found.limited_by or "unknown") if found.reached else "not reached"


def slo(one: Configuration) -> str:
    return formats.limits(one.limits) or "none"


def _needed(one: Configuration, load: float) -> str:
    """`2`, or with its bounds where they differ: `2 (2 to 3)`."""
    found = one.needed(load)
    if found is None:
        return UNKNOWN
    return _bounded(f"{found.value:,.0f}", f"{found.low:,.0f}", None if found.high is None else f"{found.high:,.0f}")


def usd(amount: float) -> str:
    """What is reckoned, to three digits; from $100 on to the cent."""
    return price(float(f"{amount:.3g}")) if amount < 100 else dollars(amount)


def _dollars(cost: Bounded) -> str:
    high = None if cost.high is None else usd(cost.high)
    if not cost.low and high is not None:  # of a capacity that was not reached
        return f"{usd(cost.value)} ({high} at most)"
    return _bounded(usd(cost.value), usd(cost.low), high)


def _bounded(value: str, low: str, high: str | None) -> str:
    if high is None:
        return f"{value} ({low} or more)"
    return value if low == value == high else f"{value} ({low} to {high})"


def _confidence(several: Several) -> str:
    found = {one.capacity.confidence for one in several.configurations}
    return " or ".join(f"{confidence:.0%}" for confidence in sorted(found)) or UNKNOWN


def _prices(several: Several) -> str:
    """Who said the prices, and of which day they are."""
    found = [(one, one.price) for one in several.configurations if one.price is not None]
    said = dict.fromkeys(f"{_type(one)} {price(of.usd)} ({of.origin} {of.as_of.isoformat()})" for one, of in found)
    return f"Price of an hour: {', '.join(said)}." if said else ""
