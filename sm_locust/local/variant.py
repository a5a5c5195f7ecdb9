"""The variant behind the endpoint's name: its model, on its instances, every request counted.

InvokeEndpoint and the gateway both ask it. Reading a request, wording an answer and letting it leave are theirs.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from sm_locust.local.fleet import Fleet
from sm_locust.local.metrics import Metrics
from sm_locust.local.model import ContainerAnswer, Model


class Inference(NamedTuple):
    """What became of one request.

    container  what the model's container said; None when the backlog was full and it was not asked
    leaves_at  when that may leave, in seconds of `time.perf_counter`
    second     the Unix second it is counted in
    """

    container: ContainerAnswer | None
    leaves_at: float
    second: int


class Variant:
    """One model on a fleet of instances."""

    def __init__(self, fleet: Fleet, metrics: Metrics) -> None:
        self._model = Model()
        self._fleet = fleet
        self._metrics = metrics

    def infer(self, content_type: bytes, body: bytes, arrived_at: float) -> Inference:
        """Counts and answers the request that arrived at `arrived_at` (`time.perf_counter`), later than any before."""
        second = int(time.time())
        leaves_at = self._fleet.arrive(arrived_at)
        instances = self._fleet.in_service
        if leaves_at is None:
            self._metrics.refused(second, instances)
            return Inference(None, arrived_at, second)
        container = self._model.answer(content_type, body)
        if container.status == 200:
            self._metrics.answered(second, leaves_at - arrived_at, instances)
        else:
            self._metrics.model_failed(second, container.status, leaves_at - arrived_at, instances)
        return Inference(container, leaves_at, second)

    def left(self, inference: Inference) -> None:
        """The answer has just left: what it took beyond the model's time is the endpoint's overhead."""
        if inference.container is not None:
            self._metrics.left(inference.second, time.perf_counter() - inference.leaves_at)
