"""Names of what a limit may be on: what `slo` and `stop_when` have in common, and what only `stop_when` knows."""

from __future__ import annotations

ERROR_RATE = "error_rate"

DROP_RATE = "drop_rate"  # of the arrivals due, the share that was dropped
SHORTFALL = "throughput_shortfall"  # of the arrivals due, the share that no good answers came for meanwhile
NOT_VALID = "not_valid"  # what the verdict would not accept of our side
OVERHEAD = "OverheadLatency"

# Of a latency, and what CloudWatch calls the same.
STATISTICS = {
    "mean": "Average",
    **{name: name for name in ("p50", "p90", "p95", "p99")},
    "p999": "p99.9",
    "max": "Maximum",
}
