"""Locust's HttpUser, each request signed by requests-aws4auth."""

import os

from locust import HttpUser, constant_throughput, task

from requests_aws4auth import AWS4Auth

auth = AWS4Auth(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], "us-east-1", "sagemaker")


class Requests(HttpUser):
    host = os.environ["BENCH_URL"]
    wait_time = constant_throughput(float(os.environ["BENCH_RATE_PER_USER"]))

    def on_start(self) -> None:
        self.client.auth = auth
        self.client.trust_env = False  # spares it a look for proxies with every request

    @task
    def invoke(self) -> None:
        self.client.post("/endpoints/bench/invocations", data=b"5,3.5,1.3,0.3", headers={"Content-Type": "text/csv"})
