"""The AWS SDK in a Locust user, as most people begin: one client for all, a connection for every user, no retries."""

import os
import time

from locust import User, constant_throughput, task

import boto3
from botocore.config import Config

RATE = float(os.environ["BENCH_RATE_PER_USER"])
client = boto3.client(
    "sagemaker-runtime",
    endpoint_url=os.environ["BENCH_URL"],
    region_name="us-east-1",
    config=Config(max_pool_connections=1000, retries={"total_max_attempts": 1}),
)


class Boto3(User):
    wait_time = constant_throughput(RATE)

    @task
    def invoke(self) -> None:
        began, failure, length = time.perf_counter(), None, 0
        try:
            answer = client.invoke_endpoint(EndpointName="bench", ContentType="text/csv", Body=b"5,3.5,1.3,0.3")
            length = len(answer["Body"].read())
        except Exception as e:
            failure = e
        self.environment.events.request.fire(
            request_type="boto3",
            name="bench",
            response_time=(time.perf_counter() - began) * 1e3,
            response_length=length,
            exception=failure,
            context={},
        )
