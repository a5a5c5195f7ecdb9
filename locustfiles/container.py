from locust import task

from sm_locust import ContainerUser


class Container(ContainerUser):
    """One user is one arrival a second, for a container of your own: `docker run -p 8080:8080 … serve`."""

    @task
    def invoke_next(self):
        self.invoke()  # the next payload of the config
