"""Locust's FastHttpUser, not signed: what Locust itself can do at most."""

import os

from locust import FastHttpUser, constant_throughput, task


class FastUnsigned(FastHttpUser):
    host = os.environ["BENCH_URL"]
    wait_time = constant_throughput(float(os.environ["BENCH_RATE_PER_USER"]))

    @task
    def invoke(self) -> None:
        self.client.post("/endpoints/bench/invocations", data="5,3.5,1.3,0.3", headers={"Content-Type": "text/csv"})
