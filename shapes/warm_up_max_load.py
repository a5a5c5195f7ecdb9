from sm_locust import Phase, PhasesShape


class WarmUpMaxLoad(PhasesShape):
    """The reference experiment: two hours, 200 to 600 and then 600 to 800 arrivals a second."""

    phases = [Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)]
