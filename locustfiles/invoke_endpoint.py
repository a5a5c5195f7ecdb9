from locust import task

from sm_locust import InvokeEndpointUser


class InvokeEndpoint(InvokeEndpointUser):
    """One user is one arrival a second."""

    @task
    def invoke_next(self):
        self.invoke()  # the next payload of the config; or self.invoke(b"5,3.5", content_type="text/csv")
