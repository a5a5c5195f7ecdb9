"""Runs the Python blocks of a page, one after the other in one namespace, as a reader would type them.

    python -m tests.product.play FOLDER < blocks.json

A block is a JSON object {"name", "text"}. A block that makes user classes or a shape is a locustfile: what it makes is
played for half a second, and on a busy machine until its first request has been answered; a shape alone with the user
class before it. At least one request has to be answered well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import gevent
import locust  # before all that speaks HTTP: it patches the process
from locust.env import Environment

import sm_locust

SECONDS = 0.5
PATIENCE = 30.0  # seconds for the first answer
ARRIVALS = 20  # a second


def concrete(namespace: dict[str, Any], base: type) -> list[type]:
    """The classes of a namespace that Locust would take from a locustfile."""
    return [
        value
        for value in namespace.values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == "page"
        and not vars(value).get("abstract", False)
    ]


def play(users: list[type], shapes: list[type]) -> None:
    environment = Environment(user_classes=users, shape_class=shapes[0]() if shapes else None)
    environment.create_local_runner()
    answered: list[str] = []
    failures: list[object] = []
    raised: list[object] = []

    def heard(name: str, exception: object, **_: object) -> None:
        failures.append(exception) if exception else answered.append(name)

    def failed(exception: object, **_: object) -> None:
        raised.append(exception)

    environment.events.request.add_listener(heard)
    environment.events.user_error.add_listener(failed)
    invokes = any(issubclass(user, sm_locust.InvokeEndpointUser) for user in users)
    live = sm_locust.setup(environment, "configs/local.yaml" if invokes else None, run_dir="runs")
    assert live is not None and environment.runner is not None
    if shapes:
        environment.runner.start_shape()
    else:
        environment.runner.start(ARRIVALS, spawn_rate=ARRIVALS)
    gevent.sleep(SECONDS)
    deadline = time.monotonic() + PATIENCE
    while not answered and not raised and len(failures) < ARRIVALS and time.monotonic() < deadline:
        gevent.sleep(0.05)
    environment.runner.quit()
    live.finish()
    assert answered and not raised, f"answered {len(answered)}, failed {failures[:1]}, raised {raised[:1]}"


def main() -> None:
    folder = sys.argv[1]
    os.chdir(folder)
    sys.path.insert(0, folder)
    namespace: dict[str, Any] = {"__name__": "page"}
    played: set[type] = set()
    for block in json.load(sys.stdin):
        since = time.monotonic()
        exec(compile(block["text"], block["name"], "exec"), namespace)
        users, shapes = concrete(namespace, locust.User), concrete(namespace, locust.LoadTestShape)
        new_users, new_shapes = [u for u in users if u not in played], [s for s in shapes if s not in played]
        if new_users or new_shapes:
            play(new_users or users[-1:], new_shapes)
            played |= {*users, *shapes}
        print(f"{block['name']}: ran in {time.monotonic() - since:.1f} s", flush=True)


if __name__ == "__main__":
    main()
