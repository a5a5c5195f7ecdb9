from locust import task

from sm_locust import ScenarioUser


class Script(ScenarioUser):
    """One user is one arrival a second: one run of one of the config's scenarios, such as an artillery script's."""

    @task
    def run_one(self):
        self.play()  # one scenario, picked by weight, from its first step to its last
