from sm_locust import ConfigShape


class FromConfig(ConfigShape):
    """Plays the phases of --sm-config."""
