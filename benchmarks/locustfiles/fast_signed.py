"""Locust's FastHttpUser, each request signed by botocore."""

import os

from locust import FastHttpUser, constant_throughput, task

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

auth = SigV4Auth(
    Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), "sagemaker", "us-east-1"
)


class FastSigned(FastHttpUser):
    host = os.environ["BENCH_URL"]
    wait_time = constant_throughput(float(os.environ["BENCH_RATE_PER_USER"]))

    @task
    def invoke(self) -> None:
        path, body = "/endpoints/bench/invocations", b"5,3.5,1.3,0.3"
        request = AWSRequest("POST", self.host + path, data=body, headers={"Content-Type": "text/csv"})
        auth.add_auth(request)
        self.client.post(path, data=body.decode(), headers=dict(request.headers))
