from locust import task

from sm_locust import ApiGatewayUser


class ApiGateway(ApiGatewayUser):
    """One user is one arrival a second, through an API in front of the endpoint."""

    @task
    def invoke_next(self):
        self.invoke()  # the next payload of the config
