from sm_locust import CapacityShape


class FindCapacity(CapacityShape):
    """Searches for the highest rate at which the SLO of --sm-config holds."""
