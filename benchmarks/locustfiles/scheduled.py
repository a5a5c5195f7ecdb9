"""Our user with a body that says when it was scheduled, on the clock that the target reads too."""

import time

from locust import task

from sm_locust import InvokeEndpointUser


class Scheduled(InvokeEndpointUser):
    @task
    def invoke_scheduled(self) -> None:
        origin = time.monotonic() - self.environment.generator.now()
        scheduled_at = self.arrival.scheduled_at if self.arrival else 0.0
        self.invoke(b"%.6f" % (origin + scheduled_at))
