"""Options that several commands take."""

from __future__ import annotations

from sm_locust.schedule import SPEEDS

SPEED_CHOICES = [str(speed) for speed in SPEEDS]
